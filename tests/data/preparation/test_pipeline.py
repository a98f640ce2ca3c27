import pathlib

import numpy as np
import pandas as pd
import pytest

from moa_jax.command_line import load_config
from moa_jax.data.examples.build import build_examples
from moa_jax.data.expression.landmark_columns import LandmarkFinder
from moa_jax.data.preparation.pipeline import describe_sources, prepare
from moa_jax.data.preparation.settings import settings_from_config
from moa_jax.knowledge.gene_identifiers import GeneIdentifiers
from moa_jax.schemas import InputError
from tests.matrices import read_matrix
from tests.tiny_release import compounds_of, config_of, edit_gctx, edit_tsv, read_tsv

CONFIGS = pathlib.Path(__file__).parents[3] / "configs" / "data"


def test_level5_is_taken_as_it_is(release, level5):
    genes = read_tsv(release / "geneinfo.txt").query("feature_space == 'landmark'")
    order = sorted(genes["gene_id"], key=int)
    signatures = level5.signatures
    assert signatures.genes["entrez_id"].tolist() == order
    symbols = dict(zip(genes["gene_id"], genes["gene_symbol"], strict=True))
    assert signatures.genes["symbol"].tolist() == [symbols[gene] for gene in order]
    sig_ids = compounds_of(release)["sig_id"].tolist()
    assert signatures.table["sig_id"].tolist() == sig_ids
    matrix = read_matrix(release / "level5.gctx", profile_ids=sig_ids, gene_ids=order)
    np.testing.assert_array_equal(signatures.expression, matrix.values)
    first = signatures.table.iloc[0]
    assert (first["compound"], first["dose_um"], first["time_h"]) == ("droxinostat", 10.0, 24.0)
    assert (first["tas"], first["n_replicates"]) == (0.239523, 2.0)


def test_the_manifest_counts_and_describes(release, level5):
    manifest = level5.manifest
    assert {**manifest, **describe_sources(config_of(release))} == manifest
    assert manifest["signatures"] == {
        "found": 120,
        "kept": 96,
        "dropped": {"pert_type is ctl_vehicle": 24},
    }
    assert manifest["compounds"]["found"] == 49
    assert manifest["compounds"]["without_structure"]["no structure"] == 1
    assert manifest["genes"]["others_left_out"] == 10
    assert manifest["inputs"]["expression"]["file"] == "level5.gctx"
    assert manifest["coverage"]["landmarks"]["in_string"] == 60
    assert manifest["joined"]["signatures_without_compound_row"] == 0
    assert sum(manifest["cell_lines"]["signatures"].values()) == 94
    assert manifest["cell_lines"]["signatures_without"] == 2


def test_the_manifest_holds_no_absolute_path(release, tmp_path):
    own = tmp_path / "own" / "signatures.gctx"
    own.parent.mkdir()
    own.write_bytes((release / "level5.gctx").read_bytes())
    config = config_of(release, files_expression=str(own))
    manifest = prepare(config).manifest
    assert manifest["inputs"]["expression"]["file"] == "signatures.gctx"
    assert manifest["config"]["files"]["expression"] == "signatures.gctx"
    assert str(tmp_path) not in str(manifest)


def test_missing_landmarks_are_named(raw, level5):
    genes = level5.signatures.genes
    edit_gctx(raw / "level5.gctx", genes=genes["entrez_id"].tolist()[4:][::-1])
    prepared = prepare(config_of(raw))
    report = prepared.manifest["genes"]
    lost = [f"{gene.entrez_id} {gene.symbol}" for gene in genes.iloc[:4].itertuples()]
    assert report == {
        "landmarks": 60,
        "measured": 56,
        "missing": lost,
        "without_bead": 0,
        "others_left_out": 0,
        "found_by_name": {},
        "read_from": "row ids",
        "repeated_alike": 0,
        "dates_taken_for_symbols": {},
        "dates_not_understood": 0,
    }
    np.testing.assert_array_equal(
        prepared.signatures.expression, level5.signatures.expression[:, 4:]
    )
    assert prepared.graph.num_landmarks == 56


@pytest.mark.parametrize("column", ["Symbol", "Synonyms"])
def test_genes_may_be_called_by_symbol_or_alias(raw, level5, column):
    names = pd.read_csv(raw / "Homo_sapiens.gene_info.gz", sep="\t", dtype=str)
    names[column] = names[column].where(names[column] != "-", names["Symbol"])
    name_of = dict(zip(names["GeneID"], names[column], strict=True))
    edit_gctx(raw / "level5.gctx", gene_ids=lambda ids: [name_of[gene] for gene in ids])
    prepared = prepare(config_of(raw))
    np.testing.assert_array_equal(prepared.signatures.expression, level5.signatures.expression)
    found = prepared.manifest["genes"]["found_by_name"]
    assert len(found) == 60
    assert all(name_of[gene] == name for name, gene in found.items())


