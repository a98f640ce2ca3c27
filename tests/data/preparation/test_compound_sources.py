"""Further labelled structures: who joins, who does not, and that nothing else changes."""

import dataclasses
import re
import warnings

import numpy as np
import pandas as pd
import pytest

from moa_jax.baselines.classifiers.late_fusion import LateFusion
from moa_jax.baselines.classifiers.logistic import EXPRESSION_LOGISTIC, MORGAN_LOGISTIC
from moa_jax.baselines.similarity.nearest_neighbours import CosineKnn
from moa_jax.data.examples.build import build_examples, structure_only_compounds
from moa_jax.data.examples.features import encode, fit_features
from moa_jax.data.preparation.compound_sources import (
    read_own_compounds,
    read_structure_only_compounds,
)
from moa_jax.data.preparation.pipeline import prepare
from moa_jax.data.simulated import SimulationSettings, write_simulated_release
from moa_jax.schemas import InputError, concatenate
from tests.tiny_release import config_of, read_tsv

HEADER = "pert_id\tcmap_name\ttarget\tmoa\tcanonical_smiles\tinchi_key\n"
OWN = [
    ("P1", "one", "AKT inhibitor", "CCCCC(=O)O"),
    ("P2", "pro pyl", "AKT inhibitor", "CCCO"),
    ("P3", "three", "Akt inhibitor", "CCCCO"),
    ("P4", "gone", "AKT inhibitor", "CCCCCC(=O)O"),
]
# Expected reason, id, name, MoA, structure.
FURTHER = [
    ("known", "P1", "by its id", "AKT inhibitor", "CCCCCO"),
    ("known", "F01", "by its structure", "AKT inhibitor", "OC(=O)CCCC"),
    ("known", "F02", "Pro-Pyl", "AKT inhibitor", "CCCCCCO"),
    ("known", "F03", "linked", "AKT inhibitor", "CCCCCCCO"),
    ("known", "F04", "Linked", "AKT inhibitor", "CCCCC(=O)[O-].[Na+]"),
    ("known", "S1", "by a signature's id", "AKT inhibitor", "CCCCCCCCO"),
    ("known", "F05", "a signature", "AKT inhibitor", "CCCCCCCCCO"),
    ("aside", "F06", "by its structure too", "AKT inhibitor", "CCCCCC(=O)[O-].[Na+]"),
    ("aside", "F07", "Gone", "AKT inhibitor", "CC(C)O"),
    ("aside", "F08", "by the list's key", "AKT inhibitor", "CC(C)CO"),
    ("no MoA", "F09", "unlabelled", "", "CC(C)CCO"),
    ("no structure", "F10", "a name alone", "AKT inhibitor", ""),
    ("joins", "F11", "new", "akt inhibitor|New inhibitor", "CC(C)CCCO"),
    ("joins", "F12", "left hand", "AKT inhibitor", "C[C@H](O)CC"),
    ("joins", "F13", "right hand", "New inhibitor", "C[C@@H](O)CC"),
]


def write_table(path, rows):
    path.write_text(HEADER + "".join("\t".join(row) + "\n" for row in rows))
    return path


@pytest.fixture
def paths(tmp_path):
    aside = tmp_path / "aside.tsv"
    # The key of isobutanol.
    aside.write_text("compound_group\tcmap_name\nZXEKIIBDNHEJCQ\tother\nXXX\tgone\n")
    own = [(pert_id, name, "", moa, smiles, "") for pert_id, name, moa, smiles in OWN]
    rows = [
        (pert_id, name, "", part, smiles, "")
        for _, pert_id, name, moa, smiles in FURTHER
        for part in moa.split("|")
    ]
    return {
        "compounds": write_table(tmp_path / "own.txt", own),
        "excluded_compounds": aside,
        "structure_only_compounds": write_table(tmp_path / "further.txt", rows),
    }


SIGNATURES = pd.DataFrame({"pert_id": ["S1", "P1", None], "compound": [None, "one", "A-signature"]})


def test_only_labelled_structures_that_nobody_knows_join(paths):
    own = read_own_compounds(paths)
    found = read_structure_only_compounds(paths, own, SIGNATURES)
    compounds, report = found.compounds, found.report
    table = compounds.table.set_index("pert_id")
    assert list(table.index) == [row[1] for row in FURTHER if row[0] == "joins"]
    assert report == {
        "found": 15,
        "kept": 3,
        "dropped": {
            "compound is excluded": 3,
            "no MoA": 1,
            "no structure": 1,
            "the release knows the compound": 7,
        },
        "table": {"ids": "pert_id", "structures": "canonical_smiles", "contradicting": []},
    }
    # Spelled as most of the release's own compounds spell it.
    assert table["moas"]["F11"] == ("AKT inhibitor", "New inhibitor")
    for block, pert_id in zip(table["inchi_key"].str[:14], table.index, strict=True):
        assert table["compound_group"][pert_id] == block
    # Mirror images are one compound.
    assert table["compound_group"]["F12"] == table["compound_group"]["F13"]


