"""The rank test against scipy and by simulation, and what is left of overlapping sets."""

import gseapy
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from moa_jax.explanation.evidence.enrichment import (
    distinct_sets,
    enrichment,
    rank_sum_test,
    residuals,
    within_set_correlation,
)
from moa_jax.explanation.evidence.gene_sets import GeneSets
from moa_jax.schemas import InputError

NUM_GENES = 200


def sets_of(*genes, num_genes=NUM_GENES):
    members = np.zeros((len(genes), num_genes), bool)
    for row, own in enumerate(genes):
        members[row, list(own)] = True
    names = tuple(f"set {row}" for row in range(len(genes)))
    return GeneSets(("made up",) * len(genes), names, names, members)


def correlated(rng, num_examples, *, block=20, correlation=0.3, num_genes=NUM_GENES):
    """Genes that share a factor within each block of neighbours."""
    factor = np.repeat(rng.normal(size=(num_examples, num_genes // block)), block, axis=1)
    own = rng.normal(size=(num_examples, num_genes))
    return np.sqrt(correlation) * factor + np.sqrt(1 - correlation) * own


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("tied", [False, True])
def test_without_correlation_it_is_mann_whitney(alternative, tied):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=NUM_GENES)
    scores[:30] += 0.3
    if tied:
        scores = np.round(scores)
    sets = sets_of(range(30), range(20, 90), [5], range(100, 104))
    _, p_values = rank_sum_test(scores, sets.members, np.zeros(4), alternative=alternative)
    expected = [
        stats.mannwhitneyu(
            scores[row], scores[~row], alternative=alternative, method="asymptotic"
        ).pvalue
        for row in sets.members
    ]
    np.testing.assert_allclose(p_values, expected, rtol=1e-9)


def test_the_variance_is_that_of_correlated_normal_scores():
    rng = np.random.default_rng(1)
    members = sets_of(range(20)).members
    statistic = [
        rank_sum_test(row, members, np.array([0.3]))[0][0]
        for row in correlated(rng, 800, correlation=0.3)
    ]
    # The other blocks are correlated too, which the formula leaves out: a little less than 1.
    assert np.std(statistic) == pytest.approx(1.0, abs=0.08)


def test_p_values_are_uniform_when_genes_are_permuted():
    rng = np.random.default_rng(2)
    scores = rng.standard_t(2, size=1000)
    sets = sets_of(
        *(rng.choice(1000, size, replace=False) for size in (10, 25, 60, 150)), num_genes=1000
    )
    p_values = np.concatenate(
        [rank_sum_test(rng.permutation(scores), sets.members, np.zeros(4))[1] for _ in range(1000)]
    )
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    assert (p_values < 0.05).mean() == pytest.approx(0.05, abs=0.01)


def test_correlated_genes_do_not_make_false_discoveries():
    rng = np.random.default_rng(3)
    sets = sets_of(*(range(start, start + 20) for start in range(0, 200, 20)))
    reference = correlated(rng, 200)
    corrected, naive = [], []
    for scores in correlated(rng, 120):
        corrected.append(enrichment(scores, sets, reference=reference)["p_value"])
        naive.append(enrichment(scores, sets)["p_value"])
    assert np.mean(np.concatenate(naive) < 0.05) > 0.3
    assert 0.02 < np.mean(np.concatenate(corrected) < 0.05) < 0.07


def test_within_set_correlation_is_the_mean_of_the_matrix():
    rng = np.random.default_rng(4)
    reference = correlated(rng, 40, num_genes=40)
    reference[:, 7] = 3.0
    sets = sets_of(range(10), range(20, 40), [0], [0, 25], num_genes=40)
    with np.errstate(invalid="ignore"):
        matrix = np.nan_to_num(np.corrcoef(reference.T))
    expected = []
    for row in sets.members:
        own = matrix[np.ix_(row, row)][~np.eye(row.sum(), dtype=bool)]
        expected.append(max(own.mean(), 0.0) if own.size else 0.0)
    np.testing.assert_allclose(
        within_set_correlation(reference, sets.members), expected, atol=1e-12
    )


def test_residuals_leave_the_effects_of_units_out():
    values = np.array([[1.0, 5.0], [7.0, 7.0], [3.0, 9.0]])
    np.testing.assert_array_equal(residuals(values, ["a", "b", "a"]), [[-1, -2], [1, 2]])
    # An effect on a whole set is no correlation within it.
    rng = np.random.default_rng(7)
    effects = np.repeat(rng.normal(size=(30, 1)) * 5, 4, axis=0) * (np.arange(40) < 10)
    reference = effects + rng.normal(size=(120, 40))
    members = sets_of(range(10), num_genes=40).members
    units = [f"compound {row // 4}" for row in range(120)]
    assert within_set_correlation(reference, members)[0] > 0.9
    assert within_set_correlation(residuals(reference, units), members)[0] < 0.05


def test_the_columns_of_the_table():
    scores = np.arange(10.0)
    sets = sets_of([7, 8, 9], [0, 5], range(10), num_genes=10)
    table = enrichment(scores, sets, reference=np.eye(10))
    assert table["num_genes"].tolist() == [3, 2, 10]
    assert table["mean"].tolist() == [8.0, 2.5, 4.5]
    assert table["mean_elsewhere"].tolist()[:2] == [3.0, 5.0]
    # Rows of the identity are negatively correlated.
    assert table["variance_inflation"].tolist() == [1.0, 1.0, 1.0]
    # All genes in the set leave nothing to compare with.
    assert np.isnan(table["p_value"].iloc[2])
    assert np.isnan(table["q_value"].iloc[2])
    lower, upper = table["p_value"].iloc[:2]
    assert table["q_value"].tolist()[:2] == [min(2 * lower, upper), upper]
    assert table["statistic"].iloc[0] > 0 > table["statistic"].iloc[1]


def test_sets_are_ordered_as_gsea_orders_them():
    rng = np.random.default_rng(5)
    scores = rng.normal(size=NUM_GENES)
    shifts = np.linspace(-1.5, 1.5, 7)
    blocks = [range(20 * block, 20 * block + 20) for block in range(7)]
    for block, shift in zip(blocks, shifts, strict=True):
        scores[list(block)] += shift
    sets = sets_of(*blocks)
    genes = np.array([f"G{gene}" for gene in range(NUM_GENES)])
    gsea = (
        gseapy.prerank(
            rnk=pd.Series(scores, index=genes),
            gene_sets={
                name: genes[row].tolist() for name, row in zip(sets.ids, sets.members, strict=True)
            },
            min_size=5,
            permutation_num=100,
            outdir=None,
            seed=0,
            no_plot=True,
        )
        .res2d.set_index("Term")["NES"]
        .astype(float)
    )
    ours = enrichment(scores, sets).set_index("set_id")["statistic"]
    assert stats.spearmanr(gsea.reindex(ours.index), ours).statistic > 0.85
    np.testing.assert_array_equal(
        np.sign(gsea.reindex(ours.index).iloc[[0, 1, 5, 6]]), [-1, -1, 1, 1]
    )
    # The statistic orders sets of one size as the area under the ROC curve does.
    areas = [roc_auc_score(row, scores) for row in sets.members]
    assert stats.spearmanr(areas, ours).statistic == pytest.approx(1.0)


def test_sets_that_repeat_a_better_one_are_left_out():
    rng = np.random.default_rng(6)
    scores = rng.normal(size=NUM_GENES)
    scores[:30] += 2.5
    scores[100:120] -= 2.5
    # The core, a wider set with nothing of its own, one of the other sign, and one by chance.
    sets = sets_of(range(30), range(50), range(100, 120), range(150, 170))
    table = enrichment(scores, sets)
    assert (table["q_value"] <= 0.05).tolist() == [True, True, True, False]
    found = distinct_sets(scores, sets, table)
    assert found["set_id"].tolist() == ["set 0", "set 2"]
    assert found["num_rest"].tolist() == [30, 20]
    for row, genes in enumerate(found["genes"]):
        assert set(genes) == set(np.flatnonzero(sets.members[[0, 2][row]]))
    assert found["genes"].iloc[0][0] == np.argmax(scores[:30])
    assert found["genes"].iloc[1][0] == 100 + np.argmin(scores[100:120])
    assert len(distinct_sets(scores, sets, table.assign(q_value=0.06))) == 0


def test_unusable_scores_are_refused():
    scores = np.zeros(NUM_GENES)
    with pytest.raises(InputError, match="there are 200 scores but gene sets over 10"):
        enrichment(scores, sets_of([1], num_genes=10))
    scores[4] = np.nan
    with pytest.raises(InputError, match="the score of gene 4 is nan"):
        enrichment(scores, sets_of([1]))
