"""Ligands from tables: who joins, with which targets, and who is not added under any name."""

import dataclasses

import pandas as pd
import pytest
from rdkit import Chem
from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

from moa_jax.compounds.ligands.selection import LigandSettings
from moa_jax.compounds.structures import standardise
from moa_jax.data.examples.build import build_examples
from moa_jax.data.preparation.compound_actions import with_actions
from moa_jax.data.preparation.compound_sources import (
    measured_identities,
    read_own_compounds,
    read_structure_only_compounds,
)
from moa_jax.data.preparation.ligand_sources import ligand_compounds, read_activities
from moa_jax.data.preparation.ligand_targets import TargetGenes
from moa_jax.data.preparation.pipeline import describe_sources, prepare
from moa_jax.data.splits.rules import make_split
from moa_jax.data.splits.unlabelled import LABELLED_SOURCES, unlabelled_examples, unlabelled_part
from moa_jax.data.storage.prepared_folder import read_prepared, write_prepared
from moa_jax.knowledge.gene_identifiers import GeneIdentifiers
from moa_jax.schemas import LIGANDS, Compounds, InputError
from tests.data.preparation.test_compound_sources import SIGNATURES, write_table
from tests.tiny_release import config_of

GENES = pd.DataFrame(
    {
        "entrez_id": ["1", "2", "3", "4"],
        "symbol": ["DRD2", "HTR1A", "P2RY14", "DRD3"],
        "aliases": ["D2R", "", "", ""],
    }
)
IDENTIFIERS = GeneIdentifiers.from_table(GENES)
ACCESSIONS = {"P14416": ("1",), "P08908": ("2",), "Q12345": ("1", "2"), "P2RY14": ("4",)}
TARGETS = TargetGenes(IDENTIFIERS, ACCESSIONS, {"CHEMBL217": ("P14416",), "CHEMBL9": ("A", "B")})


@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("D2R", "symbol", ("1", "")),
        ("P14416-2", "uniprot", ("1", "")),
        ("P14416", "any", ("1", "")),
        # A gene's name that looks like an accession.
        ("P2RY14", "any", ("3", "")),
        ("CHEMBL217", "any", ("1", "")),
        # Of MoleculeACE, known without a mapping.
        ("CHEMBL234", "chembl", ("4", "")),
        ("CHEMBL1", "chembl", (None, "ChEMBL target id is not in config.files.chembl_targets")),
        ("CHEMBL9", "chembl", (None, "target is a complex or a family")),
        ("Q12345", "uniprot", (None, "target name means several genes")),
        ("P14416", "symbol", (None, "target name is unknown")),
    ],
)
def test_genes_of_targets(name, kind, expected):
    gene, reason = TARGETS.gene_of(name, kind)
    assert gene == expected[0]
    assert gene is not None or reason == expected[1]


def test_targets_get_the_current_symbols_of_their_genes():
    table = pd.DataFrame(
        {
            "targets": [("D2R", "HTR1A"), ("D2R", "DRD2"), ("unheard of",), ()],
            "actions": [("inhibits", ""), ("", ""), ("",), ()],
        },
        index=[5, 6, 7, 8],
    )
    renamed = TARGETS.with_current_symbols(table)
    assert renamed["targets"].to_dict() == {
        5: ("DRD2", "HTR1A"),
        6: ("DRD2",),
        7: ("unheard of",),
        8: (),
    }
    assert renamed["actions"].tolist() == [("", ""), ("",), ("",), ()]


