"""The files of a simulated release: bytes, formats, levels, streaming, refused settings."""

import dataclasses
import gzip
import itertools

import h5py
import numpy as np
import obonet
import pandas as pd
import pytest
from cmapPy.pandasGEXpress.parse_gctx import parse as parse_gctx
from rdkit import Chem

from moa_jax.data.simulated import SimulationSettings, release, write_simulated_release
from moa_jax.data.simulated.drugs import load_drugs, pharmacophore_atoms
from moa_jax.data.simulated.screen import plate_groups, plate_maps
from moa_jax.files import sha256_of
from moa_jax.knowledge import gene_identifiers, gene_ontology, string_db
from moa_jax.lincs.metadata import releases
from moa_jax.lincs.plates import robust_zscore
from moa_jax.schemas import InputError
from tests.lincs.test_replicates import moderated

PUBLIC_FILES = {
    "README.txt",
    "level3.gctx",
    "level4.gctx",
    "level5.gctx",
    "instinfo.txt",
    "siginfo.txt",
    "geneinfo.txt",
    "barcode_to_gene_map.txt",
    "cellinfo.txt",
    "compoundinfo.txt",
    "structure_only_compounds.txt",
    "Homo_sapiens.gene_info.gz",
    "9606.protein.links.v12.0.txt.gz",
    "9606.protein.info.v12.0.txt.gz",
    "go-basic.obo",
    "goa_human.gaf.gz",
}


