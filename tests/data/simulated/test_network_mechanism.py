"""Mechanisms that run through the network: what drugs of one mechanism share, and what not."""

import collections
import dataclasses

import networkx as nx
import numpy as np
import pandas as pd
import pytest

from moa_jax.data.simulated import SimulationSettings, write_simulated_release
from moa_jax.data.simulated.biology import make_biology
from moa_jax.data.simulated.drugs import decoy_moas, load_drugs, pharmacophore_atoms
from moa_jax.data.simulated.mechanisms import make_mechanisms
from moa_jax.data.simulated.network_mechanism import assign_network_mechanisms
from moa_jax.schemas import InputError

SETTINGS = dataclasses.replace(
    SimulationSettings.network(), num_moas=8, num_landmarks=300, num_other_genes=500, num_terms=20
)


@pytest.fixture(scope="module")
def planted():
    real = load_drugs(SETTINGS.num_moas, SETTINGS.drugs_per_moa)
    biology = make_biology(SETTINGS, real)
    return real, assign_network_mechanisms(SETTINGS, real, biology, stream="tested drugs"), biology


def test_mechanisms_are_dealt_by_lot_and_structures_stay(planted):
    real, dealt, _ = planted
    assert [(drug.pert_id, drug.smiles) for drug in dealt] == [
        (drug.pert_id, drug.smiles) for drug in real
    ]
    count = collections.Counter(drug.moas for drug in dealt)
    assert count == collections.Counter((drug.moas[0],) for drug in real)
    kept = np.mean([new.moas[0] == old.moas[0] for new, old in zip(dealt, real, strict=True)])
    # One in eight by chance, of 56 drugs.
    assert kept < 0.3
    assert {pharmacophore_atoms(drug) for drug in dealt} == {()}
    assert set(decoy_moas(dealt).values()) == {()}


def test_drugs_hit_genes_of_their_own_in_the_home_module(planted):
    _, dealt, biology = planted
    genes = biology.genes.set_index("gene_symbol")
    hit = collections.defaultdict(list)
    for drug in dealt:
        assert len(set(drug.targets)) == SETTINGS.hits_per_drug
        assert set(genes.loc[list(drug.targets), "module"]) == {biology.home_modules[drug.moas[0]]}
        assert "landmark" not in set(genes.loc[list(drug.targets), "role"])
        hit[drug.moas[0]] += drug.targets
    assert all(len(found) == len(set(found)) for found in hit.values())
    assert len(set(biology.home_modules.values())) == len(hit) == 8


def test_drugs_of_one_mechanism_move_few_genes_in_common_but_of_one_region(planted):
    _, dealt, biology = planted
    settings = dataclasses.replace(SETTINGS, off_target_weight=0.0)
    moved = make_mechanisms(settings, dealt, biology).drug_effect != 0
    module = biology.genes["module"].to_numpy()[biology.matrix_rows]
    moas = np.array([drug.moas[0] for drug in dealt])
    home = np.array([biology.home_modules[moa] for moa in moas])
    in_home = module == home[:, None]
    assert (moved & in_home).sum() > 0.5 * moved.sum()
    both = moved.astype(float) @ moved.T
    either = moved.sum(axis=1)[:, None] + moved.sum(axis=1) - both
    pairs = (moas[:, None] == moas) & ~np.eye(len(moas), dtype=bool)
    assert 0.02 < (both / either)[pairs].mean() < 0.25
    # They lie near each other in the network: a step or two from hits of the same mechanism.
    real = biology.edges[biology.edges["is_real"]]
    graph = nx.Graph(zip(real["gene_a"], real["gene_b"], strict=True))
    row_of = {symbol: row for row, symbol in enumerate(biology.genes["gene_symbol"])}
    hits = {row_of[symbol] for symbol in dealt[0].targets}
    distance = nx.multi_source_dijkstra_path_length(graph, hits, weight=None)
    near = [distance[row] for row in biology.matrix_rows[moved[0]]]
    far = [distance[row] for row in biology.matrix_rows[~moved[0]] if row in distance]
    assert np.mean(near) < np.mean(far) - 1


def test_the_release_says_what_was_planted(tmp_path, planted):
    settings = dataclasses.replace(
        SETTINGS, cell_lines=("SIM1",), doses_um=(10.0,), replicates=1, wrong_moa_rate=0.0
    )
    write_simulated_release(tmp_path / "release", settings)
    assert "mechanism of each drug is random" in (tmp_path / "release" / "README.txt").read_text()

    def table(name):
        path = tmp_path / "release" / name
        return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)

    _, dealt, biology = planted
    targets = table("truth/moa_targets.tsv").groupby("moa")["gene_symbol"].agg(set)
    assert {moa: set(found) for moa, found in targets.items()} == {
        moa: {symbol for drug in dealt if drug.moas[0] == moa for symbol in drug.targets}
        for moa in biology.home_modules
    }
    labels = table("truth/labels.tsv")
    assert list(labels["true_moa"]) == [drug.moas[0] for drug in dealt]
    assert set(table("truth/molecules.tsv")["atoms"]) == {""}
    info = table("compoundinfo.txt").groupby("pert_id")["target"].agg(set)
    published = [info[drug.pert_id] == set(drug.targets) for drug in dealt]
    assert np.mean(published) > 0.85
    # Drugs without signature have their mechanisms by lot, too.
    further = table("structure_only_compounds.txt")
    assert set(further["moa"]) <= set(biology.home_modules)
    module = biology.genes.set_index("gene_symbol")["module"]
    assert list(module[further["target"]]) == [biology.home_modules[moa] for moa in further["moa"]]
    # The module's own term is moved by the mechanism.
    terms = table("truth/moa_terms.tsv")
    assert set(terms["moa"]) == set(biology.home_modules)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_moas": 9}, "num_terms is 20, which gives 8 modules; .* the 9 mechanisms needs its"),
        ({"hits_per_drug": 20}, "hits_per_drug is 20; the 7 drugs of one mechanism need as many"),
    ],
)
def test_mechanisms_that_find_no_room_are_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        write_simulated_release(tmp_path / "release", dataclasses.replace(SETTINGS, **changes))
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_mechanism_is_refused():
    with pytest.raises(InputError, match="mechanism is 'magic'; the mechanisms are shared_targets"):
        dataclasses.replace(SETTINGS, mechanism="magic")
