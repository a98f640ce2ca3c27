"""Gene set enrichment of attributions, with p-values that hold for correlated genes.

A competitive test asks whether the genes of a set rank higher than all other measured genes.
Genes of a pathway are correlated, so the usual tests (rank sum, GSEA with permuted genes,
over-representation) report far too many sets. CAMERA (Wu and Smyth 2012,
https://doi.org/10.1093/nar/gks461) corrects the variance for the mean correlation within the set;
its rank form is used because attributions have heavy tails.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy import stats

from moa_jax.evaluation.multiple_testing import adjusted_p_values
from moa_jax.explanation.evidence.gene_sets import GeneSets
from moa_jax.schemas import InputError

# For `distinct_sets`: largest false discovery rate of a set, largest p-value and smallest number of
# its remaining genes, and largest number of sets.
MAX_Q, MAX_P_REST, MIN_REST, MAX_SETS = 0.05, 0.05, 3, 10

Alternative = Literal["greater", "less", "two-sided"]
Scores = Float[np.ndarray, " gene"]
PerSet = Float[np.ndarray, " set"]


def within_set_correlation(
    reference: Float[np.ndarray, "example gene"], members: Bool[np.ndarray, "set gene"]
) -> PerSet:
    """Mean Pearson correlation between the genes of each set.

    Negative means count as 0, as in CAMERA's default. Constant genes have a correlation of 0, as
    have sets of fewer than two genes.

    Args:
      reference: scores without enrichment, at least two rows: `residuals` of the attributions of
        other examples. Effects have to be removed, else a true response of a set counts as
        correlation and hides itself.
      members: genes of each set.
    """
    centred = reference - reference.mean(axis=0)
    length = np.linalg.norm(centred, axis=0)
    unit = np.divide(centred, length, out=np.zeros_like(centred), where=length > 0)
    # The squared length of a sum of unit vectors is the sum of all their correlations.
    everything = np.square(unit @ members.T.astype(unit.dtype)).sum(axis=0)
    itself = members @ (length > 0).astype(float)
    size = members.sum(axis=1)
    pairs = size * (size - 1.0)
    mean = np.divide(everything - itself, pairs, out=np.zeros(len(members)), where=pairs > 0)
    return np.clip(mean, 0.0, 1.0)


def residuals(
    values: Float[np.ndarray, "example gene"], units: Sequence[str]
) -> Float[np.ndarray, "residual gene"]:
    """Rows minus the mean of their unit, for units with several rows.

    Args:
      values: attributions or signatures.
      units: unit of each row, such as its compound.
    """
    _, unit, counts = np.unique(np.asarray(units, str), return_inverse=True, return_counts=True)
    total = np.zeros((len(counts), values.shape[1]))
    np.add.at(total, unit, values)
    return (values - total[unit] / counts[unit][:, None])[counts[unit] > 1]


def rank_sum_test(
    scores: Scores,
    members: Bool[np.ndarray, "set gene"],
    correlation: PerSet,
    *,
    alternative: Alternative = "two-sided",
) -> tuple[PerSet, PerSet]:
    """Rank sum test of each set against all other genes, for genes correlated within the set.

    Wu and Smyth 2012, "Rank-based test": with n1 genes inside, n2 outside and correlation r, the
    variance of the rank sum is n1 n2 / (2 pi) times
    `asin 1 + (n2 - 1) asin 1/2 + (n1 - 1)(n2 - 1) asin r/2 + (n1 - 1) asin (1 + r)/2`. With r = 0
    it is Wilcoxon's. Corrected for ties and continuity.

    Returns:
      The statistic (standard normal where nothing is enriched, positive where a set ranks high)
      and its p-value; NaN for a set without genes or with all of them.
    """
    count = len(scores)
    inside = members.sum(axis=1).astype(float)
    outside = count - inside
    ranks = stats.rankdata(scores)
    # Number of pairs in which the gene of the set ranks higher, minus its expectation.
    excess = members @ ranks - inside * (inside + 1) / 2 - inside * outside / 2
    angles = (
        np.arcsin(1.0)
        + (outside - 1) * np.arcsin(0.5)
        + (inside - 1) * (outside - 1) * np.arcsin(correlation / 2)
        + (inside - 1) * np.arcsin((1 + correlation) / 2)
    )
    variance = inside * outside / (2 * np.pi) * angles
    _, repeats = np.unique(scores, return_counts=True)
    repeats = repeats.astype(float)
    untied = 1 - (repeats**3 - repeats).sum() / max(count**3 - count, 1)
    spread = np.sqrt(variance * untied)
    usable = (inside > 0) & (outside > 0) & (spread > 0)
    spread = np.where(usable, spread, np.nan)
    shift = {"greater": 0.5, "less": -0.5, "two-sided": 0.5 * np.sign(excess)}[alternative]
    statistic = (excess - shift) / spread
    p_values = {
        "greater": stats.norm.sf(statistic),
        "less": stats.norm.cdf(statistic),
        "two-sided": np.minimum(2 * stats.norm.sf(np.abs(statistic)), 1.0),
    }[alternative]
    return statistic, p_values


def enrichment(
    scores: Scores,
    sets: GeneSets,
    *,
    reference: Float[np.ndarray, "example gene"] | None = None,
    alternative: Alternative = "two-sided",
) -> pd.DataFrame:
    """Tests every set; the background is all scored genes.

    Args:
      scores: attribution of each gene, signed or as magnitude.
      sets: sets over the same genes.
      reference: see `within_set_correlation`; None for independent genes, such as permuted ones.
      alternative: `greater` tests whether a set ranks higher than the other genes.

    Returns:
      One row per set, in their order: `collection`, `set_id`, `name`, `num_genes`, `mean` and
      `mean_elsewhere` (of the scores), `correlation`, `variance_inflation` (1 + (size - 1) times
      the correlation: variance of the set's mean relative to that of independent genes),
      `statistic`, `p_value` and `q_value` (Benjamini-Hochberg over all rows).

    Raises:
      InputError: a score is not finite, or sets and scores differ in the number of genes.
    """
    _require_usable(scores, sets)
    members, size = sets.members, sets.sizes
    correlation = (
        np.zeros(sets.num_sets) if reference is None else within_set_correlation(reference, members)
    )
    statistic, p_values = rank_sum_test(scores, members, correlation, alternative=alternative)
    total = members @ scores
    with np.errstate(invalid="ignore"):
        mean, elsewhere = total / size, (scores.sum() - total) / (len(scores) - size)
    return pd.DataFrame(
        {
            "collection": sets.collection,
            "set_id": sets.ids,
            "name": sets.names,
            "num_genes": size,
            "mean": mean,
            "mean_elsewhere": elsewhere,
            "correlation": correlation,
            "variance_inflation": 1 + np.maximum(size - 1, 0) * correlation,
            "statistic": statistic,
            "p_value": p_values,
            "q_value": adjusted_p_values(p_values),
        }
    )


def distinct_sets(
    scores: Scores,
    sets: GeneSets,
    table: pd.DataFrame,
) -> pd.DataFrame:
    """The sets that are enriched independently of better ones.

    Sets overlap, so one signal makes many of them significant. They are selected in the order of
    their p-values; each must remain enriched when the genes of the sets selected before are removed
    from it and from the background (as in "elim", Alexa 2006, but for any sets).

    Args:
      scores: as for `enrichment`.
      sets: as for `enrichment`.
      table: result of `enrichment`.

    Returns:
      Rows of `table` in the order of selection, with `num_rest` (number of remaining genes),
      `p_value_rest`, and `genes` (columns of the set's genes, those with the strongest scores
      first).
    """
    free = np.ones(len(scores), bool)
    sign = np.sign(table["statistic"].to_numpy())
    order = np.lexsort((table["set_id"], table["collection"], table["p_value"]))
    taken = []
    for row in order[table["q_value"].to_numpy()[order] <= MAX_Q]:
        rest = sets.members[row] & free
        if len(taken) == MAX_SETS or rest.sum() < MIN_REST:
            continue
        correlation = table["correlation"].to_numpy()[[row]]
        (statistic,), (p_value,) = rank_sum_test(scores[free], rest[None, free], correlation)
        if not (p_value <= MAX_P_REST and statistic * sign[row] > 0):
            continue
        free &= ~sets.members[row]
        genes = np.flatnonzero(sets.members[row])
        leading = genes[np.argsort(-sign[row] * scores[genes], kind="stable")]
        taken.append((row, int(rest.sum()), p_value, tuple(leading.tolist())))
    rows = [row for row, *_ in taken]
    return table.iloc[rows].assign(
        num_rest=[count for _, count, _, _ in taken],
        p_value_rest=[p_value for _, _, p_value, _ in taken],
        genes=[genes for *_, genes in taken],
    )


def _require_usable(scores: Scores, sets: GeneSets) -> None:
    if sets.members.shape[1] != len(scores):
        raise InputError(
            f"there are {len(scores)} scores but gene sets over {sets.members.shape[1]} genes; "
            "expected the same genes in the same order."
        )
    wrong = np.flatnonzero(~np.isfinite(scores))
    if len(wrong):
        raise InputError(
            f"the score of gene {wrong[0]} is {scores[wrong[0]]}; expected finite numbers."
        )
