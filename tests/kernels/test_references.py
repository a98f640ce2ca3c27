"""The table of references names what the kernel experts' arrays hold."""

import dataclasses

import numpy as np
import pytest

from moa_jax.data.examples.features import encode, fit_features
from moa_jax.kernels.references import (
    REFERENCE_COLUMNS,
    read_references,
    reference_table,
    write_references,
)
from moa_jax.kernels.ridge import kernel_systems
from moa_jax.schemas import InputError
from tests.synthetic import make_gene_table, make_graph, make_model, make_raw_examples, tiny_config

VIEWS = (1024,) * 6 + (167,)
KERNELS = ("signature_kernel", "structure_kernel")
GRAPH = make_graph()


@pytest.mark.parametrize("max_references", [1000, 4])
def test_rows_are_the_references_in_their_order(max_references):
    train = make_raw_examples(30)
    # Out of order, and the first without a structure.
    train = train.take(np.random.default_rng(0).permutation(30))
    train = dataclasses.replace(train, smiles=(None, *train.smiles[1:]))
    config = tiny_config()
    config.kernels.signature.max_references = max_references
    config.kernels.structure.max_references = max_references
    spec = fit_features(train, make_gene_table())
    encoded = encode(train, spec)
    table = reference_table(config, train)
    signatures = table[table["expert"] == "signature_kernel"]
    systems = kernel_systems(
        config, make_model(experts=KERNELS, substructure_families=VIEWS), encoded, spec, GRAPH
    )
    fitted = systems["signature_kernel"].params
    place = {sig_id: row for row, sig_id in enumerate(train.table["sig_id"])}
    rows = np.array([place[sig_id] for sig_id in signatures["sig_id"]])
    usual = fitted["offsets"][encoded.cell_line[rows]]
    wanted = (encoded.expression[rows] - usual) * spec.scale
    np.testing.assert_allclose(fitted["references"], wanted, atol=1e-6)
    assert list(signatures["compound"]) == list(train.table["compound"].iloc[rows])
    assert list(signatures["moas"]) == [(train.moas[train.labels[row].argmax()],) for row in rows]

    structures = table[table["expert"] == "structure_kernel"].reset_index(drop=True)
    fitted = systems["structure_kernel"].params
    named = [train.smiles.index(smiles) for smiles in structures["smiles"]]
    wanted = encoded.substructures[encoded.structure[named]]
    np.testing.assert_array_equal(fitted["references"], wanted)
    assert structures["sig_id"].isna().all()


def test_compounds_that_share_a_structure_are_named_together():
    train = make_raw_examples(24)
    table = reference_table(tiny_config(), train)
    row = table[table["smiles"].eq("CCO") & table["expert"].eq("structure_kernel")].iloc[0]
    assert (row["compound"], row["group"]) == ("drug 0 / drug 6", "GROUP000")
    assert row["moas"] == ("moa 0",)
    # Those of all training compounds are in a table of their own.
    assert "targets" not in REFERENCE_COLUMNS


def test_networks_alone_have_no_references():
    config = tiny_config()
    config.model.experts = ("signature", "molecule")
    assert len(reference_table(config, make_raw_examples(8))) == 0


def test_the_table_survives_the_round_trip(tmp_path):
    table = reference_table(tiny_config(), make_raw_examples(8))
    write_references(tmp_path, table)
    again = read_references(tmp_path)
    assert again.where(again.notna(), None).to_dict() == table.where(table.notna(), None).to_dict()
    with pytest.raises(InputError, match=r"there is no file .*references\.parquet"):
        read_references(tmp_path / "elsewhere")
