"""What `truth/` says agrees with what the public files show."""

import dataclasses

import h5py
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from moa_jax.data.simulated import SimulationSettings, write_simulated_release
from moa_jax.data.simulated.biology import make_biology, spread_over_network
from moa_jax.data.simulated.drugs import action_sign, load_drugs
from moa_jax.data.simulated.mechanisms import cut_to_affected, make_mechanisms, response_log2
from moa_jax.lincs.metadata.bead_map import read_bead_map

SETTINGS = dataclasses.replace(
    SimulationSettings.tiny(), bad_well_rate=0.1, wrong_moa_rate=0.2, wrong_metadata_rate=0.1
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("simulated") / "release"
    write_simulated_release(path, SETTINGS)
    return path


@pytest.fixture(scope="module")
def planted():
    drugs = load_drugs(SETTINGS.num_moas, SETTINGS.drugs_per_moa)
    biology = make_biology(SETTINGS, drugs)
    return drugs, biology, make_mechanisms(SETTINGS, drugs, biology)


def table(path):
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)


def matrix(folder, level):
    with h5py.File(folder / f"{level}.gctx") as file:
        return pd.DataFrame(
            file["0/DATA/0/matrix"][:],
            index=file["0/META/COL/id"][:].astype(str),
            columns=file["0/META/ROW/id"][:].astype(str),
        )


def test_affected_genes_move_in_clean_wells_in_the_direction_told(folder):
    level4, wells = matrix(folder, "level4"), table(folder / "truth" / "wells.tsv")
    inst = table(folder / "instinfo.txt").set_index("sample_id")
    effects = table(folder / "truth" / "drug_genes.tsv")
    clean = wells.loc[wells["is_clean"] == "true", "sample_id"]
    ratios, agreement = [], []
    for pert_id, group in effects.groupby("pert_id"):
        rows = clean[(inst.loc[clean, "pert_id"] == pert_id).to_numpy()]
        effect = group["effect"].astype(float).to_numpy()
        strong = np.abs(effect) >= np.median(np.abs(effect))
        hit = level4.loc[rows, group["gene_id"]].to_numpy()[:, strong]
        rest = level4.loc[rows].drop(columns=group["gene_id"]).to_numpy()
        ratios.append(np.abs(hit).mean() / np.abs(rest).mean())
        agreement.append((np.sign(hit) == np.sign(effect[strong])).mean())
    assert np.mean(ratios) > 1.3
    assert np.mean(agreement) > 0.65


def test_bad_wells_lack_the_signal_and_failed_ones_fail_quality_control(folder):
    wells = table(folder / "truth" / "wells.tsv").set_index("sample_id")
    inst = table(folder / "instinfo.txt").set_index("sample_id")
    level4 = matrix(folder, "level4")
    bad = wells["is_clean"] == "false"
    assert 0.05 < bad.mean() < 0.15
    assert set(wells.loc[bad, "reason"]) == {"failed signal", "no compound", "neighbour's profile"}
    assert (wells.loc[~bad, "reason"] == "").all()
    failed = wells["reason"] == "failed signal"
    assert (inst.loc[failed, "qc_pass"] == "0").mean() > 0.9
    assert (inst.loc[~failed, "qc_pass"] == "1").all()
    treated = inst["pert_type"] == "trt_cp"
    size = level4.abs().mean(axis=1)
    empty = treated & (wells["reason"] == "no compound")
    assert size[empty].mean() < 0.8 * size[treated & ~bad].mean()


def test_swapped_bead_pairs_are_told(folder, tmp_path):
    write_simulated_release(
        tmp_path / "unswapped", dataclasses.replace(SETTINGS, peak_swap_pair_rate=0.0)
    )
    swapped, plain = matrix(folder, "level3"), matrix(tmp_path / "unswapped", "level3")
    told = table(folder / "truth" / "peak_swaps.tsv")
    for row in told.itertuples(index=False):
        plain.loc[row.sample_id, [row.gene_id_a, row.gene_id_b]] = plain.loc[
            row.sample_id, [row.gene_id_b, row.gene_id_a]
        ].to_numpy()
    pd.testing.assert_frame_equal(swapped, plain)
    counts = table(folder / "truth" / "wells.tsv").set_index("sample_id")["num_swapped_pairs"]
    assert counts.astype(int).sum() == len(told) > 0
    bead_of = read_bead_map(folder / "barcode_to_gene_map.txt")
    assert [bead_of[gene] for gene in told["gene_id_a"]] == [
        bead_of[gene] for gene in told["gene_id_b"]
    ]