def test_landmark_columns():
    table = pd.DataFrame(
        {"entrez_id": ["100", "20", "3"], "symbol": ["A", "B", "C"], "aliases": ["OLDA", "", ""]}
    ).assign(bead="")
    identifiers = GeneIdentifiers.from_table(table)
    finder = LandmarkFinder(table, identifiers, "F.gctx")
    found = finder.find({"id": ["99", "OLDA", "3", "B"]})
    assert found.genes["entrez_id"].tolist() == ["3", "20", "100"]
    assert found.file_ids == ("3", "B", "OLDA")
    assert (found.num_others, len(found.missing)) == (1, 0)
    assert found.renamed == {"B": "20", "OLDA": "100"}
    assert found.places.tolist() == [2, 3, 1]
    assert finder.find({"id": ["OLDA", "100"]}).repeats == {"100": (0, 1)}
    with pytest.raises(InputError, match="has none of the 3 landmark genes; they start with x, y"):
        finder.find({"id": ["x", "y"]})


def test_pairs_of_landmarks_share_a_bead_colour(release, raw, level5):
    stored = read_tsv(release / "barcode_to_gene_map.txt")
    genes = level5.signatures.genes
    assert genes["bead"].value_counts().tolist() == [2] * 30
    bead_of = dict(zip(stored["gene_id"], stored["barcode_id"], strict=True))
    assert genes["bead"].tolist() == [bead_of[gene] for gene in genes["entrez_id"]]
    edit_tsv(raw / "barcode_to_gene_map.txt", lambda table: table.iloc[4:])
    prepared = prepare(config_of(raw))
    assert prepared.manifest["genes"]["without_bead"] == 4
    unknown = prepared.signatures.genes.query("bead == ''")["entrez_id"]
    assert set(unknown) == set(stored["gene_id"][:4])
    beads = prepare(config_of(raw, files_bead_map="")).signatures.genes["bead"]
    assert set(beads) == {""}


def keep_aside(raw, rows):
    (raw / "aside.tsv").write_text("compound_group\tcmap_name\n" + rows)
    return config_of(raw, files_excluded_compounds="aside.tsv")


@pytest.mark.parametrize("by", ["block", "name"])
def test_what_is_kept_aside_is_nowhere(raw, level5, by):
    drug = level5.compounds.table.query("smiles.notna() and pert_id != 'DMSO'").iloc[0]
    block = drug["inchi_key"][:14]
    rows = f"{block}\tother name\n" if by == "block" else f"XXX\t{drug['compound'].upper()}\n"
    # A second id of the same drug, which the compound table does not have.
    second = level5.signatures.table.query("pert_id != @drug.pert_id").iloc[0]

    def rename(table):
        row = table.index[table["sig_id"] == second["sig_id"]]
        table.loc[row, ["pert_id", "cmap_name"]] = ["UNKNOWN-1", f" {drug['compound']}"]
        return table

    edit_tsv(raw / "siginfo.txt", rename)
    prepared = prepare(keep_aside(raw, rows))
    kept = prepared.signatures.table
    num_aside = int((level5.signatures.table["pert_id"] == drug["pert_id"]).sum()) + 1
    assert drug["pert_id"] not in set(prepared.compounds.table["pert_id"])
    assert not {drug["pert_id"], "UNKNOWN-1"} & set(kept["pert_id"])
    assert prepared.manifest["signatures"]["dropped"]["compound is excluded"] == num_aside
    assert prepared.manifest["compounds"]["dropped"] == {"compound is excluded": 1}
    config = keep_aside(raw, rows)
    config.update(level=4)
    config.files.expression = "level4.gctx"
    assert drug["pert_id"] not in set(prepare(config).signatures.table["pert_id"])


def test_kept_aside_compounds_do_not_reach_the_graph(raw):
    drugs = read_tsv(raw / "compoundinfo.txt")
    names = drugs.loc[drugs["target"] != "", "cmap_name"].unique()
    rows = "".join(f"XXX\t{name}\n" for name in names)
    edit_tsv(raw / "siginfo.txt", lambda t: t.assign(cmap_name=t["pert_id"]))
    coverage = prepare(config_of(raw)).manifest["coverage"]
    assert coverage["targets"]["given"] > 0
    aside = keep_aside(raw, rows)
    aside.filters.pert_types = ("trt_cp", "ctl_vehicle")
    assert prepare(aside).manifest["coverage"]["targets"]["given"] == 0


def test_targets_of_structure_only_compounds_are_nodes_of_the_graph(raw):
    before = prepare(config_of(raw)).graph.genes
    further = {
        "pert_id": "FURTHER-1",
        "cmap_name": "further",
        # A neighbour that no compound of the release acts on.
        "target": f"{before['symbol'].iloc[-1]}|NOBODY",
        "moa": "HDAC inhibitor",
        "canonical_smiles": "CCOC(=O)c1ccncc1",
    }
    path = raw / "structure_only_compounds.txt"
    edit_tsv(path, lambda table: pd.concat([table, pd.DataFrame([further])]).fillna(""))
    dataset = prepare(config_of(raw, graph_max_hops=0))
    coverage = dataset.manifest["coverage"]
    assert coverage["nodes"] == {**coverage["nodes"], "targets": 35, "neighbours": 0}
    assert set(before["symbol"].iloc[[-1]]) <= set(dataset.graph.genes["symbol"])
    assert coverage["targets"]["unknown"] == ["NOBODY"]