OTHER_SEED = dataclasses.replace(SimulationSettings.tiny(), seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("simulated") / "release"
    write_simulated_release(path, SimulationSettings.tiny())
    return path


def table(path):
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


def fingerprints(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256_of(path) for path in files}


def test_equal_settings_give_equal_bytes_and_another_seed_does_not(folder, tmp_path):
    write_simulated_release(tmp_path / "again", SimulationSettings.tiny())
    write_simulated_release(tmp_path / "other", OTHER_SEED)
    first, again, other = map(fingerprints, (folder, tmp_path / "again", tmp_path / "other"))
    assert first == again
    same = {name for name in first if first[name] == other[name]}
    # Which genes are landmarks, and so every gene table, depends on the seed.
    seedless = {"README.txt", "cellinfo.txt", "structure_only_compounds.txt", "truth/molecules.tsv"}
    assert same <= seedless


def test_all_public_files_are_there_and_say_simulated(folder):
    assert {path.name for path in folder.iterdir()} == PUBLIC_FILES | {"truth"}
    assert (folder / "README.txt").read_text().startswith("SIMULATED")


def test_matrices_parse_with_cmappy_and_match_their_tables(folder):
    for level, info, key in (
        ("level3", "instinfo", "sample_id"),
        ("level4", "instinfo", "sample_id"),
        ("level5", "siginfo", "sig_id"),
    ):
        parsed = parse_gctx(str(folder / f"{level}.gctx"))
        assert list(parsed.data_df.columns) == list(table(folder / f"{info}.txt")[key])
        assert list(parsed.data_df.index) == list(table(folder / "geneinfo.txt")["gene_id"])
        assert np.isfinite(parsed.data_df.to_numpy()).all()
    level3 = parse_gctx(str(folder / "level3.gctx")).data_df.to_numpy()
    assert 4 <= level3.min() < level3.max() <= 15


def test_levels_are_made_from_each_other(folder):
    matrices = {}
    for level in ("level3", "level4", "level5"):
        with h5py.File(folder / f"{level}.gctx") as file:
            matrices[level] = file["0/DATA/0/matrix"][:]
    inst, sig = table(folder / "instinfo.txt"), table(folder / "siginfo.txt")
    expected = robust_zscore(matrices["level3"], plate=list(inst["det_plate"]))
    np.testing.assert_array_equal(matrices["level4"], expected)
    landmark = (table(folder / "geneinfo.txt")["feature_space"] == "landmark").to_numpy()
    row_of = {name: row for row, name in enumerate(inst["sample_id"])}
    for place in range(0, len(sig), 17):
        ids = sig["distil_ids"][place].split("|")
        z = matrices["level4"][[row_of[name] for name in ids]]
        signature, _, correlation, activity = moderated(z, landmark)
        np.testing.assert_allclose(matrices["level5"][place], signature, rtol=0, atol=1e-6)
        assert float(sig["cc_q75"][place]) == pytest.approx(correlation, rel=1e-4, abs=1e-9)
        assert float(sig["tas"][place]) == pytest.approx(activity, rel=1e-4)


def test_lincs_tables_are_read_by_the_lincs_room(folder):
    sig = releases.harmonise_siginfo(releases.read_table(folder / "siginfo.txt"), "siginfo.txt")
    inst = releases.harmonise_instinfo(releases.read_table(folder / "instinfo.txt"), "instinfo.txt")
    treated = sig[sig["pert_type"] == "trt_cp"]
    assert set(sig["pert_type"]) == {"trt_cp", releases.VEHICLE_PERT_TYPE}
    assert (treated["dose_um"] == 10).mean() > 0.9
    assert treated["dose_um"].isna().any()
    assert sig.loc[sig["pert_id"] == "DMSO", "dose_um"].isna().all()
    assert set(sig["n_replicates"]) == {2.0}
    assert len(inst) == 2 * len(sig)
    pairs = releases.signature_instances(releases.read_table(folder / "siginfo.txt"), "siginfo.txt")
    assert set(pairs["inst_id"]) == set(inst["inst_id"])
    genes = releases.harmonise_geneinfo(releases.read_table(folder / "geneinfo.txt"), "geneinfo")
    assert genes["is_landmark"].sum() == 60
    assert len(genes) == 70


def test_compoundinfo_has_one_row_per_target_and_moa(folder):
    info = table(folder / "compoundinfo.txt")
    assert not info.duplicated(["pert_id", "target", "moa"]).any()
    for _, group in info.groupby("pert_id"):
        assert len(group) == group["target"].nunique() * group["moa"].nunique()
    known = info[info["canonical_smiles"] != ""]
    for smiles, key in sorted(set(zip(known["canonical_smiles"], known["inchi_key"], strict=True))):
        assert Chem.MolToInchiKey(Chem.MolFromSmiles(smiles)) == key
    assert (info.loc[info["canonical_smiles"] == "", "inchi_key"] == "").all()


def test_string_and_ontology_parse_with_others_and_with_the_knowledge_room(folder):
    info = string_db.read_string_info(folder / "9606.protein.info.v12.0.txt.gz")
    links = string_db.read_string_links(folder / "9606.protein.links.v12.0.txt.gz", min_score=0)
    assert len(info) == 120
    with gzip.open(folder / "9606.protein.links.v12.0.txt.gz", "rt") as file:
        assert next(file) == "protein1 protein2 combined_score\n"
        rows = [tuple(line.split()) for line in file]
    assert {(b, a, score) for a, b, score in rows} == set(rows)
    assert all(150 <= int(score) < 1000 for *_, score in rows)
    assert len(links) > 0

    graph = obonet.read_obo(folder / "go-basic.obo")
    assert {key for *_, key in graph.edges(keys=True)} == {"is_a", "part_of"}
    ontology = gene_ontology.read_obo(folder / "go-basic.obo")
    assert len(ontology.terms) == 40
    assert set(ontology.terms["namespace"]) == {
        "biological_process",
        "molecular_function",
        "cellular_component",
    }
    annotations = gene_ontology.read_gaf(folder / "goa_human.gaf.gz", ontology=ontology)
    assert sum(annotations.dropped.values()) == 0

    names = gene_identifiers.read_gene_ids(folder / "Homo_sapiens.gene_info.gz")
    identifiers = gene_identifiers.GeneIdentifiers.from_table(names)
    assert None not in [identifiers.resolve(name).entrez_id for name in info["symbol"]]
    assert None not in [identifiers.resolve(n).entrez_id for n in annotations.table["symbol"]]
    assert None not in [
        identifiers.resolve(name).entrez_id for name in table(folder / "geneinfo.txt")["gene_id"]
    ]


def test_every_drug_contains_its_pharmacophore():
    drugs = load_drugs(24, 9)
    assert len({drug.name for drug in drugs}) == len(drugs) > 150
    keys = {Chem.MolToInchiKey(Chem.MolFromSmiles(drug.smiles))[:14] for drug in drugs}
    assert len(keys) == len(drugs)
    for drug in drugs:
        assert len(pharmacophore_atoms(drug)) >= 3, drug.name
        assert Chem.CanonSmiles(drug.smiles) == drug.smiles


def test_no_drug_is_kept_aside(real_data):
    excluded_compounds = table(real_data / "compounds" / "kept_aside_compounds.tsv")
    names = set(excluded_compounds["cmap_name"].str.lower())
    groups = set(excluded_compounds["compound_group"])
    for drug in load_drugs(24, 9):
        assert drug.name.lower() not in names
        assert Chem.MolToInchiKey(Chem.MolFromSmiles(drug.smiles))[:14] not in groups


def test_drugs_and_their_targets_are_those_of_the_lincs_table_alone(real_data):
    compounds = table(real_data / "compounds" / "compounds.tsv").set_index("cmap_name")
    # The Repurposing Hub's labels, which fill this table's gaps, may not be passed on.
    source = "LINCS2020 compound table (signatureSearch lincs_pert_info2)"
    compounds = compounds[compounds["label_source"] == source]
    for drug in load_drugs(24, 9):
        public = compounds.loc[[drug.name]]
        assert any(set(drug.moas) <= set(moa.split("|")) for moa in public["moa"]), drug.name
        assert any(set(drug.targets) <= set(cell.split("|")) for cell in public["target"])
        keys = set(public["inchi_key"].str[:14])
        assert Chem.MolToInchiKey(Chem.MolFromSmiles(drug.smiles))[:14] in keys


def test_every_treatment_is_on_the_maps_once():
    settings = dataclasses.replace(SimulationSettings.tiny(), doses_um=(1.0, 10.0))
    maps = plate_maps(settings, 30)
    placed = [
        pair
        for one in maps
        for pair in zip(one.drug.tolist(), one.dose_um.tolist(), strict=True)
        if pair[0] >= 0
    ]
    assert sorted(placed) == sorted(itertools.product(range(30), (1.0, 10.0)))
    for one in maps:
        assert len(set(one.wells)) == len(one.wells) <= settings.wells_per_plate
        assert (one.drug == -1).sum() == settings.vehicle_wells_per_plate


def test_repeats_add_plates_but_hold_one_group_in_memory(tmp_path, monkeypatch):
    sizes = {}
    write = release.write_gctx

    def counting(path, *, profile_table, gene_table, blocks):
        def counted():
            for block in blocks:
                sizes.setdefault(path.name, []).append(len(block))
                yield block

        write(path, profile_table=profile_table, gene_table=gene_table, blocks=counted())

    monkeypatch.setattr(release, "write_gctx", counting)
    settings = dataclasses.replace(SimulationSettings.tiny(), repeats=3)
    write_simulated_release(tmp_path / "release", settings)
    num_maps = len(plate_maps(settings, len(load_drugs(6, 8))))
    num_groups = len(list(plate_groups(settings, num_maps)))
    assert num_groups == 3 * num_maps * 2
    assert len(sizes["level3.gctx"]) == len(sizes["level4.gctx"]) == num_groups * 2
    assert len(sizes["level5.gctx"]) == num_groups
    assert max(itertools.chain(*sizes.values())) <= settings.wells_per_plate
    ids = table(tmp_path / "release" / "siginfo.txt")["sig_id"]
    assert ids.is_unique
    assert set(ids.str[:6]) == {"SIM001", "SIM002", "SIM003"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bad_well_rate": 1.5}, r"bad_well_rate is 1\.5; a rate lies in \[0, 1\]"),
        ({"replicates": 0}, "replicates is 0; it must be positive"),
        ({"noise_log2": -1.0}, "noise_log2 is -1.0; it must not be negative"),
        ({"cell_lines": ("A", "A")}, "cell_lines is .*distinct"),
        ({"doses_um": (0.0,)}, "doses_um and times_h must be positive"),
        ({"wells_per_plate": 8, "vehicle_wells_per_plate": 8}, "wells_per_plate is 8"),
        ({"num_inferred_genes": 61}, "num_inferred_genes is 61"),
        ({"num_terms": 5}, "num_terms is 5"),
        ({"spread": 1.0}, r"spread is 1\.0"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(SimulationSettings.tiny(), **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_moas": 99}, "num_moas is 99; the drug table has 24 mechanisms"),
        ({"num_other_genes": 12}, "num_other_genes is 12; the .* drug targets need"),
    ],
)
def test_settings_that_do_not_fit_the_drugs_leave_nothing_behind(tmp_path, changes, message):
    settings = dataclasses.replace(SimulationSettings.tiny(), **changes)
    with pytest.raises(InputError, match=message):
        write_simulated_release(tmp_path / "release", settings)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_half_way_leaves_the_earlier_release_as_it_was(folder, tmp_path, monkeypatch):
    write_simulated_release(tmp_path / "release", SimulationSettings.tiny())
    before = fingerprints(tmp_path / "release")

    def fail(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(release, "robust_zscore", fail)
    with pytest.raises(InputError, match="cannot write"):
        write_simulated_release(tmp_path / "release", OTHER_SEED)
    assert fingerprints(tmp_path / "release") == before == fingerprints(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["release"]
