"""The real releases, as far as they are there."""

import functools
import pathlib

import numpy as np
import pytest

from moa_jax.command_line import load_config
from moa_jax.compounds.tables import read_exclusion_list
from moa_jax.data.examples.build import build_examples, structure_only_compounds
from moa_jax.data.examples.release_alignment import align_examples
from moa_jax.data.preparation import pipeline
from moa_jax.data.preparation.pipeline import prepare
from moa_jax.schemas import SIGNATURE_COLUMNS
from tests.matrices import read_matrix

CONFIGS = pathlib.Path(__file__).parents[3] / "configs" / "data"

# What the releases share, and which of its arguments tells two calls apart.
SHARED = {
    "read_obo": lambda path: path,
    "read_gaf": lambda path, ontology: path,
    "read_string_info": lambda path: path,
    "read_string_links": lambda path, min_score: (path, min_score),
    "read_gene_ids": lambda path: path,
    "assemble_graph": lambda landmarks, targets, **_: (*landmarks["entrez_id"], *targets),
    "read_own_compounds": lambda paths: paths["compounds"],
}


def once(function, key):
    """`function`, called once per key."""
    answers = {}

    def remembered(*args, **kwargs):
        where = key(*args, **kwargs)
        if where not in answers:
            answers[where] = function(*args, **kwargs)
        return answers[where]

    return remembered


@pytest.fixture(scope="module")
def prepare_real(real_data):
    """Prepares a config on the real files, once."""

    @functools.cache
    def prepare_config(name):
        config = load_config(str(CONFIGS / f"{name}.py"))
        config.raw_dir = str(real_data)
        return prepare(config)

    with pytest.MonkeyPatch.context() as patch:
        for name, key in SHARED.items():
            patch.setattr(pipeline, name, once(getattr(pipeline, name), key))
        yield prepare_config


def test_lincs2020(prepare_real, real_data):
    dataset = prepare_real("lincs2020")
    examples = build_examples(dataset)
    assert (len(examples.moas), len(set(examples.groups)), examples.num_examples) == (53, 414, 1707)
    signatures = dataset.signatures
    path = next((real_data / "expression").glob("LINCS2020_*.gctx"))
    ids = signatures.table["sig_id"].tolist()
    genes = signatures.genes["entrez_id"].tolist()
    assert (len(ids), len(genes)) == (3366, 978)
    np.testing.assert_array_equal(
        signatures.expression, read_matrix(path, profile_ids=ids, gene_ids=genes).values
    )
    assert list(signatures.table.columns) == list(SIGNATURE_COLUMNS)
    assert dataset.manifest["compounds"]["dropped"] == {"compound is excluded": 265}
    assert dataset.manifest["joined"]["compounds_with_signature_and_moa"] == 783
    assert dataset.manifest["coverage"]["landmarks"]["in_string"] == 977
    assert dataset.manifest["structure_only_compounds"] == {
        "found": 6806,
        "kept": 4020,
        "dropped": {
            "compound is excluded": 227,
            "no MoA": 553,
            "no structure": 5,
            "the release knows the compound": 2001,
        },
        "table": {"structures": "smiles", "ids": "broad_id", "contradicting": []},
    }
    ligands = dataset.manifest["ligands"]
    assert (ligands["found"], ligands["kept"]) == (37700, 5218)
    assert ligands["dropped"]["compound is excluded"] == 13
    assert ligands["dropped"]["the release knows the compound"] == 264
    pairs = ligands["pairs"]
    assert (pairs["kept"], pairs["targets"]) == (27029, 248)
    assert pairs["by_source"] == {
        "KIBA": {"ligands": 1568, "targets": 226},
        "MoleculeACE": {"ligands": 3796, "targets": 29},
    }
    # Agonists of the receptors whose sets are of EC50.
    assert pairs["actions_inferred_from_ec50"] == pairs["actions"]["activates"] == 1089
    assert dataset.manifest["actions"] == {
        "by the mechanism's name": 6479,
        "stated by a ligand table": 1956,
        "unknown": 643,
    }
    further = structure_only_compounds(dataset, examples)
    assert (further.num_examples, len(set(further.groups))) == (1376, 1341)
    aside = read_exclusion_list(real_data / "compounds/kept_aside_compounds.tsv")
    compounds = dataset.compounds.table
    for inchi_key, name in zip(compounds["inchi_key"], compounds["compound"], strict=True):
        assert not aside.excludes(inchi_key, name)
    assert signatures.genes["bead"].value_counts().value_counts().to_dict() == {2: 488, 1: 2}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "phase2_consensus",
            {
                "shape": (1518, 960),
                "labelled": (1378, 1366),
                "largest": 27.0,
                "aligned": (541, 535, 960),
            },
        ),
        (
            "phase1_consensus",
            {
                "shape": (1061, 978),
                "labelled": (805, 789),
                "largest": 207.228,
                "aligned": (349, 340, 978),
            },
        ),
    ],
)
def test_consensus_files(prepare_real, name, expected):
    dataset = prepare_real(name)
    expression, joined = dataset.signatures.expression, dataset.manifest["joined"]
    assert expression.shape == expected["shape"]
    assert np.abs(expression).max() == pytest.approx(expected["largest"], abs=1e-3)
    labelled = (joined["signatures_with_moa"], joined["compounds_with_signature_and_moa"])
    assert labelled == expected["labelled"]
    assert len(dataset.manifest["genes"]["missing"]) == 978 - expected["shape"][1]
    like = prepare_real("lincs2020")
    aligned = align_examples(dataset, build_examples(like), like.signatures.genes)
    found = (aligned.num_examples, len(set(aligned.groups)), int(aligned.gene_mask.sum()))
    assert found == expected["aligned"]
    table = dataset.signatures.table
    assert table[["cell_line", "dose_um", "time_h"]].isna().all(axis=None)
