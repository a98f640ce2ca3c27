"""Performance by stratum: frequency of the MoA, strength of the signal, similarity to training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Float

from moa_jax.benchmark.benchmark_data import BenchmarkData
from moa_jax.benchmark.collect import Line
from moa_jax.benchmark.scored_split import ScoredSplit
from moa_jax.calibration.nearest_neighbours import nearest_tanimoto
from moa_jax.data.examples.pooling import (
    WEIGHT_KINDS,
    median_by_compound,
    pool_by_compound,
    signature_strength,
    signature_weights,
)
from moa_jax.evaluation.metrics import macro_auprc, top_k_accuracy
from moa_jax.evaluation.strata import (
    TANIMOTO_EDGES,
    TAS_EDGES,
    binned,
    frequency_strata,
    scores_by_frequency,
    scores_by_stratum,
)
from moa_jax.report.parts import Section, Table
from moa_jax.schemas import Examples, concatenate

# Quantiles of the signature strength that separate weak, intermediate and strong compounds.
STRENGTH_QUANTILES = (1 / 3, 2 / 3)


def breakdown_section(scored: ScoredSplit, benchmark_data: BenchmarkData) -> Section:
    """Scores of the featured methods by stratum, and under other ways of pooling signatures."""
    tables = [_frequency_table(scored)]
    tables += [
        _stratum_table(scored, name, strata) for name, strata in _strata(scored, benchmark_data)
    ]
    tables.append(_pooling_table(scored))
    return Section(
        title=f"{scored.results.name}: performance by stratum",
        text=(
            "The best method of each family. Compare the macro AUPRC of a stratum with its chance "
            "level, the expected value for a random ranking of the same compounds. Probabilities "
            "are averaged over seeds."
        ),
        parts=tuple(tables),
    )


def _frequency_table(scored: ScoredSplit) -> Table:
    labels = scored.results.labels
    strata = frequency_strata((labels > 0).sum(axis=0))
    rows = []
    for line in scored.featured():
        table = scores_by_frequency(scored.mean_probs(line), labels, strata)
        rows += [
            (line.name, str(row.stratum), row.num_moas, row.macro_auprc, row.chance_auprc)
            for row in table.itertuples(index=False)
        ]
    return Table(
        ("method", "compounds per MoA", "MoAs", "macro AUPRC", "chance macro AUPRC"),
        rows,
        caption="By number of compounds of the MoA.",
    )


def _stratum_table(scored: ScoredSplit, name: str, strata: pd.Categorical) -> Table:
    rows = []
    for line in scored.featured():
        table = scores_by_stratum(scored.mean_probs(line), scored.results.labels, strata)
        rows += [
            (
                line.name,
                str(row.stratum),
                row.num_compounds,
                row.macro_auprc,
                row.chance_auprc,
                row.top1,
            )
            for row in table.itertuples(index=False)
        ]
    return Table(
        ("method", "stratum", "compounds", "macro AUPRC", "chance macro AUPRC", "top-1 accuracy"),
        rows,
        caption=f"By {name}.",
    )


def _strata(
    scored: ScoredSplit, benchmark_data: BenchmarkData
) -> Iterator[tuple[str, pd.Categorical]]:
    """Strata of the test compounds, in the order of `SplitResults.compounds`."""
    tested = _tested(scored)
    tas = median_by_compound(
        tested.table["tas"].to_numpy(dtype=float, na_value=np.nan), tested.groups
    )
    if not np.isnan(tas).all():
        yield "median TAS of the compound's signatures", binned(tas, TAS_EDGES, "TAS")
    strength = median_by_compound(signature_strength(tested), tested.groups)
    if not np.isnan(strength).all():
        edges = np.nanquantile(strength, STRENGTH_QUANTILES)
        yield (
            "median signature strength (RMS z-score; tertiles of the compounds)",
            binned(strength, [round(float(edge), 2) for edge in edges], "strength"),
        )
    if scored.results.keys:
        nearest = _nearest_structure(scored, benchmark_data)
        yield (
            "Tanimoto similarity to the nearest training structure",
            binned(nearest, TANIMOTO_EDGES, "Tanimoto"),
        )


def _tested(scored: ScoredSplit) -> Examples:
    """The test examples, each once."""
    folds = next(iter(next(iter(scored.results.lines.values())).values()))
    return scored.results.tested.take(np.unique(np.concatenate([fold.rows for fold in folds])))


def _nearest_structure(
    scored: ScoredSplit, benchmark_data: BenchmarkData
) -> Float[np.ndarray, " compound"]:
    """Similarity of each test compound to the training and validation compounds of its fold.

    For a compound in several test parts, that of the last fold.
    """
    nearest = np.full(len(scored.results.compounds), np.nan)
    place = {group: row for row, group in enumerate(scored.results.compounds)}
    for key in scored.results.keys:
        parts = benchmark_data.parts(key, structure_only_compounds=False)
        learned = concatenate(parts.train, parts.validation)
        values = nearest_tanimoto(parts.test.smiles, learned.smiles)
        for group, value in zip(
            sorted(set(parts.test.groups)),
            median_by_compound(values, parts.test.groups),
            strict=True,
        ):
            nearest[place[group]] = value
    return nearest


def _pooling_table(scored: ScoredSplit) -> Table:
    """Scores of the first seed under each weighting of a compound's signatures."""
    rows = []
    for line in scored.featured():
        for kind in WEIGHT_KINDS:
            pooled = _pooled(scored, line, kind)
            labels = scored.results.labels
            rows.append(
                (line.name, kind, macro_auprc(pooled, labels), top_k_accuracy(pooled, labels, 1))
            )
    return Table(
        ("method", "weighting", "macro AUPRC", "top-1 accuracy"),
        rows,
        caption=(
            "Pooling of a compound's signatures (first seed): unweighted mean, weighted by a "
            "measure of quality, or balanced over cell lines, doses or times. Where the release "
            "lacks the weights, the mean is unweighted."
        ),
    )


def _pooled(scored: ScoredSplit, line: Line, kind: str) -> Float[np.ndarray, "compound moa"]:
    """Predictions of a method's first seed, pooled with one kind of weights."""
    results = scored.results
    folds = next(iter(results.lines[line].values()))
    pooled: list[Float[np.ndarray, "compound moa"]] = []
    for fold in folds:
        examples = results.tested.take(fold.rows)
        weights = signature_weights(examples, kind)
        pooled.append(
            pool_by_compound(fold.example_probs, examples.labels, examples.groups, weights)[0]
        )
    return results.joined(pooled, folds)