def test_bad_structures_are_counted_and_their_compounds_stay(raw):
    smiles = {"SIM-K00001": "C1CC", "SIM-K00002": "[Na+].[Cl-]", "SIM-K00003": " "}

    def spoil(table):
        new = table["pert_id"].map(smiles)
        table["canonical_smiles"] = new.fillna(table["canonical_smiles"])
        return table

    before = prepare(config_of(raw)).manifest["compounds"]
    edit_tsv(raw / "compoundinfo.txt", spoil)
    prepared = prepare(config_of(raw))
    counts = prepared.manifest["compounds"]
    assert counts["kept"] == before["kept"]
    spoilt = sum(counts["without_structure"].values())
    assert spoilt == sum(before["without_structure"].values()) + 3
    assert counts["without_structure"]["only salt or solvent"] == 2
    table = prepared.compounds.table.set_index("pert_id")
    assert table.loc[list(smiles), "smiles"].isna().all()


def test_a_signature_of_an_unknown_compound_stays_without_label(raw):
    edit_tsv(raw / "compoundinfo.txt", lambda table: table[table["pert_id"] != "SIM-K00007"])
    prepared = prepare(config_of(raw))
    assert prepared.manifest["joined"]["signatures_without_compound_row"] == 2
    assert "SIM-K00007" in set(prepared.signatures.table["pert_id"])
    examples = build_examples(prepared, min_compounds=2)
    assert "SIM-K00007" not in set(examples.table["pert_id"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.filters.__delitem__("min_tas"), 'config.filters lacks the key "min_tas"'),
        (
            lambda c: c.graph.update(max_gene=3),
            'config.graph has no key "max_gene"; did you mean "max_genes"',
        ),
        (lambda c: c.update(levels=3), 'config has no key "levels"; did you mean "level"'),
        (lambda c: c.update(level=2), r"config.level is 2; expected one of \(3, 4, 5\)"),
        (lambda c: c.update(zscore_reference="dmso"), "config.zscore_reference is 'dmso'"),
        (lambda c: c.update(clip=-1.0), "config.clip is -1.0; expected 0"),
        (lambda c: c.files.update(ontology=""), "config.files.ontology is empty"),
        (lambda c: c.files.update(gene_ids="no.gz"), "config.files.gene_ids names .*no.gz, which"),
        (
            lambda c: c.files.update(expression="level4.gctx", instinfo=""),
            "siginfo.txt has none of the profiles of .*level4.gctx",
        ),
        (
            lambda c: c.update(raw_dir="nowhere"),
            "config.raw_dir names nowhere, which is not a folder",
        ),
        (lambda c: c.update(raw_dir=""), "config.raw_dir is empty"),
        (lambda c: c.graph.update(min_score=2000), "min_score is 2000; expected 1 to 1000"),
        (lambda c: c.update(release=3), "config.release is 3; expected str"),
        (
            lambda c: c.filters.update(pert_types=(1,)),
            "config.filters.pert_types is 1; expected str",
        ),
    ],
)
def test_a_config_that_cannot_be_used_is_refused(release, change, message):
    config = config_of(release)
    with config.ignore_type():
        change(config)
    with pytest.raises(InputError, match=message):
        prepare(config)


def test_numbers_may_be_written_without_point(release):
    config = config_of(release)
    with config.ignore_type():
        config.clip = 3
    assert settings_from_config(config).clip == 3.0


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.py")), ids=lambda path: path.stem)
def test_every_config_is_complete(path, tmp_path):
    config = load_config(str(path))
    config.raw_dir = str(tmp_path)
    assert settings_from_config(config).release
    assert config.out.startswith("data/")


def test_gene_sets_come_with_the_dataset(raw):
    genes = read_tsv(raw / "geneinfo.txt")
    names = genes["gene_symbol"].tolist()[:3]
    (raw / "sets.gmt").write_text("A set\tR-HSA-9\t" + "\t".join([*names, "gag"]) + "\n")
    prepared = prepare(config_of(raw, files_reactome="sets.gmt"))
    (row,) = prepared.gene_sets.itertuples(index=False)
    assert (row.collection, row.set_id, row.name) == ("reactome", "R-HSA-9", "A set")
    assert set(row.genes) == set(genes["gene_id"][:3])
    assert prepared.manifest["gene_sets"] == {
        "reactome": {"found": 1, "kept": 1, "names": 4, "not_understood": {"unknown": 1}}
    }
    assert prepared.manifest["inputs"]["reactome"]["file"] == "sets.gmt"
