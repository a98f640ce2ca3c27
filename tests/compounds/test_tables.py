import gzip

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moa_jax.compounds.tables import (
    RAW_COLUMNS,
    ExclusionList,
    read_compound_table,
    read_exclusion_list,
    read_repurposing_hub,
)
from moa_jax.schemas import InputError

ASPIRIN_KEY = "BSYNRYMUTXBXSQ-UHFFFAOYSA-N"
COMPOUNDINFO = f"""\
pert_id\tcmap_name\ttarget\tmoa\tcanonical_smiles\tinchi_key\tcompound_aliases
BRD-K2\taspirin\tPTGS2\tCyclooxygenase inhibitor\tCC(=O)Oc1ccccc1C(=O)O\t{ASPIRIN_KEY}\t
BRD-K2\taspirin\tPTGS1\tCyclooxygenase inhibitor\tCC(=O)Oc1ccccc1C(=O)O\t{ASPIRIN_KEY}\t
BRD-K2\taspirin\tPTGS1\t NFkB  pathway inhibitor\tCC(=O)Oc1ccccc1C(=O)O\t{ASPIRIN_KEY}\t
BRD-K1\t-666\t-666\tNA\trestricted\tnan\t-666
"""
COMPOUNDS = f"""\
pert_id\tcmap_name\tmoa\ttarget\tcanonical_smiles\tinchi_key\tcompound_group\tlabel_source
BRD-K2\taspirin\tNFkB pathway inhibitor|Cyclooxygenase inhibitor\tPTGS2|PTGS1|\
\tCC(=O)Oc1ccccc1C(=O)O\t{ASPIRIN_KEY}\tBSYNRYMUTXBXSQ\there
BRD-K1\t\t\t\t\t\tNAME:x\there
"""
DRUGS = """\
!Source\t"The Drug Repurposing Hub, Broad Institute"\t\t\t\t
!File_date\t3/24/2020\t\t\t\t
pert_iname\tclinical_phase\tmoa\ttarget\tdisease_area\tindication
aspirin\tLaunched\tcyclooxygenase inhibitor|NFkB pathway inhibitor\tPTGS1|PTGS2\tpain\tfev\u00e9r
"tris(2-bromo!)"\tPreclinical\t\t\t\t
"""
SAMPLES = f"""\
!Source\t"The Drug Repurposing Hub, Broad Institute"\t\t
broad_id\tpert_iname\tsmiles\tInChIKey
BRD-K00000002-001-03-9\taspirin\t\tInChI=1S/CH4/h1H4
BRD-K00000002-236-01-1\taspirin\tCC(=O)Oc1ccccc1C(=O)O |c:6|\t{ASPIRIN_KEY}
BRD-A00000001-001-01-5\ttris(2-bromo!)\tBrC\t
"""


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def test_compoundinfo_becomes_one_row_per_compound(tmp_path):
    table = read_compound_table(write(tmp_path / "compoundinfo_beta.txt", COMPOUNDINFO))
    assert tuple(table.columns) == RAW_COLUMNS
    first, second = table.to_dict("records")
    assert first == {
        "pert_id": "BRD-K1",
        "compound": "BRD-K1",
        "smiles": None,
        "inchi_key": None,
        "moas": (),
        "targets": (),
    }
    assert second == {
        "pert_id": "BRD-K2",
        "compound": "aspirin",
        "smiles": "CC(=O)Oc1ccccc1C(=O)O",
        "inchi_key": ASPIRIN_KEY,
        "moas": ("Cyclooxygenase inhibitor", "NFkB pathway inhibitor"),
        "targets": ("PTGS1", "PTGS2"),
    }


def test_pipe_separated_table_agrees_and_keeps_its_groups(tmp_path):
    table = read_compound_table(write(tmp_path / "compounds.tsv", COMPOUNDS))
    other = read_compound_table(write(tmp_path / "compoundinfo_beta.txt", COMPOUNDINFO))
    pd.testing.assert_frame_equal(table[list(RAW_COLUMNS)], other)
    assert list(table["compound_group"]) == ["NAME:x", "BSYNRYMUTXBXSQ"]


