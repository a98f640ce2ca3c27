"""Pools signatures to compounds, the unit of every metric: plain, weighted and balanced means.

Weights matter only within a compound. A missing weight is the mean of those of the compound's other
examples; a compound without known or non-zero weights is pooled by the plain mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Num
from scipy import sparse

from moa_jax.data.examples.measured_conditions import with_written
from moa_jax.schemas import Examples, InputError

# Smallest |z| of a changed landmark, as in the signature strength of L1000 (Subramanian 2017).
STRONG_Z = 2.0

# Kind of weight -> its column in the signature table.
_COLUMNS = {"tas": "tas", "cc_q75": "cc_q75", "replicates": "n_replicates"}
# Kind of weight -> column whose values get equal weight, regardless of their signatures' number.
_BALANCED = {
    "balanced_cell_line": "cell_line",
    "balanced_dose": "dose_um",
    "balanced_time": "time_h",
}
WEIGHT_KINDS = ("mean", *_COLUMNS, "strength", "num_strong", *_BALANCED)


def pool_by_compound(
    probs: Float[np.ndarray, "example moa"],
    labels: Num[np.ndarray, "example moa"] | Bool[np.ndarray, "example moa"],
    groups: Sequence[str],
    weights: Float[np.ndarray, " example"] | None = None,
) -> tuple[Float[np.ndarray, "compound moa"], Float[np.ndarray, "compound moa"], tuple[str, ...]]:
    """One row per compound: weighted mean of its probabilities, union of its labels.

    Args:
      probs: probabilities of each example.
      labels: labels of each example.
      groups: compound group of each example.
      weights: weight of each example, not negative, NaN where unknown (see the module's
        docstring); None for equal weights.

    Returns:
      Pooled probabilities, pooled labels and their groups, sorted.

    Raises:
      InputError: a weight is negative or infinite.
    """
    names, unit = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    weights = np.ones(len(unit)) if weights is None else _known_weights(weights, groups)
    order = np.argsort(unit, kind="stable")
    start = np.searchsorted(unit[order], np.arange(len(names) + 1))
    of_unit = sparse.csr_array((weights[order], order, start), shape=(len(names), len(unit)))
    pooled = of_unit @ probs.astype(np.float64, copy=False)
    pooled /= np.bincount(unit, weights, minlength=len(names))[:, None]
    union = np.maximum.reduceat(labels[order], start[:-1], axis=0).astype(np.float64)
    return pooled, union, tuple(names.tolist())


def _known_weights(
    weights: Float[np.ndarray, " example"], groups: Sequence[str]
) -> Float[np.ndarray, " example"]:
    """Weights with missing and all-zero ones replaced; see the module's docstring."""
    wrong = np.flatnonzero((weights < 0) | np.isinf(weights))
    if len(wrong):
        raise InputError(
            f"example {wrong[0]} of compound {groups[wrong[0]]} has the weight "
            f"{weights[wrong[0]]}; expected a finite number that is not negative."
        )
    compound = pd.Series(weights).groupby(np.asarray(groups, dtype=str))
    filled = np.where(np.isnan(weights), compound.transform("mean"), weights)
    useless = compound.transform("sum").to_numpy() == 0
    return np.where(useless, 1.0, filled)


def signature_weights(examples: Examples, kind: str) -> Float[np.ndarray, " example"]:
    """Weight of each example for `pool_by_compound`, NaN where unknown.

    Args:
      examples: the examples to be pooled.
      kind: one of `WEIGHT_KINDS`: `mean` (all equal); `tas`, `cc_q75` and `replicates` from the
        signature table (a negative correlation counts as 0); `strength` and `num_strong`, see
        `signature_strength` and `num_strong_genes`; `balanced_cell_line`, `balanced_dose` and
        `balanced_time`, for the mean over a compound's cell lines (doses, times) of the means
        within each; examples without the value form one of them.

    Raises:
      InputError: there is no such kind.
    """
    if kind not in WEIGHT_KINDS:
        raise InputError(f"there is no weight {kind!r}; the weights are {', '.join(WEIGHT_KINDS)}.")
    if kind in _COLUMNS:
        return examples.table[_COLUMNS[kind]].to_numpy(dtype=float, na_value=np.nan).clip(min=0)
    if kind in _BALANCED:
        keys = {"group": list(examples.groups), "level": examples.table[_BALANCED[kind]]}
        cells = pd.DataFrame(keys).groupby(["group", "level"], dropna=False)
        return 1 / cells["group"].transform("size").to_numpy(dtype=float)
    if kind == "strength":
        return signature_strength(examples)
    if kind == "num_strong":
        return num_strong_genes(examples)
    return np.ones(examples.num_examples)


