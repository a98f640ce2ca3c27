"""Abstention: which signals separate correct predictions from errors and from unseen MoAs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from moa_jax.baselines.inputs import StandardisedExpression
from moa_jax.benchmark.benchmark_data import BenchmarkData
from moa_jax.benchmark.collect import Line
from moa_jax.benchmark.scored_split import ScoredSplit, calibrated
from moa_jax.calibration.confidence_signals import (
    Signal,
    agreement,
    fit_confidence,
    margin,
    max_probability,
    negative_entropy,
)
from moa_jax.calibration.nearest_neighbours import nearest_cosine, nearest_tanimoto
from moa_jax.calibration.probability_calibration import fit_temperature
from moa_jax.data.examples.pooling import median_by_compound, signature_strength
from moa_jax.evaluation.metrics import top_k_hits
from moa_jax.evaluation.risk_coverage import accuracy_at_coverage, aurc, rejection_auroc
from moa_jax.report.parts import Section, Table
from moa_jax.schemas import Examples, concatenate

COMBINED = "combined"
COVERAGES = (0.5, 0.25, 0.1)

Signals = Mapping[str, Float[np.ndarray, " _"]]


def abstention_section(scored: ScoredSplit, benchmark_data: BenchmarkData) -> Section | None:
    """How well each confidence signal ranks the predictions of the featured methods."""
    lines = [line for line in scored.featured() if not np.isnan(scored.validation[line])]
    if not scored.results.keys or not lines:
        return None
    data = list(_data_signals(scored, benchmark_data))
    rows = []
    for line in lines:
        confidence, correct = _all_signals(scored, line, data)
        rows += [
            (
                line.name,
                name,
                aurc(values, correct),
                *(accuracy_at_coverage(values, correct, coverage) for coverage in COVERAGES),
            )
            for name, values in confidence.items()
            if not np.isnan(values).any()
        ]
    columns = [f"accuracy at {100 * coverage:g} % coverage" for coverage in COVERAGES]
    table = Table(
        ("method", "confidence signal", "AURC", *columns),
        rows,
        caption=(
            "Predictions of the first seed ranked by one signal; a signal that is missing for a "
            f"compound is left out. {COMBINED}: logistic regression on all signals, fitted to the "
            "validation compounds of each fold."
        ),
    )
    return Section(title=f"{scored.results.name}: confidence signals", parts=(table,))


def rejection_section(scored: ScoredSplit, benchmark_data: BenchmarkData) -> Section:
    """Whether low confidence detects compounds whose MoA no training compound has."""
    # External predictions come without the partitions that signals of the data need.
    data = list(_data_signals(scored, benchmark_data)) or [({}, {})] * len(
        scored.results.trained_moas
    )
    names = (*_answer_signals(np.ones((1, 2))), *data[0][1])
    rows = []
    for line in scored.clean:
        values: dict[str, list[float]] = {name: [] for name in names}
        for folds in scored.results.lines[line].values():
            for number, fold in enumerate(folds):
                trained = scored.results.trained_moas[number]
                unseen = (scored.results.labels[fold.compounds][:, ~trained] > 0).any(axis=1)
                signals = {**_answer_signals(calibrated(fold)), **data[number][1]}
                for name, signal in signals.items():
                    values[name].append(_rejection(signal, unseen))
        rows.append((line.name, *(float(np.mean(some)) for some in values.values())))
    table = Table(
        ("method", *names),
        rows,
        caption=(
            "AUROC of the detection of compounds with an MoA that no training compound has: the "
            "probability that such a compound gets a lower value of the signal than a compound "
            "of known MoAs. 0.5 is chance. Mean over folds and seeds."
        ),
    )
    return Section(title=f"{scored.results.name}: detection of unseen MoAs", parts=(table,))


def _rejection(signal: Signal, unseen: Bool[np.ndarray, " example"]) -> float:
    """AUROC among the compounds that have the signal; NaN where none does."""
    known = ~np.isnan(signal)
    return rejection_auroc(signal[known], unseen[known]) if known.any() else float("nan")


def _answer_signals(probs: Float[np.ndarray, "compound moa"]) -> Signals:
    return {
        "top probability": max_probability(probs),
        "margin": margin(probs),
        "negative entropy": negative_entropy(probs),
    }


def _data_signals(
    scored: ScoredSplit, benchmark_data: BenchmarkData
) -> Iterator[tuple[Signals, Signals]]:
    """For each fold, the signals of its validation and test compounds that need no method.

    Validation compounds are compared with the training part, test compounds with the training
    and validation parts, which the models that predict them were trained on.
    """
    for key in scored.results.keys:
        parts = benchmark_data.parts(key, structure_only_compounds=False)
        learned = concatenate(parts.train, parts.validation)
        yield _signals_of(parts.validation, parts.train), _signals_of(parts.test, learned)


def _signals_of(examples: Examples, learned: Examples) -> Signals:
    inputs = StandardisedExpression()
    references = inputs.fit_transform(learned.take(np.flatnonzero(inputs.usable(learned))))
    by_example = {
        "TAS": examples.table["tas"].to_numpy(dtype=float, na_value=np.nan),
        "cc_q75": examples.table["cc_q75"].to_numpy(dtype=float, na_value=np.nan),
        "signature strength": signature_strength(examples),
        "nearest-signature cosine": nearest_cosine(inputs.transform(examples), references),
        "nearest-structure Tanimoto": nearest_tanimoto(examples.smiles, learned.smiles),
    }
    return {
        name: median_by_compound(values, examples.groups) for name, values in by_example.items()
    }


def _all_signals(
    scored: ScoredSplit, line: Line, data: Sequence[tuple[Signals, Signals]]
) -> tuple[dict[str, Signal], Bool[np.ndarray, " compound"]]:
    """Signals of every test prediction of a method's first seed, and whether it is correct."""
    runs = list(scored.results.lines[line].values())
    confidence: dict[str, list[Signal]] = {}
    correct = []
    for number, (fold, (validation_data, test_data)) in enumerate(zip(runs[0], data, strict=True)):
        scaling = fit_temperature(fold.validation_probs, fold.validation_labels)
        test = {
            **_answer_signals(scaling(fold.probs)),
            "seed agreement": agreement(np.stack([run[number].probs for run in runs])),
            **test_data,
        }
        validation = {
            **_answer_signals(scaling(fold.validation_probs)),
            "seed agreement": agreement(np.stack([run[number].validation_probs for run in runs])),
            **validation_data,
        }
        hits = top_k_hits(fold.validation_probs, fold.validation_labels, 1) > 0
        for name, values in {**test, COMBINED: fit_confidence(validation, hits)(test)}.items():
            confidence.setdefault(name, []).append(values)
        correct.append(top_k_hits(fold.probs, scored.results.labels[fold.compounds], 1) > 0)
    joined = {name: np.concatenate(values) for name, values in confidence.items()}
    return joined, np.concatenate(correct)
