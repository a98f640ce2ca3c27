"""Ligand tables in their published formats: each is recognised, read and counted."""

import gzip
import json
import re

import numpy as np
import pytest

from moa_jax.compounds.ligands import bindingdb
from moa_jax.compounds.ligands.activities import ACTIVITY_COLUMNS
from moa_jax.compounds.ligands.chembl_targets import built_in_targets, read_chembl_targets
from moa_jax.compounds.ligands.formats import files_of, read_ligand_table
from moa_jax.schemas import InputError
from moa_jax.text import chunks


def read(path, unit=""):
    table = read_ligand_table(path, default_unit=unit)
    assert list(table.activities.table.columns) == list(ACTIVITY_COLUMNS)
    return table


def rows(table, *columns):
    return list(table.activities.table[list(columns)].itertuples(index=False, name=None))


def test_plain_tables_have_columns_in_any_case_and_units_of_their_own(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(
        "SMILES,Target,Activity,Unit,Source,Action,Name,Measure\n"
        "CCO,DRD2,10,nM,a paper,antagonist,first,Ki\n"
        "CCN,P35462,<0.1,\u00b5M,,,second,ic50\n"
        "CCC,CHEMBL234|HTR1A,7.5,pKi,,activates,third,\n"
        "CCCC,DRD2,,,,,,\n"
        "CCCCC,,5,nM,,,,\n"
    )
    table = read(path)
    assert table.format == "plain table"
    assert rows(table, "ligand", "target", "relation", "measure", "action", "source") == [
        ("first", "DRD2", "=", "Ki", "inhibits", "a paper"),
        ("second", "P35462", "<", "IC50", "", "own.csv"),
        ("third", "CHEMBL234", "=", "", "activates", "own.csv"),
        ("third", "HTR1A", "=", "", "activates", "own.csv"),
        ("", "DRD2", "=", "", "", "own.csv"),
    ]
    np.testing.assert_allclose(table.activities.table["p_activity"], [8, 7, 7.5, 7.5, np.nan])
    assert set(table.activities.table["target_kind"]) == {"any"}
    assert table.activities.dropped == {"target has no name": 1}


def test_a_default_unit_is_that_of_rows_without_one(tmp_path):
    path = tmp_path / "own.tsv"
    path.write_text("smiles\tgene\tvalue\nCCO\tDRD2\t100\n")
    assert rows(read(path, "nM"), "p_activity") == [(7.0,)]
    with pytest.raises(InputError, match=r"line 2 of .*own.tsv has the unit ''; expected nM"):
        read(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("CCO\tDRD2\tstrong\tnM\t", "line 2 of .* has the activity 'strong'; expected a positive"),
        ("CCO\tDRD2\t0\tnM\t", "line 2 of .* has the activity '0'; expected a positive number"),
        ("CCO\tDRD2\t5\tug/mL\t", "line 2 of .* has the unit 'ug/mL'; expected nM, uM"),
        ("CCO\tDRD2\t5\tnM\tabout", "line 2 of .* has the relation 'about'; expected <, > or ="),
    ],
)
def test_what_a_plain_table_gets_wrong_is_named_by_its_line(tmp_path, row, message):
    path = tmp_path / "own.tsv"
    path.write_text(f"smiles\ttarget\tactivity\tunit\trelation\n{row}\n")
    with pytest.raises(InputError, match=message):
        read(path)


CHEMBL_HEADER = (
    '"Molecule ChEMBL ID";"Molecule Name";"Smiles";"Standard Type";"Standard Relation";'
    '"Standard Value";"Standard Units";"pChEMBL Value";"Data Validity Comment";'
    '"Target ChEMBL ID";"Target Name";"Target Organism";"Target Type";"Action Type"'
)


def chembl_row(
    *,
    molecule="CHEMBL1",
    name="",
    smiles="CCO",
    measure="Ki",
    relation="'='",
    value="10",
    unit="nM",
    pchembl="8.00",
    doubt="",
    target="CHEMBL217",
    target_name="Dopamine D2 receptor",
    organism="Homo sapiens",
    kind="SINGLE PROTEIN",
    action="",
):
    fields = (molecule, name, smiles, measure, relation, value, unit, pchembl, doubt, target)
    return ";".join(f'"{field}"' for field in (*fields, target_name, organism, kind, action))


