"""Where methods work: by frequency of the MoA, strength of signal, nearness of analogues."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Float

from moa_jax.benchmark.collect import Line
from moa_jax.benchmark.material import Material
from moa_jax.benchmark.scored import ScoredSplit
from moa_jax.evaluation.metrics import macro_auprc, top_k_accuracy
from moa_jax.evaluation.nearest import nearest_tanimoto
from moa_jax.evaluation.pooling import (
    WEIGHT_KINDS,
    median_by_compound,
    pool_by_compound,
    signature_strength,
    signature_weights,
)
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

# Quantiles of the signature strength that part weak, middling and strong compounds.
STRENGTH_QUANTILES = (1 / 3, 2 / 3)


def breakdown_section(scored: ScoredSplit, material: Material) -> Section:
    """Scores of the featured lines by stratum, and under other ways of pooling."""
    tables = [_frequency_table(scored)]
    tables += [_stratum_table(scored, name, strata) for name, strata in _strata(scored, material)]
    tables.append(_pooling_table(scored))
    return Section(
        title=f"{scored.results.name}: strata and pooling",
        text=(
            "The best line of each family. Macro AUPRC within a stratum is to be read beside "
            "that of a random ranking of the same compounds (chance)."
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
        ("method", "MoAs", "number", "macro AUPRC", "chance"),
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
        ("method", "stratum", "compounds", "macro AUPRC", "chance", "top-1"),
        rows,
        caption=f"By {name}.",
    )


def _strata(scored: ScoredSplit, material: Material) -> Iterator[tuple[str, pd.Categorical]]:
    """Strata of the tested compounds, in the order of `SplitResults.compounds`."""
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
            "median signature strength (RMS z-score, thirds of the compounds)",
            binned(strength, [round(float(edge), 2) for edge in edges], "strength"),
        )
    if scored.results.keys:
        nearest = _nearest_structure(scored, material)
        yield (
            "Tanimoto similarity to the nearest training compound",
            binned(nearest, TANIMOTO_EDGES, "Tanimoto"),
        )


def _tested(scored: ScoredSplit) -> Examples:
    """The tested examples, each once."""
    folds = next(iter(next(iter(scored.results.lines.values())).values()))
    return scored.results.tested.take(np.unique(np.concatenate([fold.rows for fold in folds])))


def _nearest_structure(scored: ScoredSplit, material: Material) -> Float[np.ndarray, " compound"]:
    """Similarity of each tested compound to what the models of its fold learned from."""
    nearest = np.full(len(scored.results.compounds), np.nan)
    place = {group: row for row, group in enumerate(scored.results.compounds)}
    for key in scored.results.keys:
        parts = material.parts(key, further_structures=False)
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
    """Signatures of a compound weighted in other ways than alike."""
    rows = []
    for line in scored.featured():
        for kind in WEIGHT_KINDS:
            pooled = _pooled(scored, line, kind)
            labels = scored.results.labels
            rows.append(
                (line.name, kind, macro_auprc(pooled, labels), top_k_accuracy(pooled, labels, 1))
            )
    return Table(
        ("method", "weights", "macro AUPRC", "top-1"),
        rows,
        caption=(
            "How a compound's signatures are pooled: alike (mean), weighted by what tells their "
            "quality, or balanced over cell lines, doses or times. Weights that the release does "
            "not tell leave the plain mean."
        ),
    )


def _pooled(scored: ScoredSplit, line: Line, kind: str) -> Float[np.ndarray, "compound moa"]:
    """Answers of a line's first seed, pooled under weights of a kind."""
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
