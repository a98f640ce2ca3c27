"""Known, analogue or new, by structure and by name; and training compounds per mechanism."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from moa_jax.compounds.structures import standardise
from moa_jax.predictions.known_compounds import (
    ANALOGUE_TANIMOTO,
    known_compounds,
    known_sentence,
    mechanism_table,
)
from tests.synthetic import make_raw_examples

# Thalidomide, imatinib and salicylic acid.
S_THALIDOMIDE = "O=C1CC[C@H](N2C(=O)c3ccccc3C2=O)C(=O)N1"
R_THALIDOMIDE = "O=C1CC[C@@H](N2C(=O)c3ccccc3C2=O)C(=O)N1"
IMATINIB = "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1Nc1nccc(n1)-c1cccnc1"
# Its metabolite, without one methyl.
NORIMATINIB = "Cc1ccc(NC(=O)c2ccc(CN3CCNCC3)cc2)cc1Nc1nccc(n1)-c1cccnc1"
CAFFEINE = "Cn1cnc2c1c(=O)n(C)c(=O)n2C"


def reference(expert, group, pert_id, compound, smiles, *moas):
    sig_id = None if expert == "structure_kernel" else f"{pert_id}:1"
    values = (expert, group, pert_id, compound, sig_id, None, smiles, moas)
    names = ("expert", "group", "pert_id", "compound", "sig_id", "cell_line", "smiles", "moas")
    return dict(zip(names, values, strict=True))


REFERENCES = pd.DataFrame(
    [
        reference("signature_kernel", "G1", "T-1", "thalidomide", S_THALIDOMIDE, "moa 0"),
        reference("structure_kernel", "G1", "T-1", "thalidomide", S_THALIDOMIDE, "moa 0"),
        reference(
            "structure_kernel", "G2", "I-1", "imatinib / STI-571", IMATINIB, "moa 1", "moa 2"
        ),
        reference("signature_kernel", "G3", "Z-9", "zonisamide", None),
        reference("signature_kernel", "G3", "Z-9", "zonisamide", None, "moa 0"),
        reference("signature_kernel", "G4", "BRD-K00000009", None, None),
    ]
)


def asked(smiles=None, name="my compound", pert_id="X"):
    """One signature of a compound of which that is known."""
    examples = make_raw_examples(1)
    found = None if smiles is None else standardise(smiles).smiles
    table = examples.table.assign(compound=name, pert_id=pert_id)
    return dataclasses.replace(examples, table=table, smiles=(found,), groups=(pert_id,))


def known(**compound):
    return known_compounds(asked(**compound), REFERENCES).iloc[0]


@pytest.mark.parametrize(
    ("compound", "nearest"),
    [
        # A stereoisomer and a salt are the drug.
        ({"smiles": R_THALIDOMIDE}, "thalidomide: moa 0"),
        ({"smiles": f"{IMATINIB}.CS(=O)(=O)O"}, "STI-571: moa 1, moa 2"),
        # So is one drawn with a heavy hydrogen or with rings closed elsewhere.
        ({"smiles": R_THALIDOMIDE.replace("[C@@H]", "[C@@]([2H])")}, "thalidomide: moa 0"),
        ({"smiles": "c1ccc2c(c1)C(=O)N(C2=O)C1CCC(=O)NC1=O"}, "thalidomide: moa 0"),
        # Without a structure, the name or the id decides.
        ({"name": "Thalidomide"}, "thalidomide: moa 0"),
        ({"name": "sti571"}, "STI-571: moa 1, moa 2"),
        ({"pert_id": "Z-9"}, "zonisamide: moa 0"),
        # A sample of a compound that is known by its id.
        ({"pert_id": "BRD-K00000009-001-02-6"}, "BRD-K00000009: no mechanism known"),
        ({"pert_id": "brd-k00000009"}, "BRD-K00000009: no mechanism known"),
        ({"smiles": CAFFEINE, "name": "Zonisamide"}, "zonisamide: moa 0"),
    ],
)
def test_a_compound_that_was_learned_from_is_known(compound, nearest):
    row = known(**compound)
    assert row["known"] == "yes"
    assert row["nearest_known"].split(": ")[1] == nearest.split(": ")[1]
    assert known_sentence(row.to_dict()) == f"Known: in the training data ({row['nearest_known']})."


def test_an_analogue_names_its_neighbour():
    row = known(smiles=NORIMATINIB)
    assert row["known"] == "analogue"
    assert ANALOGUE_TANIMOTO < row["nearest_tanimoto"] < 1
    assert row["nearest_known"] == "imatinib / STI-571: moa 1, moa 2"
    assert known_sentence(row.to_dict()) == (
        "An analogue: nearest known structure imatinib / STI-571: moa 1, moa 2, "
        f"Tanimoto {row['nearest_tanimoto']:.2f}."
    )


def test_the_rest_is_new():
    row = known(smiles=CAFFEINE)
    assert row["known"] == "no"
    assert 0 < row["nearest_tanimoto"] < ANALOGUE_TANIMOTO
    assert known_sentence(row.to_dict()).startswith("New: nearest known structure ")
    row = known()
    assert row["known"] == "no"
    assert np.isnan(row["nearest_tanimoto"])
    assert row["nearest_known"] == ""
    assert "no structure to compare" in known_sentence(row.to_dict())


def test_a_drug_of_several_ids_is_known_by_any_of_them():
    examples = make_raw_examples(4)
    table = examples.table.assign(
        pert_id=["A", "B", "C", "C"], compound=["a", "zonisamide", "c", "c"]
    )
    examples = dataclasses.replace(
        examples, table=table, smiles=(None,) * 4, groups=("A|B", "A|B", "C", "C")
    )
    found = known_compounds(examples, REFERENCES)
    assert found.index.tolist() == ["A|B", "C"]
    assert found["known"].tolist() == ["yes", "no"]


def test_a_run_that_kept_nothing_tells_nothing():
    for nothing in (None, REFERENCES.iloc[:0]):
        row = known_compounds(asked(name="thalidomide"), nothing).iloc[0]
        assert row.isna().all()
        assert (
            known_sentence(row.to_dict())
            == "Known or new: unknown, because the run has no references."
        )
        assert mechanism_table(nothing, ["moa 0"])["training_compounds"].isna().all()


def test_compounds_behind_each_mechanism():
    table = mechanism_table(REFERENCES, [f"moa {row}" for row in range(4)])
    assert table["mechanism"].tolist() == ["moa 0", "moa 1", "moa 2", "moa 3"]
    assert table["training_compounds"].tolist() == [2, 1, 1, 0]
    assert table["with_signature"].tolist() == [2, 0, 0, 0]
    assert table["with_structure_only"].tolist() == [0, 1, 1, 0]