def test_chembls_export(tmp_path):
    path = tmp_path / "activities.csv"
    path.write_text(
        "\n".join(
            (
                CHEMBL_HEADER,
                chembl_row(name="ETHANOL; PURE", action="ANTAGONIST"),
                chembl_row(relation="'>'", value="10000", pchembl="", measure="IC50"),
                # ChEMBL's own logarithm is used where it is given.
                chembl_row(unit="ug.mL-1", pchembl="6.5"),
                chembl_row(organism="Rattus norvegicus"),
                chembl_row(kind="PROTEIN COMPLEX"),
                chembl_row(measure="Inhibition", unit="%"),
                chembl_row(unit="ug.mL-1", pchembl=""),
                chembl_row(doubt="Outside typical range"),
                chembl_row(value="", pchembl=""),
                chembl_row(target=""),
            )
        )
        + "\n"
    )
    table = read(path)
    assert (table.format, table.licence) == ("ChEMBL", "CC BY-SA 3.0")
    columns = ("ligand", "target", "p_activity", "relation", "measure", "action")
    assert rows(table, *columns) == [
        ("ETHANOL; PURE", "CHEMBL217", 8.0, "=", "Ki", "inhibits"),
        ("CHEMBL1", "CHEMBL217", 5.0, ">", "IC50", ""),
        ("CHEMBL1", "CHEMBL217", 6.5, "=", "Ki", ""),
    ]
    assert table.activities.dropped == {
        "measure is none of Ki, Kd, IC50, EC50": 1,
        "target is not human": 1,
        "target is a complex or a family": 1,
        "target has no name": 1,
        "ChEMBL doubts the value": 1,
        "unit is not molar": 1,
        "activity is missing or not a positive number": 1,
    }


def test_chembls_web_services_use_other_names_of_the_same_columns(tmp_path):
    path = tmp_path / "activities.tsv"
    path.write_text(
        "molecule_chembl_id\tcanonical_smiles\tstandard_type\tstandard_relation\tstandard_value\t"
        "standard_units\tpchembl_value\ttarget_chembl_id\ttarget_organism\n"
        "CHEMBL5\tCCO\tEC50\t=\t1.0\tuM\t\tCHEMBL204\tHomo sapiens\n"
    )
    assert rows(read(path), "ligand", "p_activity") == [("CHEMBL5", 6.0)]


CHAIN = ("BindingDB Target Chain Sequence", "UniProt (SwissProt) Primary ID of Target Chain")
BINDINGDB_HEADER = (
    "BindingDB Reactant_set_id",
    "Ligand SMILES",
    "Ligand InChI Key",
    "BindingDB Ligand Name",
    "Target Name Assigned by Curator or DataSource",
    "Target Source Organism According to Curator or DataSource",
    "Ki (nM)",
    "IC50 (nM)",
    "Kd (nM)",
    "EC50 (nM)",
    "Number of Protein Chains in Target (>1 implies a multichain complex)",
    # Chains repeat the names of their columns.
    *CHAIN,
    *CHAIN,
)


def bindingdb_row(
    *,
    ki="",
    ic50="",
    kd="",
    ec50="",
    target="Thrombin",
    organism="Homo sapiens",
    chains="1",
    accession="P00734",
):
    ligand = ("1", "CCO", "LFQSCWFLJHTTHZ-UHFFFAOYSA-N", "ethanol::EtOH", target, organism)
    return "\t".join((*ligand, ki, ic50, kd, ec50, chains, "MAH", accession, "", ""))


@pytest.fixture
def bindingdb_file(tmp_path):
    lines = (
        "\t".join(BINDINGDB_HEADER),
        bindingdb_row(ki=" 10 ", ic50=">10000"),
        bindingdb_row(kd="<0.1", ec50="n.d."),
        bindingdb_row(),
        bindingdb_row(ki="5", organism="Mus musculus"),
        bindingdb_row(ki="5", chains="2"),
        bindingdb_row(ki="5", target="Tyrosine-protein kinase ABL1 [T315I]"),
        bindingdb_row(ki="5", target="Tyrosine-protein kinase ABL1 [27-268]"),
        bindingdb_row(ki="5", accession=""),
    )
    path = tmp_path / "BindingDB_All.tsv.gz"
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return path


