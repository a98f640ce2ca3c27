import numpy as np
import pytest

from moa_jax.lincs.connectivity import extreme_sets
from moa_jax.lincs.extreme_scores import extreme_only, sscmap, xcos, xsum


def signatures(count, num_genes=40, seed=0):
    return np.random.default_rng(seed).normal(size=(count, num_genes))


def test_extremes_by_hand():
    values = np.array([[3.0, -1.0, 2.0, 0.5, -4.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
    np.testing.assert_array_equal(extreme_only(values, 1), [[3, 0, 0, 0, -4], [1, 0, 0, 0, 1]])
    np.testing.assert_array_equal(extreme_only(values, 3), values)
    np.testing.assert_array_equal(extreme_only(values, 0), 0)


def test_xsum_is_the_plain_one():
    references, queries = signatures(6), signatures(4, seed=1)
    up, down = extreme_sets(queries, 5)
    found = xsum(up, down, extreme_only(references, 8))
    for query in range(4):
        for row, reference in enumerate(references):
            order = np.argsort(-reference)
            changed = set(order[:8]) | set(order[-8:])
            expected = sum(reference[gene] for gene in changed & set(np.flatnonzero(up[query])))
            expected -= sum(reference[gene] for gene in changed & set(np.flatnonzero(down[query])))
            assert found[query, row] == pytest.approx(expected)


def test_xcos_by_hand():
    references = np.array([[3.0, 0.0, -4.0], [0.0, 0.0, 0.0]])
    queries = np.array([[6.0, 8.0, 0.0], [3.0, 0.0, -4.0]])
    np.testing.assert_allclose(xcos(queries, references), [[18 / 50, 0], [1, 0]])


def plain_sscmap(query, reference):
    """Zhang and Gant 2008, one gene at a time, for values without ties."""
    genes = np.flatnonzero(query)
    by_size = lambda values, gene, pool: sum(  # noqa: E731 (used in one line)
        abs(values[other]) <= abs(values[gene]) for other in pool
    )
    strength = sum(
        np.sign(reference[gene])
        * by_size(reference, gene, range(len(reference)))
        * np.sign(query[gene])
        * by_size(query, gene, genes)
        for gene in genes
    )
    return strength / sum(
        (len(reference) - place) * (len(genes) - place) for place in range(len(genes))
    )


def test_sscmap_is_the_plain_one():
    references, queries = signatures(5), extreme_only(signatures(3, seed=1), 4)
    expected = [[plain_sscmap(query, row) for row in references] for query in queries]
    np.testing.assert_allclose(sscmap(queries, references), expected)


def test_sscmap_reaches_one_and_minus_one():
    references = signatures(2)
    # The query of the 7 largest genes of a reference, in their order and signs.
    largest = np.abs(references) >= np.sort(np.abs(references), axis=1)[:, [-7]]
    queries = np.where(largest, references, 0)
    np.testing.assert_allclose(np.diag(sscmap(queries, references)), 1)
    np.testing.assert_allclose(np.diag(sscmap(-10 * queries, references)), -1)
    np.testing.assert_array_equal(sscmap(np.zeros((1, 40)), references), 0)
