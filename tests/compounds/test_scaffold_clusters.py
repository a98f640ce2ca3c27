import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from moa_jax.compounds.scaffold_clusters import (
    MIN_SIMILARITY,
    scaffold_units,
    units_reached,
)
from tests.small_sets import ALCOHOLS

# The first ones are solvents, which have no parent structure.
CHAINS = ALCOHOLS[4:]


def similarity(first, second):
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    pair = [generator.GetFingerprint(Chem.MolFromSmiles(smiles)) for smiles in (first, second)]
    return DataStructs.TanimotoSimilarity(*pair)


def test_rings_give_murcko_scaffolds_and_chains_clusters():
    smiles = ["Oc1ccccc1", "O=C(O)c1ccccc1.[Na]", "CCCCCCO", "CCCCCCCO", "NC(=O)N", None, "?"]
    toluene, benzoate, hexanol, heptanol, urea, missing, broken = scaffold_units(smiles)
    assert toluene == benzoate == "c1ccccc1"
    assert hexanol == heptanol
    assert hexanol.startswith("acyclic like CCCCCC")
    assert urea == "acyclic like NC(N)=O"
    assert missing is None
    assert broken is None


def test_clusters_gather_what_resembles_their_centre():
    """Butina: every member resembles the centre, and the first centre has most neighbours."""
    units = scaffold_units(CHAINS)
    for smiles, unit in zip(CHAINS, units, strict=True):
        centre = unit.removeprefix("acyclic like ")
        assert similarity(smiles, centre) >= MIN_SIMILARITY
    neighbours = {
        centre: sum(similarity(centre, other) >= MIN_SIMILARITY for other in CHAINS)
        for centre in CHAINS
    }
    largest = max(set(units), key=units.count)
    assert neighbours[largest.removeprefix("acyclic like ")] == max(neighbours.values())


def test_units_do_not_depend_on_the_order_or_on_repeats():
    smiles = [*CHAINS, "NC(=O)N", "Oc1ccccc1", None]
    order = np.random.default_rng(0).permutation(len(smiles) * 2) % len(smiles)
    units = scaffold_units(smiles)
    assert scaffold_units([smiles[row] for row in order]) == [units[row] for row in order]


def test_another_structure_reaches_every_unit_that_it_resembles():
    reference = ["Oc1ccccc1", "CCCCCCO", "NC(=O)N", None]
    units = scaffold_units(reference)
    asked = ["CCc1ccccc1", "CCCCCCCO", "c1ccncc1", "CNC(=O)NC", None]
    assert similarity("CNC(=O)NC", "NC(=O)N") < MIN_SIMILARITY
    assert units_reached(asked, reference) == [
        (units[0],),
        (units[1],),
        ("c1ccncc1",),
        (),
        (),
    ]


@pytest.mark.parametrize("smiles", [[], [None], ["Oc1ccccc1"]])
def test_sets_without_chains_have_no_clusters(smiles):
    assert scaffold_units(smiles) == [text and "c1ccccc1" for text in smiles]
    assert units_reached(["CCCCN"], smiles) == [()]