@pytest.mark.parametrize("chunk_rows", [2, 100])
def test_bindingdb_is_read_in_blocks(bindingdb_file, monkeypatch, chunk_rows):
    monkeypatch.setattr(chunks, "CHUNK_ROWS", chunk_rows)
    table = read(bindingdb_file)
    assert table.format == "BindingDB"
    assert sorted(rows(table, "measure", "relation", "p_activity", "target")) == [
        ("IC50", ">", 5.0, "P00734"),
        ("Kd", "<", 10.0, "P00734"),
        ("Ki", "=", 8.0, "P00734"),
        ("Ki", "=", pytest.approx(9 - np.log10(5)), "P00734"),
    ]
    assert set(rows(table, "ligand", "target_kind")) == {("ethanol", "uniprot")}
    assert table.activities.dropped == {
        "target is not human": 1,
        "target is a complex or a family": 1,
        "target is a mutant": 1,
        "target has no name": 1,
        "activity is missing or not a positive number": 2,
    }


def test_bindingdb_numbers_the_chains_in_later_releases():
    later = [f"{name} 1" if name.startswith("UniProt") else name for name in BINDINGDB_HEADER]
    later = [
        name.replace("Target Name Assigned by Curator or DataSource", "Target Name")
        for name in later
    ]
    assert bindingdb.fits(later)
    assert not bindingdb.fits([name for name in later if "Target Chain" not in name])


def matrix_folder(folder, ligands, proteins, text, name="kiba_binding_affinity_v2.txt"):
    folder.mkdir()
    (folder / "ligands_can.txt").write_text(json.dumps(ligands))
    (folder / "proteins.txt").write_text(json.dumps(proteins))
    (folder / name).write_text(text)
    return folder


def test_kiba(tmp_path):
    ligands, proteins = {"L1": "CCO", "L2": "CCN"}, {"P00519": "M", "P00533": "M", "O00141": "M"}
    text = "11.1\tnan\t12.5\nnan\tnan\t10.0\n"
    folder = matrix_folder(tmp_path / "kiba", ligands, proteins, text)
    assert [path.name for path in files_of(folder)] == [
        "ligands_can.txt",
        "proteins.txt",
        "kiba_binding_affinity_v2.txt",
    ]
    columns = ("ligand", "smiles", "target", "p_activity", "measure", "action")
    assert rows(read(folder), *columns) == [
        ("L1", "CCO", "P00519", 11.1, "KIBA", "inhibits"),
        ("L1", "CCO", "O00141", 12.5, "KIBA", "inhibits"),
        ("L2", "CCN", "O00141", 10.0, "KIBA", "inhibits"),
    ]


def test_davis_gives_wild_types_alone(tmp_path):
    proteins = dict.fromkeys(
        ("ABL1", "ABL1(T315I)", "JAK1(JH1domain-catalytic)", "JAK1(JH2domain-pseudokinase)"), "M"
    )
    folder = matrix_folder(tmp_path / "davis", {"1": "CCO"}, proteins, "1 2 10000 3\n")
    table = read(folder)
    assert rows(table, "target", "target_kind", "p_activity", "relation", "measure") == [
        ("ABL1", "symbol", 9.0, "=", "Kd"),
        # 10 uM stands for no binding.
        ("JAK1", "symbol", 5.0, ">", "Kd"),
    ]
    assert table.activities.dropped == {"target is a mutant": 2}


def test_a_matrix_that_does_not_fit_its_lists_is_refused(tmp_path):
    folder = matrix_folder(tmp_path / "kiba", {"L1": "CCO"}, {"P00519": "M"}, "11.1\t12.5\n")
    with pytest.raises(
        InputError, match="has 1 rows and 2 columns, but the lists beside it name 1"
    ):
        read(folder)
    (folder / "proteins.txt").write_text("not JSON")
    with pytest.raises(InputError, match=r"proteins.txt is not JSON"):
        read(folder)
    (folder / "kiba_binding_affinity_v2.txt").unlink()
    with pytest.raises(InputError, match=r"needs one matrix of affinities, .* found none"):
        read(folder)


