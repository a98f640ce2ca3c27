"""One set of compounds, written as people write such tables: the same structures, or a refusal."""

import csv
import gzip
import io
import pathlib
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from moa_jax.compounds.structures import Structure, standardise
from moa_jax.compounds.tables import READING, contradictions, read_compound_table
from moa_jax.schemas import InputError

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
TRUTH = {
    "BRD-K81418486": "O=C(CCCCCCC(=O)Nc1ccccc1)NO",
    "BRD-K2": ASPIRIN,
    "7": "CCO.Cl",
    "c-4 x": r"C/C=C\C(N)=O",
    "E": None,
}
ID_NAMES = ("pert_id", "broad_id", "Compound_ID", "compound id", "ID", "Name", "pert_iname")
SMILES_NAMES = (
    *("canonical_smiles", "SMILES", "Isomeric SMILES", "isomericSMILES", "smiles", "Structure"),
    "SMILES (RDKit)",
)


def text_of(rows, separator, *, quoting=csv.QUOTE_MINIMAL, end="\n"):
    text = io.StringIO()
    csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=end).writerows(rows)
    return text.getvalue()


def read(content, name="table"):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_compound_table(path)


def structures(raw):
    found = {}
    for pert_id, smiles in zip(raw["pert_id"], raw["smiles"], strict=True):
        structure = standardise(smiles)
        found[pert_id] = structure.smiles if isinstance(structure, Structure) else None
    return found


EXPECTED = {
    pert_id: None if smiles is None else getattr(standardise(smiles), "smiles", None)
    for pert_id, smiles in TRUTH.items()
}
assert EXPECTED["7"] is None  # Ethanol is a solvent.


@st.composite
def written(draw):
    """A table of `TRUTH` in some dialect, as bytes."""
    as_inchi = draw(st.booleans())
    missing = draw(st.sampled_from(["", "-666", "restricted", "NA", "nan", "null"]))
    molecule = {
        pert_id: missing
        if smiles is None
        else Chem.MolToInchi(Chem.MolFromSmiles(smiles))
        if as_inchi
        else draw(st.sampled_from([smiles, Chem.CanonSmiles(smiles)]))
        for pert_id, smiles in TRUTH.items()
    }
    id_name = draw(st.sampled_from(ID_NAMES))
    structure_name = "InChI" if as_inchi else draw(st.sampled_from(SMILES_NAMES))
    change = draw(st.sampled_from([str, str.upper, str.casefold]))
    header = [change(id_name), change(structure_name)]
    rows = [[pert_id, molecule[pert_id]] for pert_id in draw(st.permutations(list(TRUTH)))]
    if draw(st.booleans()):
        header.append("pubchem_cid")
        rows = [[*row, "-666"] for row in rows]
    if draw(st.booleans()):
        header, rows = header[::-1], [row[::-1] for row in rows]
    pad = draw(st.sampled_from(["", " "]))
    table = [[f"{pad}{cell}{pad}" for cell in row] for row in [header, *rows]]
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = text_of(table, draw(st.sampled_from("\t,;")), quoting=quoting, end=end)
    text = draw(st.sampled_from(["", "!made for a test\n", "# made, for a test\n#\n"])) + text
    text += draw(st.sampled_from(["", "\n\n", "# the end\n"]))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    content = text.encode(encoding)
    return gzip.compress(content) if draw(st.booleans()) else content


@settings(deadline=None, max_examples=250)
@given(content=written())
def test_every_dialect_gives_the_same_structures(content):
    assert structures(read(content)) == EXPECTED


@settings(deadline=None, max_examples=100)
@given(
    separator=st.sampled_from(["\t", " ", ",", ";"]),
    header=st.sampled_from([None, ("SMILES", "Name"), ("smiles", "pert_id")]),
    order=st.permutations([pert_id for pert_id in TRUTH if TRUTH[pert_id]]),
    comment=st.sampled_from(["", "# 4 molecules\n"]),
)
def test_lists_of_molecules(separator, header, order, comment):
    rows = [[TRUTH[pert_id], pert_id] for pert_id in order]
    lines = [separator.join(row) for row in ([header] if header else []) + rows]
    raw = read(comment + "\n".join(lines), "molecules.smi")
    assert structures(raw) == {pert_id: EXPECTED[pert_id] for pert_id in order}


def test_molecules_with_extensions_or_without_names():
    raw = read(f"{ASPIRIN} |c:6,8| acetylsalicylic acid\nc1ccncc1\tpyridine\n".replace("\t", " "))
    assert structures(raw) == {"acetylsalicylic acid": ASPIRIN, "pyridine": "c1ccncc1"}
    bare = read(f"{ASPIRIN}\nc1ccncc1\n")
    assert structures(bare) == {ASPIRIN: ASPIRIN, "c1ccncc1": "c1ccncc1"}
    # Ids in front of the structures, no header: the column of structures is seen by its content.
    raw = read(f"BRD-1,{ASPIRIN}\nBRD-2,c1ccncc1\n")
    assert structures(raw) == {"BRD-1": ASPIRIN, "BRD-2": "c1ccncc1"}