# Expected reason, SMILES, target, activity (nM), name.
LIGANDS_ROWS = [
    ("joins", "CC(C)CCCCO", "DRD2", "10", "new"),
    ("joins", "CC(C)CCCCO", "HTR1A", "20", "new"),
    ("joins", "CCSCCCO.Cl", "P14416", "5", ""),
    ("weak", "CCSCCCCO", "DRD2", "1000", ""),
    ("unknown target", "CCSCCCCCO", "XYZ", "1", ""),
    ("no structure", "C(C", "DRD2", "1", ""),
    # A compound of the release by structure (a salt) and by name.
    ("known", "CCCCC(=O)[O-].[Na+]", "DRD2", "1", ""),
    ("known", "CCSCC(C)O", "DRD2", "1", "Pro-Pyl"),
    # One that is measured without a row in the release's table.
    ("known", "CCSCC(C)CO", "DRD2", "1", "a signature"),
    # A structure that further tables call like a compound of the release, and one that they add.
    ("known", "CCCCCCO", "DRD2", "1", ""),
    ("known", "CC(C)CCCO", "DRD2", "1", ""),
    # Kept aside: by structure, by the list's key, by name, and by a name that a further table
    # gives to this structure.
    ("aside", "CCCCCC(=O)O", "DRD2", "1", ""),
    ("aside", "CC(C)CO", "DRD2", "1", ""),
    ("aside", "CCSCC(CC)CO", "DRD2", "1", "gone"),
    ("aside", "CCSC(C)(C)O", "DRD2", "1", ""),
]
OWN = [
    ("P1", "one", "AKT inhibitor", "CCCCC(=O)O"),
    ("P2", "pro pyl", "AKT inhibitor", "CCCO"),
    ("P4", "gone", "AKT inhibitor", "CCCCCC(=O)O"),
]
FURTHER = [
    ("F02", "Pro-Pyl", "AKT inhibitor", "CCCCCCO"),
    ("F07", "Gone", "AKT inhibitor", "CCSC(C)(C)O"),
    ("F11", "eleven", "AKT inhibitor", "CC(C)CCCO"),
]


def table_of(path, rows):
    return write_table(path, [(i, name, "", moa, smiles, "") for i, name, moa, smiles in rows])


@pytest.fixture
def sources(tmp_path):
    """Release, structure-only compounds, and the table of ligands."""
    aside = tmp_path / "aside.tsv"
    aside.write_text("compound_group\tcmap_name\nZXEKIIBDNHEJCQ\tother\nXXX\tgone\n")
    paths = {
        "compounds": table_of(tmp_path / "own.txt", OWN),
        "excluded_compounds": aside,
        "structure_only_compounds": table_of(tmp_path / "further.txt", FURTHER),
    }
    own = read_own_compounds(paths)
    ligands = tmp_path / "ligands.tsv"
    lines = ["\t".join((*row[1:4], "nM", row[4])) for row in LIGANDS_ROWS]
    ligands.write_text("\n".join(("smiles\ttarget\tactivity\tunit\tname", *lines)) + "\n")
    return own, read_structure_only_compounds(paths, own, SIGNATURES), ligands


def test_only_ligands_that_nobody_knows_join(sources):
    own, structure_only, path = sources
    read = read_activities({"ligands.tsv": path}, TARGETS, LigandSettings())
    assert read.report == {
        "ligands.tsv": {
            "format": "plain table",
            "licence": "terms of its provider",
            "found": 15,
            "kept": 14,
            "dropped": {"target name is unknown": 1},
        }
    }
    known = structure_only.known.and_of(own.known).and_of(measured_identities(SIGNATURES))
    compounds, report = ligand_compounds(
        read.table,
        LigandSettings(),
        known=known,
        excluded=own.all_excluded.and_of(structure_only.excluded),
        symbol_of={"1": "DRD2", "2": "HTR1A"},
    )
    assert report == {
        "found": 13,
        "kept": 2,
        "dropped": {
            "compound is excluded": 4,
            "no activity that reaches the cut-off": 1,
            "structure missing: invalid SMILES": 1,
            "the release knows the compound": 5,
        },
        "pairs": {
            "kept": 3,
            "dropped": {},
            "targets": 2,
            "by_source": {"ligands.tsv": {"ligands": 2, "targets": 2}},
            "actions": {"unknown": 3},
            "actions_inferred_from_ec50": 0,
        },
    }
    table = compounds.table.set_index("smiles")
    assert table["targets"].to_dict() == {"CC(C)CCCCO": ("DRD2", "HTR1A"), "CCSCCCO": ("DRD2",)}
    assert table["actions"].to_dict() == {"CC(C)CCCCO": ("", ""), "CCSCCCO": ("",)}
    assert table["moas"].to_list() == [(), ()]
    assert set(table["source"]) == {"ligands"}
    row = table.loc["CC(C)CCCCO"]
    assert (row["pert_id"], row["compound"]) == (f"ligand:{row['inchi_key']}", "new")
    assert row["compound_group"] == row["inchi_key"][:14]
    # Without a name a ligand is called by its key.
    assert table.loc["CCSCCCO", "compound"] == table.loc["CCSCCCO", "pert_id"]