def test_moleculeace(tmp_path):
    header = "smiles,exp_mean [nM],y,cliff_mol,split,y [pEC50/pKi]\n"
    (tmp_path / "CHEMBL235_EC50.csv").write_text(f"{header}CCO,100.0,-2.0,1,train,7.0\n")
    (tmp_path / "CHEMBL234_Ki.csv").write_text(f"{header}CCN,1,0,0,test,9.0\n")
    (tmp_path / "datasets.csv").write_text(
        "Dataset,ChEMBL ID,Target name\nCHEMBL235_EC50,CHEMBL235,PPAR receptor gamma\n"
    )
    (tmp_path / "README.md").write_text("about")
    columns = ("smiles", "target", "target_kind", "target_name", "p_activity", "measure")
    assert rows(read(tmp_path), *columns) == [
        ("CCN", "CHEMBL234", "chembl", "", 9.0, "Ki"),
        ("CCO", "CHEMBL235", "chembl", "PPAR receptor gamma", 7.0, "EC50"),
    ]
    assert len(files_of(tmp_path)) == 3


def test_drugcentral(tmp_path):
    header = ("DRUG_NAME", "STRUCT_ID", "TARGET_NAME", "GENE", "ACT_VALUE", "ACTION_TYPE")
    lines = [
        ("nicardipine", "5", "L-type calcium channel", "CACNA1C|CACNA1D", "", "BLOCKER"),
        ("salbutamol", "6", "Beta-2 adrenergic receptor", "ADRB2", "7", "AGONIST"),
        ("salbutamol", "6", "Albumin", "ALB", "4", ""),
        ("penicillin", "7", "Penicillin-binding protein", "", "", "INHIBITOR"),
    ]
    text = "\t".join(f'"{name}"' for name in (*header, "ORGANISM"))
    # A blank line between rows, as in the published file.
    text += "".join("\n\n" + "\t".join((*line, "Homo sapiens")) for line in lines)
    text += "\n\n" + "\t".join(
        ("salbutamol", "6", "Adrb2", "Adrb2", "7", "AGONIST", "Mus musculus")
    )
    path = tmp_path / "drug.target.tsv"
    path.write_text(text + "\n")
    table = read(path)
    assert table.format == "DrugCentral"
    assert rows(table, "ligand", "smiles", "target", "action") == [
        ("nicardipine", "", "CACNA1C", "inhibits"),
        ("nicardipine", "", "CACNA1D", "inhibits"),
        ("salbutamol", "", "ADRB2", "activates"),
        ("salbutamol", "", "ALB", ""),
    ]
    assert table.activities.dropped == {"target is not human": 1, "target has no name": 1}


def test_other_files_and_folders_are_refused(tmp_path):
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(
        InputError, match=r"other.csv is not a ligand table: it has the columns a, b"
    ):
        read(path)
    with pytest.raises(InputError, match="is not the folder of a ligand table; expected columns"):
        read(tmp_path)
    with pytest.raises(InputError, match=re.escape("there is no file")):
        read(tmp_path / "absent.csv")


def test_chembls_mapping_of_targets(tmp_path):
    path = tmp_path / "chembl_uniprot_mapping.txt"
    path.write_text(
        "# chembl_33\nP21728\tCHEMBL2056\tDopamine D1 receptor\tSINGLE PROTEIN\n"
        "Q00987\tCHEMBL1907611\tp53-MDM2\tPROTEIN-PROTEIN INTERACTION\n"
        "P04637\tCHEMBL1907611\tp53-MDM2\tPROTEIN-PROTEIN INTERACTION\n"
    )
    found = {"CHEMBL2056": ("P21728",), "CHEMBL1907611": ("P04637", "Q00987")}
    assert read_chembl_targets(path) == found
    path.write_text("nothing\n")
    with pytest.raises(InputError, match="has no line with a UniProt accession and a ChEMBL"):
        read_chembl_targets(path)
    built_in = built_in_targets()
    assert len(built_in) == 29
    assert (built_in["CHEMBL234"], built_in["CHEMBL204"]) == ("DRD3", "F2")