def test_repurposing_hub(tmp_path):
    drugs = write(tmp_path / "drugs.txt", DRUGS, "latin-1")
    samples = write(tmp_path / "samples.txt", SAMPLES, "latin-1")
    table = read_repurposing_hub(drugs, samples)
    assert tuple(table.columns) == RAW_COLUMNS
    first, second = table.to_dict("records")
    assert first["pert_id"] == "BRD-A00000001"
    assert first["compound"] == "tris(2-bromo!)"
    assert first["inchi_key"] is None
    assert first["moas"] == first["targets"] == ()
    assert second == {
        "pert_id": "BRD-K00000002",
        "compound": "aspirin",
        "smiles": "CC(=O)Oc1ccccc1C(=O)O |c:6|",
        "inchi_key": "VNWKTOKETHGBQD-UHFFFAOYSA-N",  # of the first sample's InChI
        "moas": ("NFkB pathway inhibitor", "cyclooxygenase inhibitor"),
        "targets": ("PTGS1", "PTGS2"),
    }
    pd.testing.assert_frame_equal(read_compound_table(drugs, samples), table)


def test_kind_is_told_by_the_columns(tmp_path):
    info = read_compound_table(write(tmp_path / "a.txt", COMPOUNDINFO))
    assert "compound_group" not in info.columns
    assert "compound_group" in read_compound_table(write(tmp_path / "b.txt", COMPOUNDS)).columns
    with pytest.raises(InputError, match=r"drugs\.txt is the Repurposing Hub's drug table"):
        read_compound_table(write(tmp_path / "drugs.txt", DRUGS, "latin-1"))
    # The table of samples has structures, so it can do without the other.
    alone = read_compound_table(write(tmp_path / "samples.txt", SAMPLES, "latin-1"))
    assert alone["pert_id"].tolist() == ["BRD-A00000001", "BRD-K00000002"]
    assert alone["smiles"].tolist() == ["BrC", "CC(=O)Oc1ccccc1C(=O)O |c:6|"]
    assert not any(alone["moas"])


def test_gzip_and_byte_order_mark(tmp_path):
    plain = read_compound_table(write(tmp_path / "a.txt", COMPOUNDINFO))
    marked = read_compound_table(write(tmp_path / "b.txt", COMPOUNDINFO, "utf-8-sig"))
    packed = tmp_path / "c.txt.gz"
    packed.write_bytes(gzip.compress(COMPOUNDINFO.encode()))
    pd.testing.assert_frame_equal(marked, plain)
    pd.testing.assert_frame_equal(read_compound_table(packed), plain)
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"c\.txt\.gz is truncated or damaged"):
        read_compound_table(packed)