def test_actions_are_stated_by_tables_else_by_mechanisms(tmp_path):
    path = tmp_path / "drugs.tsv"
    path.write_text(
        "name\tsmiles\ttarget\taction\n"
        "Drug-A\t\tDRD2\tagonist\n"
        "\tOCCCSCC\tDRD2\tantagonist\n"
        "drug c\t\tDRD2\tagonist\ndrug c\t\tDRD2\tantagonist\n"
    )
    read = read_activities({"drugs.tsv": path}, TARGETS, LigandSettings())
    rows = [
        ("A", "drug a", "", ("dopamine receptor antagonist",), ("D2R", "HTR1A"), "release"),
        ("B", "drug b", standardise("CCSCCCO").inchi_key, (), ("DRD2",), "structure_only"),
        ("C", "drug c", "", ("dopamine receptor antagonist",), ("DRD2",), "release"),
        ("D", "drug d", "", ("antidepressant",), ("DRD2",), "release"),
        ("E", "drug a", "", (), ("DRD2",), "ligands"),
    ]
    table = pd.DataFrame(
        rows, columns=["pert_id", "compound", "inchi_key", "moas", "targets", "source"]
    ).assign(compound_group="", smiles=None, scaffold=None)
    table["actions"] = [("",) * len(targets) for targets in table["targets"]]
    compounds, counts = with_actions(Compounds(table), read.table, IDENTIFIERS)
    # Stated; by the mechanism where the table says nothing of the target.
    expected = [("activates", "inhibits"), ("inhibits",), ("",), ("",), ("",)]
    assert compounds.table["actions"].tolist() == expected
    assert counts == {
        "by the mechanism's name": 1,
        "ligand tables disagree": 1,
        "stated by a ligand table": 2,
        "unknown": 1,
    }


@pytest.fixture(scope="module")
def with_ligands(release, tmp_path_factory):
    """The tiny release with ligands: one with the structure and one with the scaffold of a
    compound of the release, and two new ones.
    """
    plain = prepare(config_of(release))
    examples = build_examples(plain)
    path = tmp_path_factory.mktemp("ligands") / "ligands.tsv"
    known = next(smiles for smiles in examples.smiles if smiles)
    target = next(targets for targets in plain.compounds.table["targets"] if targets)[0]
    rows = [
        (known, target, "5"),
        ("CCSCCCCCCO", target, "5"),
        # A compound's own scaffold with another substituent.
        ("c1ccc2c(c1)sc1ccccc12", target, "7"),
        ("CCc1ccc2c(c1)sc1ccccc12", target, "7"),
    ]
    text = "".join("\t".join((*row, "nM")) + "\n" for row in rows)
    path.write_text(f"smiles\ttarget\tactivity\tunit\n{text}")
    return plain, path, config_of(release, files_ligands=(str(path),))


