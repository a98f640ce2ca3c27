import dataclasses
import filecmp
import json
import pathlib
import resource

import numpy as np
import pandas as pd
import pytest

from moa_jax.data.storage.graph_folder import EDGE_SETS
from moa_jax.data.storage.prepared_folder import PreparedDataset, read_prepared, write_prepared
from moa_jax.schemas import PREPARED_FORMAT_VERSION, InputError
from tests.small_sets import dataset, gene_table

COMPOUNDS = [
    ("P1", "AAA", "CCO", ("HDAC inhibitor", "kinase, other")),
    ("P2", "BBB", None, ()),
]


@pytest.fixture
def small():
    return dataset(COMPOUNDS, ["P1", "P2", "P1", None], manifest={"inputs": {"a.gctx": "00ff"}})


def files_of(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_round_trip_keeps_every_value(tmp_path, small):
    write_prepared(tmp_path / "prepared", small)
    back = read_prepared(tmp_path / "prepared")
    np.testing.assert_array_equal(back.signatures.expression, small.signatures.expression)
    assert isinstance(back.signatures.expression, np.memmap)
    assert back.signatures.expression.flags.c_contiguous
    for ours, theirs in (
        (small.signatures.table, back.signatures.table),
        (small.signatures.genes, back.signatures.genes),
        (small.compounds.table, back.compounds.table),
        (small.graph.genes, back.graph.genes),
        (small.graph.terms, back.graph.terms),
    ):
        pd.testing.assert_frame_equal(ours, theirs)
    for name in EDGE_SETS:
        ours, theirs = getattr(small.graph, name), getattr(back.graph, name)
        for field in ("senders", "receivers", "weight"):
            np.testing.assert_array_equal(getattr(ours, field), getattr(theirs, field))
            assert getattr(ours, field).dtype == getattr(theirs, field).dtype
        assert ours.evidence == theirs.evidence
    assert back.manifest == {
        "inputs": {"a.gctx": "00ff"},
        "format_version": PREPARED_FORMAT_VERSION,
    }


def test_missing_values_stay_missing_and_empty_stays_empty(tmp_path, small):
    write_prepared(tmp_path / "prepared", small)
    back = read_prepared(tmp_path / "prepared")
    table, compounds = back.signatures.table, back.compounds.table
    assert table["cell_line"].tolist() == ["A375", "MCF7", None, "A375"]
    assert table["pert_id"].tolist() == ["P1", "P2", "P1", None]
    assert table["n_replicates"].isna().tolist() == [False, True, False, False]
    assert compounds["moas"].tolist() == [("HDAC inhibitor", "kinase, other"), ()]
    assert compounds["targets"].tolist() == [(), ()]
    assert compounds["scaffold"].tolist() == ["", None]


def test_a_release_that_tells_nothing_round_trips(tmp_path, small):
    table = small.signatures.table.assign(
        cell_line=None, dose_um=None, time_h=np.nan, n_replicates=pd.NA, plate=np.nan
    )
    signatures = dataclasses.replace(small.signatures, table=table)
    write_prepared(tmp_path / "prepared", dataclasses.replace(small, signatures=signatures))
    back = read_prepared(tmp_path / "prepared").signatures.table
    for name in ("dose_um", "time_h", "n_replicates"):
        assert back[name].dtype == np.float64
        assert back[name].isna().all()
    assert back["cell_line"].tolist() == [None] * 4
    assert back["plate"].tolist() == [None] * 4


def test_equal_datasets_give_equal_bytes(tmp_path, small):
    write_prepared(tmp_path / "first", small)
    # Columns beyond the contract, another index and a mapped matrix change nothing.
    again = read_prepared(tmp_path / "first")
    table = again.signatures.table.assign(extra=1).set_index(pd.Index(list("abcd")))
    signatures = dataclasses.replace(again.signatures, table=table)
    write_prepared(tmp_path / "second", dataclasses.replace(again, signatures=signatures))
    names = files_of(tmp_path / "first")
    assert names == files_of(tmp_path / "second")
    assert len(names) == 12
    _, differ, errors = filecmp.cmpfiles(tmp_path / "first", tmp_path / "second", names, False)
    assert not differ
    assert not errors


def test_other_dtypes_and_orders_are_stored_as_float32_rows(tmp_path, small):
    expression = np.asfortranarray(small.signatures.expression.astype(np.float64))
    signatures = dataclasses.replace(small.signatures, expression=expression)
    write_prepared(tmp_path / "prepared", dataclasses.replace(small, signatures=signatures))
    stored = np.load(tmp_path / "prepared" / "expression.npy")
    assert stored.dtype == np.float32
    assert stored.flags.c_contiguous
    np.testing.assert_array_equal(stored, small.signatures.expression)


def test_no_signatures_is_legal(tmp_path):
    write_prepared(tmp_path / "prepared", dataset(COMPOUNDS, []))
    assert read_prepared(tmp_path / "prepared").signatures.expression.shape == (0, 4)


def test_writing_replaces_an_older_folder(tmp_path, small):
    write_prepared(tmp_path / "prepared", dataset(COMPOUNDS, ["P1"]))
    write_prepared(tmp_path / "prepared", small)
    assert len(read_prepared(tmp_path / "prepared").signatures.table) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["prepared"]


def test_a_full_disk_leaves_the_older_folder(tmp_path, small):
    write_prepared(tmp_path / "prepared", small)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, limits[1]))
    try:
        with pytest.raises(InputError, match=r"cannot write .*prepared.*nothing was left half"):
            write_prepared(tmp_path / "prepared", dataset(COMPOUNDS, ["P1"] * 900))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert len(read_prepared(tmp_path / "prepared").signatures.table) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["prepared"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"there is no prepared folder .*absent"):
        read_prepared(tmp_path / "absent")