def test_labels_are_wrong_where_told_and_nowhere_else(folder):
    labels = table(folder / "truth" / "labels.tsv").set_index("pert_id")
    info = table(folder / "compoundinfo.txt")
    info = info[info["pert_id"] != "DMSO"]
    stored = info.groupby("pert_id")["moa"].agg(lambda moa: "|".join(sorted(set(moa))))
    for pert_id, row in labels.iterrows():
        assert stored[pert_id] == "|".join(sorted(row["stored_moa"].split("|")))
        right = row["stored_moa"] == row["true_moa"]
        assert row["state"] == ("right" if right else "wrong" if row["stored_moa"] else "missing")
    assert 0.05 < (labels["state"] == "wrong").mean() < 0.4
    names = {drug.pert_id: "|".join(drug.moas) for drug in load_drugs(6, 8)}
    assert labels["true_moa"].to_dict() == names


def test_altered_metadata_are_told(folder):
    altered = table(folder / "truth" / "metadata.tsv")
    sig = table(folder / "siginfo.txt").set_index("sig_id")
    inst = table(folder / "instinfo.txt").set_index("sample_id")
    expected = {"cell_iname": sig.index.str.split("_").str[1], "pert_time": "24", "pert_dose": "10"}
    treated = sig["pert_type"] == "trt_cp"
    told = altered[altered["table"] == "siginfo"]
    for field, true in expected.items():
        differs = set(sig.index[(sig[field] != true) & treated])
        rows = told[told["field"] == field].set_index("key")
        assert differs == set(rows.index)
        assert (sig.loc[rows.index, field] == rows["stored_value"]).all()
        assert set(rows["kind"]) <= {"wrong", "missing"}
        for key in rows.index:
            ids = sig.at[key, "distil_ids"].split("|")
            assert (inst.loc[ids, field] == sig.at[key, field]).all()
    assert set(told["kind"]) == {"wrong", "missing"}


def test_molecules_tell_the_atoms_of_the_pharmacophore(folder):
    molecules = table(folder / "truth" / "molecules.tsv")
    for row in molecules.itertuples(index=False):
        molecule = Chem.MolFromSmiles(row.canonical_smiles)
        atoms = tuple(map(int, row.atoms.split("|")))
        matches = molecule.GetSubstructMatches(Chem.MolFromSmarts(row.pharmacophore))
        assert atoms in {tuple(sorted(match)) for match in matches}
        assert row.moa not in row.decoy_for.split("|")
    # Structure alone must not give every mechanism away.
    assert (molecules["decoy_for"] != "").mean() > 0.1


def test_terms_of_a_mechanism_hold_its_targets_more_often_than_others(folder):
    terms = table(folder / "truth" / "moa_terms.tsv")
    targets = table(folder / "truth" / "moa_targets.tsv").groupby("moa")["gene_id"].agg(set)
    members = table(folder / "truth" / "annotations.tsv")
    members = members[members["is_real"] == "true"].groupby("go_id")["gene_id"].agg(set)
    assert (terms["enrichment"].astype(float) >= 2).all()
    assert set(terms["moa"]) == set(targets.index)
    own = [len(members[row.go_id] & targets[row.moa]) for row in terms.itertuples()]
    other = [
        np.mean(
            [len(members[row.go_id] & found) for moa, found in targets.items() if moa != row.moa]
        )
        for row in terms.itertuples()
    ]
    assert np.mean(own) > 1.5 * np.mean(other)