def test_ligands_change_nothing_else(with_ligands, tmp_path):
    plain, path, config = with_ligands
    dataset = prepare(config)
    table = dataset.compounds.table
    is_ligand = table["source"] == LIGANDS
    assert dataset.manifest["ligands"]["kept"] == is_ligand.sum() == 3
    assert dataset.manifest["ligands"]["dropped"] == {"the release knows the compound": 1}
    pd.testing.assert_frame_equal(table[~is_ligand].reset_index(drop=True), plain.compounds.table)
    pd.testing.assert_frame_equal(dataset.graph.genes, plain.graph.genes)
    examples = build_examples(dataset)
    assert examples.groups == build_examples(plain).groups
    assert examples.moas == build_examples(plain).moas
    without = unlabelled_examples(dataset, examples, LABELLED_SOURCES)
    assert without.groups == unlabelled_examples(plain, examples, LABELLED_SOURCES).groups
    found = unlabelled_examples(dataset, examples, LABELLED_SOURCES | {LIGANDS})
    added = set(found.groups) - set(without.groups)
    assert added == set(table["compound_group"][is_ligand])
    assert dataset.manifest["inputs"][f"ligands {path.name}"]["file"] == path.name
    write_prepared(tmp_path / "prepared", dataset)
    again = read_prepared(tmp_path / "prepared").compounds.table
    pd.testing.assert_frame_equal(again, table, check_dtype=False)


def test_another_ligand_table_is_another_dataset(with_ligands):
    _, path, config = with_ligands
    before = describe_sources(config)
    text = path.read_text()
    path.write_text(text + "CCSCCCCCCCO\tGENE1\t5\tnM\n")
    assert describe_sources(config) != before
    path.write_text(text)
    assert describe_sources(config) == before


@pytest.mark.parametrize(
    ("ligands", "message"),
    [
        (("absent.tsv",), "config.files.ligands names .*absent.tsv, which is neither a file nor"),
        (("siginfo.txt", "siginfo.txt"), "config.files.ligands has two tables siginfo.txt."),
        (("geneinfo.txt",), "geneinfo.txt is not a ligand table: it has the columns"),
    ],
)
def test_ligand_tables_that_cannot_be_used_are_named(release, ligands, message):
    with pytest.raises(InputError, match=message):
        prepare(config_of(release, files_ligands=ligands))


@pytest.mark.parametrize(("rule", "num_left"), [("compound", 2), ("scaffold", 1)])
def test_no_ligand_leaks(with_ligands, rule, num_left):
    """Planted: a ligand with the structure of a test compound, and one with its scaffold."""
    _, _, config = with_ligands
    dataset = prepare(config)
    examples = build_examples(dataset)
    split = make_split(rule, examples, fold=0, num_folds=3, seed=0, validation_fraction=0.2)
    units = zip(examples.table[split.unit], examples.smiles, strict=True)
    tested = max(
        (smiles for unit, smiles in units if split.parts[unit] == "test"),
        key=lambda smiles: len(MurckoScaffoldSmiles(smiles)),
    )
    table = dataset.compounds.table.copy()
    same, analogue, other = table.index[table["source"] == LIGANDS]
    table.loc[same, "smiles"] = tested
    table.loc[analogue, "smiles"] = with_methyl(MurckoScaffoldSmiles(tested))
    planted = dataclasses.replace(dataset, compounds=Compounds(table))
    sources = LABELLED_SOURCES | {LIGANDS}
    offered = unlabelled_examples(planted, examples, sources)
    assert set(table["pert_id"][[same, analogue, other]]) <= set(offered.table["pert_id"])
    kept = unlabelled_part(planted, split, examples, sources=sources, transductive=False)
    left = kept.table["pert_id"][kept.table["pert_id"].str.startswith("ligand:")]
    assert len(left) == num_left
    assert table["pert_id"][same] not in set(left)
    assert (table["pert_id"][analogue] in set(left)) == (rule == "compound")


def with_methyl(scaffold):
    """A structure with a scaffold and one methyl group."""
    editable = Chem.RWMol(Chem.MolFromSmiles(scaffold))
    place = next(
        atom.GetIdx()
        for atom in editable.GetAtoms()
        if atom.GetSymbol() == "C" and atom.GetTotalNumHs() and atom.IsInRing()
    )
    editable.AddBond(place, editable.AddAtom(Chem.Atom("C")), Chem.BondType.SINGLE)
    Chem.SanitizeMol(editable)
    return Chem.MolToSmiles(editable)