def signature_strength(examples: Examples) -> Float[np.ndarray, " example"]:
    """Root mean square z-score of the measured genes; NaN without expression.

    Proportional to the L2 norm, but comparable between different numbers of genes.
    """
    squares = examples.expression[:, examples.gene_mask].astype(np.float64) ** 2
    return np.where(examples.has_expression, np.sqrt(squares.mean(axis=1)), np.nan)


def series_weights(examples: Examples) -> Float[np.ndarray, " example"]:
    """Weight of each example in its compound's answer: doses of a series are not equal votes.

    The signatures of a compound in one cell line at one time are a dose series. Most doses have
    little effect and would outvote the effective ones if weighted equally, so a dose is weighted by
    the energy (mean square z-score) of its signatures. Noise contributes the same energy at all
    doses, so that a dose without effect keeps a small weight and one dose dominates only if it is
    much stronger. This needs no threshold, and strength is not counted twice, because the model
    uses only the direction of a signature.

    Signatures of one dose are replicates and share its weight; the total weight of a series is its
    number of signatures per dose. So all series of single signatures have equal weight, and if
    every series has one dose, all weights are exactly 1: the plain mean, used in calibration.

    Args:
      examples: the pooled examples. Doses are equal if they agree in two digits, doses and times
        of unknown unit if their texts are equal; unknown doses, times or cell lines form one value.

    Returns:
      Weights for `pool_by_compound`; 0 for examples without expression.
    """
    weights = np.zeros(examples.num_examples)
    rows = np.flatnonzero(examples.has_expression)
    if not len(rows):
        return weights
    table = examples.table.iloc[rows].reset_index(drop=True)
    doses = [
        f"{dose:.1e}" if isinstance(dose, float) else str(dose)
        for dose in with_written(table, "dose_um")
    ]
    series = pd.DataFrame(
        {
            "group": np.asarray(examples.groups, dtype=object)[rows],
            "cell_line": table["cell_line"],
            "time_h": with_written(table, "time_h").astype(str),
        }
    ).groupby(["group", "cell_line", "time_h"], dropna=False)
    signatures = pd.DataFrame({"series": series.ngroup(), "dose": doses})
    signatures["energy"] = signature_strength(examples)[rows] ** 2
    of_dose = signatures.groupby(["series", "dose"])["energy"]
    signatures["share"] = of_dose.transform("mean") / of_dose.transform("size")
    of_series = signatures.groupby("series")
    count = of_series["share"].transform("size")
    num_doses = of_series["dose"].transform("nunique")
    total = of_series["share"].transform("sum")
    # In a series without energy all signatures have equal weight.
    share = np.where(total > 0, signatures["share"] / total.where(total > 0, 1.0), 1 / count)
    weights[rows] = np.where(num_doses == 1, 1.0, share * count / num_doses)
    return weights


def num_strong_genes(examples: Examples) -> Float[np.ndarray, " example"]:
    """Number of measured genes with |z| >= `STRONG_Z`; NaN without expression."""
    strong = np.abs(examples.expression[:, examples.gene_mask]) >= STRONG_Z
    return np.where(examples.has_expression, strong.sum(axis=1), np.nan)


def median_by_compound(
    values: Float[np.ndarray, " example"], groups: Sequence[str]
) -> Float[np.ndarray, " compound"]:
    """Median of the known values of each compound, in the sorted order of `pool_by_compound`.

    NaN where none of a compound's values is known.
    """
    return pd.Series(values).groupby(np.asarray(groups, dtype=str)).median().to_numpy(dtype=float)
