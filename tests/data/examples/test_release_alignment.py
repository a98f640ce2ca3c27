import dataclasses

import numpy as np
import pytest

from moa_jax.data.examples.build import build_examples
from moa_jax.data.examples.release_alignment import align_examples
from moa_jax.schemas import InputError, Signatures
from tests.small_sets import dataset, gene_table

COMPOUNDS = [
    ("P1", "A", "CO", ("x", "unknown")),
    ("P2", "B", "CCO", ("Y",)),
    ("P3", "C", "CCCO", ("unknown",)),
    ("P4", "D", None, ("x",)),
    ("P5", "E", "CCCCO", ()),
]
LIKE = build_examples(
    dataset([("Q1", "QA", "CN", ("x",)), ("Q2", "QB", "CCN", ("y",))], ["Q1", "Q2", "Q1"], seed=1),
    min_compounds=1,
)
GENES = gene_table(4)


def other_release(expression, genes=GENES, pert_ids=("P1", "P2", "P3", "P4", "P5", "P6")):
    """A release of its own with the given values and genes."""
    made = dataset(COMPOUNDS, list(pert_ids), num_genes=len(genes), manifest={"release": "other"})
    graph_genes = made.graph.genes.copy()
    graph_genes.loc[: len(genes) - 1, "entrez_id"] = genes["entrez_id"].to_numpy()
    return dataclasses.replace(
        made,
        signatures=Signatures(np.asarray(expression, np.float32), genes, made.signatures.table),
        graph=dataclasses.replace(made.graph, genes=graph_genes),
    )


def root_mean_square(rows):
    return np.sqrt((np.asarray(rows, float) ** 2).mean(axis=1))


def test_genes_are_matched_by_entrez_id_and_missing_ones_masked(capsys):
    # The other release has the genes 2, 0 and 1, and one that `like` does not have.
    genes = gene_table(6).iloc[[2, 5, 0, 1]].reset_index(drop=True)
    values = np.arange(24).reshape(6, 4) + 1.0
    aligned = align_examples(other_release(values, genes), LIKE, GENES)
    np.testing.assert_array_equal(aligned.gene_mask, [True, True, True, False])
    typical = np.median(root_mean_square(LIKE.expression[:, :3]))
    for row, kept in enumerate([0, 1]):
        expected = values[kept, [2, 3, 0]]
        expected = expected * typical / root_mean_square(expected[None])
        np.testing.assert_allclose(aligned.expression[row], [*expected, 0], rtol=1e-6)
    assert aligned.moas == ("x", "y")
    # P3 has no MoA of the vocabulary, P4 no structure, P5 no MoA, P6 no compound row.
    assert aligned.table["pert_id"].tolist() == ["P1", "P2"]
    np.testing.assert_array_equal(aligned.labels, [[1, 0], [0, 1]])
    assert (aligned.groups, aligned.smiles) == (("A", "B"), ("CO", "CCO"))
    assert capsys.readouterr().err == (
        "other: 2 signatures of 2 compounds have one of the 2 MoAs; left out: 1 with other MoAs, "
        "3 without MoA or structure\n"
    )


def test_the_scale_is_taken_row_by_row():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(6, 4))
    values[1] = 0
    plain = align_examples(other_release(values), LIKE, GENES).expression
    typical = np.median(root_mean_square(LIKE.expression))
    np.testing.assert_allclose(root_mean_square(plain), [typical, 0], rtol=1e-6)
    # Other rows and a row's own scale change nothing.
    values[2:] = 7
    values[0] *= 64
    np.testing.assert_array_equal(
        align_examples(other_release(values), LIKE, GENES).expression, plain
    )
    # Of one release with itself, a row of the typical size is left as it is.
    same = dataclasses.replace(LIKE, expression=np.tile(LIKE.expression[:1], (3, 1)))
    values[0] = LIKE.expression[0]
    aligned = align_examples(other_release(values), same, GENES)
    np.testing.assert_allclose(aligned.expression[0], LIKE.expression[0], rtol=1e-6)


def test_heavy_tails_are_clipped_after_scaling():
    genes = gene_table(1000)
    like = dataclasses.replace(
        LIKE,
        expression=np.ones((3, 1000), np.float32),
        gene_mask=np.ones(1000, bool),
        bead_partners=None,
    )
    values = np.zeros((6, 1000))
    values[:, 0], values[:, 1] = -200, 3
    aligned = align_examples(other_release(values, genes), like, genes)
    factor = 1 / root_mean_square(values[:1])[0]
    np.testing.assert_allclose(aligned.expression[0, :3], [-10, 3 * factor, 0], rtol=1e-6)


def test_what_cannot_be_aligned_is_refused():
    values = np.ones((6, 4))
    with pytest.raises(InputError, match="share none of their 4 and 4 genes"):
        align_examples(other_release(values, gene_table(8).iloc[4:].reset_index()), LIKE, GENES)
    with pytest.raises(
        InputError, match="the gene table has 3 rows, but the examples have 4 genes"
    ):
        align_examples(other_release(values), LIKE, GENES.iloc[:3])
    message = "other has no signature of a compound with one of the 2 MoAs, such as x; 1 of its"
    with pytest.raises(InputError, match=message):
        align_examples(other_release(values[:2], pert_ids=["P3", "P5"]), LIKE, GENES)
    values[1, 2] = np.nan
    with pytest.raises(InputError, match="SIG1 has the value nan for the gene GENE2"):
        align_examples(other_release(values), LIKE, GENES)


def test_examples_are_aligned_to_themselves():
    small = dataset(COMPOUNDS, ["P1", "P2", "P1"])
    like = build_examples(small, min_compounds=1)
    aligned = align_examples(small, like, small.signatures.genes)
    np.testing.assert_array_equal(aligned.labels, like.labels)
    size = root_mean_square(like.expression)
    expected = like.expression * (np.median(size) / size)[:, None]
    np.testing.assert_allclose(aligned.expression, expected, rtol=1e-6)