def test_kept_aside_by_block_and_by_name(tmp_path):
    text = "compound_group\tcmap_name\nBSYNRYMUTXBXSQ\taspirin\nNAME:JQ-1\tJQ-1\n"
    aside = read_exclusion_list(write(tmp_path / "excluded_compounds.tsv", text))
    assert aside == ExclusionList(
        groups=frozenset({"BSYNRYMUTXBXSQ", "NAME:JQ-1"}), names=frozenset({"aspirin", "jq1"})
    )
    assert aside.excludes(ASPIRIN_KEY, None)
    assert aside.excludes("BSYNRYMUTXBXSQ-XXXXXXXXXX-N", "another name")
    assert aside.excludes(None, "Aspirin")
    assert aside.excludes("VNWKTOKETHGBQD-UHFFFAOYSA-N", "jq 1")
    assert not aside.excludes("VNWKTOKETHGBQD-UHFFFAOYSA-N", "methane")
    assert not aside.excludes(None, None)
    assert not aside.excludes("", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            COMPOUNDINFO.replace("canonical_smiles", "drawing").replace("(=O)", "?"),
            "x.txt has no column of structures: it has pert_id, cmap_name, target, moa, drawing",
        ),
        (COMPOUNDINFO.replace("BRD-K1", ""), "x.txt: row 4 after the header has no pert_id"),
        (COMPOUNDINFO[:-20], "line 5 of .*x.txt has 5 fields; the header names 7 columns"),
        (
            COMPOUNDINFO + "BRD-K3" + "\t" * 9 + "x\n",
            "line 6 of .*x.txt has 10 fields; the header",
        ),
        (COMPOUNDINFO + '"BRD-K3\t\t\n', "line 6 of .*x.txt is damaged .a quote is opened and not"),
        ("", "x.txt is empty"),
        (COMPOUNDINFO.replace("compound_aliases", "moa"), "x.txt names the column moa twice"),
        (COMPOUNDS.replace("NAME:x", ""), "x.txt: BRD-K1 needs one compound_group, found none"),
        (
            COMPOUNDS + COMPOUNDS.splitlines()[2].replace(":x", ":y"),
            "BRD-K1 needs one compound_group, found NAME:x and NAME:y",
        ),
    ],
)
def test_bad_compound_tables_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_compound_table(write(tmp_path / "x.txt", text))


def test_bad_hub_and_kept_aside_tables_are_refused(tmp_path):
    drugs = write(tmp_path / "drugs.txt", DRUGS, "latin-1")
    bad = write(tmp_path / "samples.txt", SAMPLES.replace("BRD-A0000", "A0000"), "latin-1")
    with pytest.raises(InputError, match=r"samples\.txt: sample 3 has broad_id 'A00000001-"):
        read_repurposing_hub(drugs, bad)
    with pytest.raises(InputError, match="lacks the columns pert_iname, moa; it has pert_id"):
        read_repurposing_hub(write(tmp_path / "d.txt", COMPOUNDS.replace("moa", "m")), bad)
    with pytest.raises(InputError, match=r"lacks the column cmap_name"):
        read_exclusion_list(write(tmp_path / "k.tsv", "compound_group\tname\n"))
    with pytest.raises(InputError, match=r"there is no file .*absent"):
        read_exclusion_list(tmp_path / "absent")
    with pytest.raises(InputError, match="cannot read"):
        read_compound_table(tmp_path)


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damaged_tables_are_read_or_refused(tmp_path, data):
    """Whatever is cut out or put in, the reader answers with a table or with an InputError."""
    content = data.draw(st.sampled_from([COMPOUNDINFO, COMPOUNDS])).encode()
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(start + 40, len(content))))
    damaged = content[:start] + data.draw(st.binary(max_size=8)) + content[end:]
    path = tmp_path / "damaged.txt"
    path.write_bytes(damaged)
    try:
        table = read_compound_table(path)
    except InputError:
        return
    assert tuple(table.columns[: len(RAW_COLUMNS)]) == RAW_COLUMNS
    assert table["pert_id"].is_unique


def test_real_tables(real_data):
    folder = real_data / "compounds"
    compounds = read_compound_table(folder / "compounds.tsv")
    info = read_compound_table(folder / "compoundinfo_beta.subset.txt")
    pd.testing.assert_frame_equal(compounds[list(RAW_COLUMNS)], info)
    assert len(compounds) == 3094
    assert (compounds["smiles"].isna()).sum() == 255
    hub = read_repurposing_hub(
        folder / "repurposing_drugs_20200324.txt", folder / "repurposing_samples_20200324.txt"
    )
    assert len(hub) == 6806
    assert hub["pert_id"].str.fullmatch(r"BRD-[A-Z]\d{8}").all()
    aside = read_exclusion_list(folder / "kept_aside_compounds.tsv")
    assert (len(aside.groups), len(aside.names)) == (229, 233)