def test_edges_and_annotations_are_published_as_told(folder):
    edges = table(folder / "truth" / "edges.tsv")
    published = edges[edges["is_published"] == "true"]
    links = pd.read_csv(
        folder / "9606.protein.links.v12.0.txt.gz", sep=" ", dtype=str, compression="gzip"
    )
    pairs = set(zip(links["protein1"], links["protein2"], strict=True))
    assert len(links) == 2 * len(published) == len(pairs)
    assert set(zip(published["protein1"], published["protein2"], strict=True)) <= pairs
    score, false = edges["score"].astype(int), edges["is_real"] == "false"
    assert score[false].max() < 400 <= score[~false].min()
    annotations = table(folder / "truth" / "annotations.tsv")
    gaf = pd.read_csv(folder / "goa_human.gaf.gz", sep="\t", comment="!", header=None, dtype=str)
    told = annotations[annotations["is_published"] == "true"]
    assert set(zip(gaf[2], gaf[4], strict=True)) == set(
        zip(told["gene_symbol"], told["go_id"], strict=True)
    )


def test_spread_is_the_random_walk_with_restart(planted):
    _, biology, _ = planted
    rng = np.random.default_rng(0)
    seeds = rng.random((len(biology.genes), 2))
    graph = nx.Graph()
    graph.add_nodes_from(range(len(biology.genes)))
    for edge in biology.edges[biology.edges["is_real"]].itertuples():
        graph.add_edge(edge.gene_a, edge.gene_b, weight=edge.sign * edge.score / 1000)
    adjacency = nx.to_numpy_array(graph, nodelist=range(len(biology.genes)))
    degree = np.abs(adjacency).sum(axis=1)
    scale = np.where(degree > 0, 1 / np.sqrt(np.maximum(degree, 1e-12)), 0)
    step = scale[:, None] * adjacency * scale
    exact = 0.3 * np.linalg.solve(np.eye(len(step)) - 0.7 * step, seeds)
    found = spread_over_network(biology, seeds, spread=0.7)
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-5)
    # Activating a target does the opposite of inhibiting it.
    np.testing.assert_allclose(spread_over_network(biology, -seeds, spread=0.7), -found)


def test_agonists_and_inhibitors_have_opposite_signs():
    assert action_sign("Glucocorticoid receptor agonist") == 1
    assert action_sign("Histamine receptor antagonist") == -1
    assert action_sign("HDAC inhibitor") == -1


def test_affected_genes_are_the_strongest_and_keep_their_sign():
    settings = dataclasses.replace(SETTINGS, affected_share=0.5, compression=0.5)
    heat = np.array([[4.0], [-1.0], [0.1], [0.0]])
    np.testing.assert_allclose(cut_to_affected(heat, settings), [[1.0], [-0.5], [0.0], [0.0]])


def test_response_follows_dose_time_and_cell_line(planted):
    _, _, mechanisms = planted
    settings = dataclasses.replace(SETTINGS, stress_log2=0.0)

    def size(dose_um, time_h, cell_line=0, drug=3):
        shift = response_log2(
            settings,
            mechanisms,
            drug=np.array([drug]),
            dose_um=np.array([dose_um]),
            cell_line=cell_line,
            time_h=time_h,
        )
        return np.abs(shift).max()

    half, full = size(mechanisms.ec50_um[3].item(), 1e6), size(1e9, 1e6)
    assert half == pytest.approx(full / 2)
    peak = np.abs(mechanisms.drug_effect[3]).max()
    assert full == pytest.approx(settings.effect_log2 * mechanisms.sensitivity[0, 3] * peak)
    tau = mechanisms.tau_h[3].item()
    assert size(1e9, tau) == pytest.approx(full * (1 - np.exp(-1)))
    ratio = mechanisms.sensitivity[1, 3] / mechanisms.sensitivity[0, 3]
    assert size(1e9, 1e6, cell_line=1) == pytest.approx(full * ratio)
    assert size(1e9, 1e6, drug=-1) == 0.0


def test_drugs_of_one_mechanism_resemble_each_other_more(planted):
    drugs, _, mechanisms = planted
    correlation = np.corrcoef(mechanisms.drug_effect)
    moa = np.array([drug.moas[0] for drug in drugs])
    same = (moa[:, None] == moa) & ~np.eye(len(moa), dtype=bool)
    assert correlation[same].mean() > correlation[moa[:, None] != moa].mean() + 0.1
