"""Genes of a user's signatures: in any order, under any name, or missing."""

import numpy as np
import pandas as pd
import pytest

from moa_jax.data.user_input.signature_files import SignatureFiles
from moa_jax.data.user_input.signatures import read_new_signatures
from moa_jax.schemas import InputError
from tests.data.user_input.signature_files import (
    ENTREZ,
    FEATURES,
    GENES,
    SIG_IDS,
    VALUES,
    read,
    write_compoundinfo,
    write_matrix,
)


@pytest.mark.parametrize(
    "gene_ids",
    [
        ENTREZ,
        ["GENE100", "GENE101", "GENE102", "GENE103", "GENE104"],
        # Two aliases and the names that are left, in any case.
        ["gene100", "OLD1", "102", "alias3", "Gene104"],
    ],
)
def test_names_order_and_other_genes_change_nothing(tmp_path, siginfo, gene_ids):
    order = np.array([3, 0, 4, 1, 2])
    values = np.concatenate([VALUES[:, order], np.full((4, 2), np.nan)], axis=1)
    names = [gene_ids[place] for place in order] + ["7157", "TP53"]
    new = read(write_matrix(tmp_path / "m.gctx", values, names), siginfo)
    np.testing.assert_array_equal(new.examples.expression, VALUES)
    assert new.examples.gene_mask.all()
    assert new.report["genes"]["others_not_used"] == 2
    assert new.report["genes"]["found_by_name"] == len(set(gene_ids) - set(ENTREZ))


def test_a_missing_gene_is_masked_and_named(tmp_path, siginfo):
    kept = [4, 0, 2]
    path = write_matrix(tmp_path / "m.gctx", VALUES[:, kept], [ENTREZ[place] for place in kept])
    new = read(path, siginfo)
    assert new.examples.gene_mask.tolist() == [True, False, True, False, True]
    np.testing.assert_array_equal(
        new.examples.expression, np.where(new.examples.gene_mask, VALUES, 0)
    )
    assert new.report["genes"]["missing"] == ["101 GENE101", "103 GENE103"]
    assert new.report["genes"]["measured"] == 3


def gct(fields, rows, num_values=2):
    """A GCT file with gene fields `fields` and rows of (id, field..., value...)."""
    sizes = [len(rows), num_values, len(fields), 0]
    header = ["id", *fields, *SIG_IDS[:num_values]]
    lines = [["#1.3"], sizes, header, *rows]
    return "\n".join("\t".join(map(str, line)) for line in lines) + "\n"


def test_probes_are_read_by_the_gene_ids_beside_them(tmp_path):
    rows = [
        ("200_at", 104, "x", 1.5, -1),
        ("201_s_at", 100, "x", 2, -2),
        ("202_at", 9999, "x", 3, -3),
        ("203_at", 9999, "x", 3, -3),
    ]
    path = tmp_path / "m.gct"
    path.write_text(gct(["pr_gene_id", "pr_gene_symbol"], rows))
    new = read(path)
    np.testing.assert_array_equal(new.examples.expression, [[2, 0, 0, 0, 1.5], [-2, 0, 0, 0, -1]])
    assert new.examples.gene_mask.tolist() == [True, False, False, False, True]
    rows[2] = ("202_at", 100, "x", 3, -3)
    path.write_text(gct(["pr_gene_id", "pr_gene_symbol"], rows))
    with pytest.raises(InputError, match=r"m.gct has the landmark 100 twice .* 201_s_at .* 202_at"):
        read(path)


def test_a_gct_file_equals_the_gctx_file(tmp_path, siginfo):
    rows = [(gene, *VALUES[:, column].tolist()) for column, gene in enumerate(ENTREZ)]
    (tmp_path / "m.gct").write_text(gct([], rows, num_values=4))
    text = read(tmp_path / "m.gct", siginfo)
    binary = read(write_matrix(tmp_path / "m.gctx"), siginfo)
    np.testing.assert_array_equal(text.examples.expression, binary.examples.expression)
    pd.testing.assert_frame_equal(text.examples.table, binary.examples.table)
    assert text.report == binary.report


def test_a_matrix_without_any_of_the_genes_is_refused(tmp_path):
    path = write_matrix(tmp_path / "m.gctx", gene_ids=["P1", "P2", "P3", "P4", "P5"])
    with pytest.raises(InputError, match="has none of the 5 landmark genes; neither of its axes"):
        read(path)


def test_a_gene_under_two_names_is_refused(tmp_path):
    path = write_matrix(tmp_path / "m.gctx", gene_ids=["100", "GENE100", "102", "103", "104"])
    with pytest.raises(InputError, match=r"has the landmark 100 twice .* as 100 .* and as GENE100"):
        read(path)


def test_gene_ids_of_no_signatures_are_refused(tmp_path):
    files = SignatureFiles(None, None, write_compoundinfo(tmp_path / "compounds.txt"))
    with pytest.raises(InputError, match="--gene_ids cannot be used without --signatures"):
        read_new_signatures(files, GENES, FEATURES, gene_ids="symbol")
