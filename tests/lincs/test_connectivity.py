import numpy as np
import pandas as pd
import pytest
from scipy import stats

from moa_jax.lincs.connectivity import (
    enrichment_scores,
    extreme_sets,
    max_quantile,
    ncs,
    tau,
    wtcs,
)
from moa_jax.schemas import InputError
from tests.matrices import read_matrix


def signatures(count, num_genes, seed=0):
    return np.random.default_rng(seed).normal(size=(count, num_genes))


def walked(values, members):
    """The statistic by its definition, one gene at a time."""
    weights = [abs(value) if member else 0 for value, member in zip(values, members, strict=True)]
    step = 1 / (~members).sum()
    running, sums = 0.0, []
    for gene in sorted(range(len(values)), key=lambda gene: -values[gene]):
        running += weights[gene] / sum(weights) if members[gene] else -step
        sums.append(running)
    return max(sums) if max(sums) + min(sums) > 1e-9 else min(sums)


def read_set(path):
    return path.read_text().split()


def test_golden_trichostatin(golden):
    matrix = read_matrix(golden / "trichostatina_mcf7_10um_score.gct")
    up, down = (
        np.isin(matrix.gene_ids, read_set(golden / name))[None]
        for name in ("HDAC_UP.grp", "HDAC_DN.grp")
    )
    assert (up.sum(), down.sum()) == (14, 11)
    parts = enrichment_scores(matrix.values, np.concatenate([up, down]))
    np.testing.assert_allclose(parts[:, 0], [0.7449, -0.8016], rtol=0, atol=5e-5)
    found = wtcs(matrix.values, up, down)
    assert found.shape == (1, 1)
    assert found[0, 0] == pytest.approx(0.7733, abs=5e-5)


def test_enrichment_by_hand():
    values = np.array([[3.0, 1.0, -2.0, 0.5, -4.0]])
    sets = np.array([[1, 0, 0, 1, 0], [0, 0, 1, 0, 1], [0, 1, 1, 0, 0]], bool)
    # Ranked: genes 0 1 3 2 4. First set: 6/7, less 1/3, then 1 - 1/3; highest at the start.
    # Second: down to -1, then up. Third: -1/3, 0, -1/3, 1/3, 0: as far below as above.
    np.testing.assert_allclose(
        enrichment_scores(values, sets)[:, 0], [6 / 7, -1, -1 / 3], rtol=1e-6
    )


def test_enrichment_is_the_definition():
    values = signatures(7, 40)
    sets = np.random.default_rng(1).random((9, 40)) < np.linspace(0.05, 0.9, 9)[:, None]
    sets[:, 0], sets[:, 1] = True, False
    expected = [[walked(row, members) for row in values] for members in sets]
    np.testing.assert_allclose(enrichment_scores(values, sets), expected, rtol=0, atol=5e-6)


def test_enrichment_is_that_of_gseapy():
    gseapy = pytest.importorskip("gseapy")
    genes = [f"G{gene}" for gene in range(200)]
    values = signatures(3, 200, seed=5)
    sets = np.random.default_rng(6).random((4, 200)) < 0.15
    members = {
        f"S{row}": [gene for gene, member in zip(genes, one, strict=True) if member]
        for row, one in enumerate(sets)
    }
    found = enrichment_scores(values, sets)
    for row, signature in enumerate(values):
        result = gseapy.prerank(
            rnk=pd.Series(signature, index=genes),
            gene_sets=members,
            weight=1.0,
            min_size=1,
            max_size=200,
            permutation_num=1,
            outdir=None,
            no_plot=True,
            threads=1,
            seed=0,
        ).res2d.set_index("Term")["ES"]
        expected = [float(result[f"S{one}"]) for one in range(4)]
        np.testing.assert_allclose(found[:, row], expected, rtol=0, atol=2e-6)


def test_blocks_and_padding_change_nothing(monkeypatch):
    values = signatures(11, 30)
    sets = np.random.default_rng(2).random((13, 30)) < 0.3
    whole = enrichment_scores(values, sets)
    monkeypatch.setattr("moa_jax.lincs.connectivity._SUMS_PER_BLOCK", 512)
    monkeypatch.setattr("moa_jax.lincs.connectivity._SIGNATURES_PER_BLOCK", 7)
    np.testing.assert_allclose(enrichment_scores(values, sets), whole, atol=1e-6)
    up, down = extreme_sets(signatures(13, 30, seed=3), 5)
    scores = wtcs(values, up, down)
    monkeypatch.setattr("moa_jax.lincs.connectivity._QUERIES_PER_BLOCK", 4)
    np.testing.assert_allclose(wtcs(values, up, down), scores, atol=1e-6)
    assert enrichment_scores(values[:0], sets).shape == (13, 0)
    assert enrichment_scores(values, sets[:0]).shape == (0, 11)


def test_enrichment_that_is_not_defined_is_zero():
    values = np.array([[0.0, 0.0, 2.0, -1.0], [0.0, 0.0, 0.0, 0.0]])
    sets = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 0]], bool)
    np.testing.assert_allclose(enrichment_scores(values, sets), [[0, 0]] * 3 + [[1, 0]])