@pytest.mark.parametrize(
    "name",
    ["manifest.json", "expression.npy", "signatures.parquet", "graph/part_of.parquet"],
)
def test_a_missing_file_is_named(tmp_path, small, name):
    write_prepared(tmp_path / "prepared", small)
    (tmp_path / "prepared" / name).unlink()
    with pytest.raises(InputError, match=f"there is no file .*{pathlib.Path(name).name}"):
        read_prepared(tmp_path / "prepared")


@pytest.mark.parametrize("name", ["manifest.json", "expression.npy", "compounds.parquet"])
@pytest.mark.parametrize("keep", [0, 40])
def test_a_truncated_file_is_named(tmp_path, small, name, keep):
    write_prepared(tmp_path / "prepared", small)
    path = tmp_path / "prepared" / name
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=name):
        read_prepared(tmp_path / "prepared")


@pytest.mark.parametrize("manifest", [{"format_version": 0}, {}, []])
def test_another_format_version_is_refused(tmp_path, small, manifest):
    write_prepared(tmp_path / "prepared", small)
    (tmp_path / "prepared" / "manifest.json").write_text(json.dumps(manifest))
    found = manifest.get("format_version") if manifest else None
    message = f"has format version {found}, .* reads version {PREPARED_FORMAT_VERSION};"
    with pytest.raises(InputError, match=message):
        read_prepared(tmp_path / "prepared")


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros((3, 4), np.float32), r"float32 of shape \(3, 4\), .* shape \(4, 4\)"),
        (np.zeros((4, 4), np.float64), r"holds float64 of shape \(4, 4\)"),
        (np.array([{}]), "expression.npy is damaged"),
    ],
)
def test_an_expression_that_does_not_match_is_refused(tmp_path, small, matrix, message):
    write_prepared(tmp_path / "prepared", small)
    np.save(tmp_path / "prepared" / "expression.npy", matrix, allow_pickle=True)
    with pytest.raises(InputError, match=message):
        read_prepared(tmp_path / "prepared")


def test_a_table_without_a_column_is_refused(tmp_path, small):
    write_prepared(tmp_path / "prepared", small)
    path = tmp_path / "prepared" / "signatures.parquet"
    pd.read_parquet(path).drop(columns="tas").to_parquet(path)
    with pytest.raises(InputError, match=r"signatures.parquet lacks the column tas"):
        read_prepared(tmp_path / "prepared")


def test_a_graph_over_other_genes_is_refused(small):
    genes = gene_table(4).iloc[::-1].reset_index(drop=True)
    signatures = dataclasses.replace(small.signatures, genes=genes)
    with pytest.raises(InputError, match="4 landmark genes are not the signatures' 4 genes"):
        PreparedDataset(signatures, small.compounds, small.graph, {})


def test_gene_sets_round_trip_and_are_absent_without(tmp_path, small):
    write_prepared(tmp_path / "without", small)
    assert not (tmp_path / "without" / "gene_sets.parquet").exists()
    assert len(read_prepared(tmp_path / "without").gene_sets) == 0
    sets = pd.DataFrame(
        [("reactome", "R-HSA-1", "a, b", ("100", "103")), ("hallmark", "H", "H", ("7",))],
        columns=["collection", "set_id", "name", "genes"],
    )
    write_prepared(tmp_path / "with", dataclasses.replace(small, gene_sets=sets))
    pd.testing.assert_frame_equal(read_prepared(tmp_path / "with").gene_sets, sets)
    with pytest.raises(InputError, match="the table of gene sets lacks the column genes"):
        dataclasses.replace(small, gene_sets=sets.drop(columns="genes"))