def test_compounds_without_mechanisms_come_from_any_usual_table(tmp_path):
    """GEO's pert_info has no MoA, and a table of one's own has ids and SMILES alone."""
    columns = "pert_id\tpert_iname\tpert_type\tis_touchstone\tinchi_key\tcanonical_smiles"
    geo = tmp_path / "pert_info.txt"
    geo.write_text(
        f"{columns}\nP1\tone\ttrt_cp\t1\t-666\tCCCCC(=O)O\nP2\ttwo\ttrt_cp\t0\t-666\t-666\n"
    )
    two = tmp_path / "two.csv"
    two.write_text("Compound ID;SMILES\nP1;OC(=O)CCCC\nP2;restricted\n")
    for path, ids in ((geo, "pert_id"), (two, "Compound ID")):
        own = read_own_compounds({"compounds": path})
        table = own.compounds.table
        assert table["pert_id"].tolist() == ["P1", "P2"]
        assert table["smiles"].tolist() == ["CCCCC(=O)O", None]
        assert table["moas"].tolist() == table["targets"].tolist() == [(), ()]
        assert own.report["labelled"] == 0
        assert own.report["table"]["ids"] == ids


def test_a_release_may_have_no_structure_only_compounds(paths):
    del paths["structure_only_compounds"]
    own = read_own_compounds(paths)
    found = read_structure_only_compounds(paths, own, SIGNATURES)
    assert len(found.compounds.table) == 0
    assert found.report == {"found": 0, "kept": 0, "dropped": {}}


def test_the_hubs_samples_need_its_drugs(release):
    message = (
        "config.files.structure_only_compounds is empty; "
        "config.files.structure_only_compound_samples needs"
    )
    config = config_of(release, files_structure_only_compounds="")
    config.files.structure_only_compound_samples = "samples.txt"
    with pytest.raises(InputError, match=re.escape(message)):
        prepare(config)


@pytest.fixture(scope="module")
def untested(tmp_path_factory):
    """A release in which two of each mechanism's eight drugs were not tested; with and without."""
    folder = tmp_path_factory.mktemp("untested") / "raw"
    settings = dataclasses.replace(SimulationSettings.tiny(), drugs_per_moa=6)
    write_simulated_release(folder, settings)
    return (
        folder,
        prepare(config_of(folder)),
        prepare(config_of(folder, files_structure_only_compounds="")),
    )


def test_structure_only_compounds_change_no_signature_and_add_their_targets_to_the_graph(untested):
    _, with_them, without = untested
    np.testing.assert_array_equal(with_them.signatures.expression, without.signatures.expression)
    pd.testing.assert_frame_equal(with_them.signatures.table, without.signatures.table)
    measured = [
        dataset.graph.genes[dataset.graph.genes["is_landmark"]] for dataset in (with_them, without)
    ]
    pd.testing.assert_frame_equal(*measured)
    # After the measured genes come the targets, of which the structure-only compounds add some.
    with_their_targets, targets = (
        [
            symbol
            for symbol in dataset.graph.genes["symbol"]
            if symbol in set(dataset.compounds.table["targets"].explode())
        ]
        for dataset in (with_them, without)
    )
    assert set(with_their_targets) > set(targets)
    num_known = len(set(with_their_targets) | set(measured[0]["symbol"]))
    assert set(with_their_targets) <= set(with_them.graph.genes["symbol"].iloc[:num_known])
    first, second = build_examples(with_them), build_examples(without)
    pd.testing.assert_frame_equal(first.table, second.table)
    np.testing.assert_array_equal(first.labels, second.labels)
    assert (first.moas, first.groups, first.smiles) == (second.moas, second.groups, second.smiles)


def test_drugs_that_were_not_tested_are_structure_only_compounds(untested):
    folder, dataset, without = untested
    info = read_tsv(folder / "structure_only_compounds.txt")
    assert info["pert_id"].nunique() == 12
    found = dataset.manifest["structure_only_compounds"]
    assert (found["found"], found["kept"], found["dropped"]) == (12, 12, {})
    assert len(dataset.compounds.table) == len(without.compounds.table) + 12
    examples = build_examples(dataset)
    further = structure_only_compounds(dataset, examples)
    expected = info[info["moa"].isin(examples.moas)]["pert_id"].drop_duplicates()
    assert further.table["pert_id"].tolist() == sorted(expected)
    assert structure_only_compounds(without, examples).num_examples == 0


def test_methods_learn_from_structures_alone(untested):
    dataset = untested[1]
    examples = build_examples(dataset)
    with warnings.catch_warnings():
        # pandas announces that it will infer other types from columns that are all missing.
        warnings.simplefilter("error", FutureWarning)
        joined = concatenate(examples, structure_only_compounds(dataset, examples))
    assert joined.num_examples > examples.num_examples
    pd.testing.assert_series_equal(joined.table.dtypes, examples.table.dtypes)
    for learner, uses_them in (
        (EXPRESSION_LOGISTIC, False),
        (CosineKnn(), False),
        (MORGAN_LOGISTIC, True),
        (LateFusion(), True),
    ):
        alone = learner.fit(examples, dataset.graph, seed=0).predict(examples)
        with_them = learner.fit(joined, dataset.graph, seed=0).predict(examples)
        assert np.isfinite(with_them).all()
        assert np.array_equal(alone, with_them) != uses_them
    genes = dataset.signatures.genes
    spec = fit_features(joined, genes)
    np.testing.assert_array_equal(spec.mean, fit_features(examples, genes).mean)
    encoded = encode(joined, spec)
    added = slice(examples.num_examples, None)
    assert not encoded.expression[added].any()
    assert not encoded.dose_mask[added].any()
    assert not encoded.time_mask[added].any()
    assert encoded.has_structure[added].all()