def test_equal_values_are_ranked_by_column():
    values = np.array([[1.0, 1.0, 1.0]])
    # First column first: the first set is met at once, the last one at the end. The second falls
    # to -1/2 before it rises to 1/2.
    found = enrichment_scores(values, np.eye(3, dtype=bool))
    np.testing.assert_allclose(found[:, 0], [1, -0.5, -1])


def test_values_that_are_not_numbers_are_refused():
    values = signatures(2, 4)
    values[1, 2] = np.nan
    with pytest.raises(InputError, match=r"signature 2 has the value nan for gene 3; expected"):
        enrichment_scores(values, np.ones((1, 4), bool))
    with pytest.raises(InputError, match="signature 2 has the value nan for gene 3"):
        extreme_sets(values, 1)
    up, _ = extreme_sets(values, 1, measured=np.array([True, True, False, True]))
    assert up.sum(axis=1).tolist() == [1, 1]


def test_wtcs_is_zero_where_both_sets_go_one_way():
    values = np.array([[4.0, 3.0, -3.0, -4.0, 0.1, -0.1]])
    top, next_top, bottom = (np.eye(6, dtype=bool)[[gene]] for gene in (0, 1, 3))
    none = np.zeros((1, 6), bool)
    assert wtcs(values, top, bottom)[0, 0] == pytest.approx(1)
    assert wtcs(values, bottom, top)[0, 0] == pytest.approx(-1)
    assert wtcs(values, top, next_top)[0, 0] == 0
    # One empty set: the other speaks alone.
    assert wtcs(values, next_top, none)[0, 0] == pytest.approx(0.8)
    assert wtcs(values, none, next_top)[0, 0] == pytest.approx(-0.8)
    assert wtcs(values, none, none)[0, 0] == 0
    with pytest.raises(InputError, match="query 1 has gene 1 in its up and in its down set"):
        wtcs(values, top, top)


def test_a_signature_connects_with_itself_and_against_its_opposite():
    values = signatures(5, 60)
    up, down = extreme_sets(values, 10)
    itself = wtcs(values, up, down)
    np.testing.assert_allclose(np.diag(itself), 1, atol=1e-6)
    np.testing.assert_allclose(wtcs(-values, up, down), -itself, atol=1e-6)
    np.testing.assert_allclose(wtcs(values, down, up), -itself, atol=1e-6)


def test_extreme_sets_by_hand():
    values = np.array([[5.0, 1.0, 3.0, -2.0, 1.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    up, down = extreme_sets(values, 2)
    np.testing.assert_array_equal(up, [[1, 0, 1, 0, 0], [1, 1, 0, 0, 0]])
    np.testing.assert_array_equal(down, [[0, 0, 0, 1, 1], [0, 0, 0, 1, 1]])
    # Of three measured genes each set gets one.
    up, down = extreme_sets(values[:1], 2, measured=np.array([False, True, True, True, False]))
    np.testing.assert_array_equal([up[0], down[0]], [[0, 0, 1, 0, 0], [0, 0, 0, 1, 0]])


def plain_ncs(scores, contexts):
    found = np.zeros(scores.shape)
    for query, row in enumerate(scores):
        for signature, value in enumerate(row):
            same = [
                other
                for other, context in zip(row, contexts, strict=True)
                if context == contexts[signature] and np.sign(other) == np.sign(value)
            ]
            found[query, signature] = value / abs(np.mean(same)) if value else 0.0
    return found


def test_ncs_is_the_plain_one():
    scores = np.round(signatures(6, 40), 1)
    scores[:, ::7] = 0
    contexts = [["A375", "MCF7", None, "lone"][row % 3 if row else 3] for row in range(40)]
    found = ncs(scores, contexts)
    np.testing.assert_allclose(found, plain_ncs(scores, contexts), rtol=1e-12)
    # Normalised, the scores of one sign and context have mean 1: doing it again changes nothing.
    np.testing.assert_allclose(ncs(found, contexts), found, rtol=1e-12)
    assert set(np.abs(ncs(scores, contexts)[:, 0])) <= {0.0, 1.0}


def test_tau_is_the_plain_one():
    scores, references = np.round(signatures(7, 12), 1), np.round(signatures(25, 12, seed=1), 1)
    expected = [
        [
            np.sign(value) * 100 * np.mean([abs(other) < abs(value) for other in column])
            for value, column in zip(row, references.T, strict=True)
        ]
        for row in scores
    ]
    np.testing.assert_allclose(tau(scores, references), expected, rtol=1e-6)
    # Away from ties it is the percentile of scipy.
    found = tau(np.array([[-1.5]]), signatures(99, 1))[0, 0]
    assert found == pytest.approx(-stats.percentileofscore(np.abs(signatures(99, 1))[:, 0], 1.5))


def test_max_quantile_by_hand():
    scores = np.array([[0.0, 1.0, 2.0, 3.0, -9.0], [0.0, -1.0, -2.0, -3.0, 9.0]])
    members = np.array([[1, 1, 1, 1, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 0]], bool)
    # 0..3: percentiles 2.01 and .99. (-9, 3): -.96 and -5.04.
    np.testing.assert_allclose(
        max_quantile(scores, members), [[2.01, -5.04, np.nan], [-2.01, 5.04, np.nan]]
    )