def test_a_column_of_smiles_is_known_by_what_stands_in_it():
    text = f"pert_id\tdrawn as\tmoa\nA\t{ASPIRIN}\tCOX inhibitor\nB\tc1ccncc1\t\n"
    raw = read(text)
    assert structures(raw) == {"A": ASPIRIN, "B": "c1ccncc1"}
    assert raw.attrs[READING]["structures"] == "drawn as"
    assert raw.attrs[READING]["told_by"] == "its content"
    twice = text.replace("COX inhibitor", ASPIRIN)
    with pytest.raises(InputError, match="SMILES in the columns drawn as and drawn anew"):
        read(twice.replace("moa", "drawn anew"))
    # What is called a structure and holds pictures is not read for one.
    pictures = f"pert_id,structure,smi\nA,a.png,{ASPIRIN}\nB,b.png,c1ccncc1\n"
    assert structures(read(pictures)) == {"A": ASPIRIN, "B": "c1ccncc1"}


def test_a_column_of_ids_is_known_by_telling_compounds_apart():
    """A column called `BRD` or `pert`; weights and remarks that repeat are no ids."""
    text = f"weight,BRD,remark,SMILES\n180.2,A1,good,{ASPIRIN}\n46.1,B2,good,CCO\n"
    raw = read(text)
    assert raw["pert_id"].tolist() == ["A1", "B2"]
    assert raw.attrs[READING]["ids"] == "BRD"
    without = read(text.replace("B2", "A1"))
    assert without["pert_id"].tolist() == sorted([ASPIRIN, "CCO"])
    assert without.attrs[READING]["ids"] is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("pert_id,smile\nA,x\n", "has no column of structures: it has pert_id, smile; expected"),
        ("pert_id,smiles\nA,CCN,1\n", "line 2 of .* has 3 fields; the header names 2"),
        ("pert_id,smiles\n,c1ccncc1\n", "row 1 after the header has no pert_id"),
        ("pert_id,smiles,smiles\nA,CCN,CCN\n", "names the column smiles twice"),
        ("# nothing\n", "is empty"),
        ("", "is empty"),
        (b"PK\x03\x04xlsx", "is a zip archive or an Excel workbook; save the table as text"),
        (b"\xd0\xcf\x11\xe0xls", "is Excel's .xls; save the table as text"),
        (gzip.compress(b"pert_id,smiles\nA,CCN\n" * 99, mtime=0)[:-9], "is truncated or damaged"),
        (b"\xff\xfep\x00e\x00r", "is damaged: it starts as UTF-16 but"),
    ],
)
def test_what_is_no_table_of_structures_is_refused(content, message):
    with pytest.raises(InputError, match=message):
        read(content)


def test_geo_pert_info_has_no_mechanisms():
    columns = "pert_id pert_iname pert_type is_touchstone inchi_key_prefix inchi_key"
    header = [*columns.split(), "canonical_smiles", "pubchem_cid"]
    key = "WAEXFXRVDQXREF-UHFFFAOYSA-N"
    vorinostat = ["BRD-K81418486", "vorinostat", "trt_cp", "1", key[:14], key]
    rows = [
        [*vorinostat, TRUTH["BRD-K81418486"], "5311"],
        ["BRD-K00000001", "BRD-K00000001", "trt_cp", "0", "-666", "-666", "restricted", "-666"],
        ["TRCN0000001", "TP53", "trt_sh", "0", "-666", "-666", "-666", "-666"],
    ]
    raw = read(text_of([header, *rows], "\t"))
    assert raw.to_dict("records")[1] == {
        "pert_id": "BRD-K81418486",
        "compound": "vorinostat",
        "smiles": TRUTH["BRD-K81418486"],
        "inchi_key": key,
        "moas": (),
        "targets": (),
    }
    assert raw["smiles"].isna().tolist() == [True, False, True]


def test_the_first_column_with_values_counts():
    text = "pert_id,broad_id,smiles,isomeric_smiles\n"
    text += f"-666,BRD-K00000001-001-01-1,{ASPIRIN},\n-666,BRD-K00000002,CCN,C[C@H](N)CO\n"
    assert structures(read(text)) == {"BRD-K00000001": ASPIRIN, "BRD-K00000002": "C[C@H](N)CO"}


def test_contradicting_structures_are_counted_and_the_first_is_taken():
    text = f"pert_id,smiles\nA,{ASPIRIN}\nA,c1ccncc1\nB,CCN\nB,CCN.Cl\nB,[NH3+]CC.[Cl-]\n"
    raw = read(text)
    assert structures(raw) == {"A": ASPIRIN, "B": "CCN"}
    assert raw.attrs[READING]["contradicting"] == ["A"]
    assert contradictions(list("ABCDE")) == (
        "5 with contradicting structures, of which the first is used: A, B, C and 2 more"
    )


@pytest.mark.parametrize("separator", [" ", "\t"])
def test_row_names_as_r_writes_them(separator):
    rows = [["1", "A", ASPIRIN], ["2", "B", "c1ccncc1"]]
    lines = [["pert_id", "smiles"], *rows]
    text = text_of(lines, separator, quoting=csv.QUOTE_ALL)
    assert structures(read(text)) == {"A": ASPIRIN, "B": "c1ccncc1"}


def test_a_separator_may_end_every_row():
    text = f"pert_id\tsmiles\nA\t{ASPIRIN}\t\nB\tc1ccncc1\t\n"
    assert structures(read(text)) == {"A": ASPIRIN, "B": "c1ccncc1"}


def test_a_header_may_be_a_comment():
    text = f"# made by hand\n#pert_id\tsmiles\nA\t{ASPIRIN}\n"
    assert structures(read(text)) == {"A": ASPIRIN}
