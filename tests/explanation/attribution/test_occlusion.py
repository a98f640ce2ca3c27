import numpy as np
import pytest
from rdkit import Chem

from moa_jax.compounds.substructures import (
    SUBSTRUCTURE_FAMILIES,
    atoms_within,
    counts_without_atoms,
    substructure_counts,
)
from moa_jax.data.examples.features import encode
from moa_jax.explanation.attribution.occlusion import (
    occlude_atoms,
    occlude_genes,
    occlude_neighbourhoods,
)
from moa_jax.explanation.attribution.target import AttributionTarget
from moa_jax.schemas import InputError
from tests.explanation.attribution.linear_models import every_moa, linear_predictor, tiny_predictor
from tests.synthetic import make_examples, make_raw_examples

pytestmark = pytest.mark.slow

PARACETAMOL = "CC(=O)Nc1ccc(O)cc1"


def test_occluding_genes_of_a_linear_model_takes_their_contributions():
    predictor, examples = linear_predictor(), make_examples(8)
    replacement = np.random.default_rng(1).normal(size=(8, 5)).astype(np.float32)
    arguments = (predictor, examples, AttributionTarget(predictor.task), every_moa(8))
    weights = np.asarray(predictor.params["genes"]["kernel"])
    change = np.where(examples.gene_mask, examples.expression - replacement, 0)
    expected = change[:, None] * weights.T
    found = occlude_genes(*arguments, replacement=replacement)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert (found[..., 3] == 0).all()


@pytest.mark.parametrize("smiles", [PARACETAMOL, "C", "OCC1CC1", "c1ccc2ccccc2c1.[Na+]", "[2H]C"])
def test_counts_without_atoms_fall_to_nothing(smiles):
    full = substructure_counts([smiles])[0]
    num_atoms = len(encode_atoms(smiles))
    removed = np.concatenate(
        [
            np.zeros((1, num_atoms), bool),
            np.eye(num_atoms, dtype=bool),
            np.ones((1, num_atoms), bool),
        ]
    )
    counts = counts_without_atoms(smiles, removed)
    np.testing.assert_array_equal(counts[0], full)
    assert (counts <= full).all()
    # Keys without a pattern, of isotopes and fragments, stay.
    keys = sum(SUBSTRUCTURE_FAMILIES.values()) - 167
    assert set(np.flatnonzero(counts[-1])) <= {keys + 1, keys + 166}


def encode_atoms(smiles):
    return Chem.MolFromSmiles(smiles).GetAtoms()


def test_counts_without_an_atom_lack_what_holds_it():
    removed = np.zeros((2, 11), bool)
    removed[0, 0] = removed[1, 8] = True
    whole, *left = (
        substructure_counts([PARACETAMOL])[0],
        *counts_without_atoms(PARACETAMOL, removed),
    )
    paths = slice(5 * 1024, 6 * 1024)
    # Every path through the methyl group ends there; the hydroxyl's atom is as far from its end.
    assert left[0][paths].sum() < whole[paths].sum()
    torsions = slice(4 * 1024, 5 * 1024)
    # Torsions of paracetamol: 14, of which the methyl group and the hydroxyl hold one and two.
    assert [int(part[torsions].sum()) for part in (whole, *left)] == [14, 13, 12]
    with pytest.raises(InputError, match="has 11 atoms, but 3 were given"):
        counts_without_atoms(PARACETAMOL, np.zeros((1, 3), bool))


def test_occluding_atoms_equals_the_model_without_their_substructures():
    predictor = tiny_predictor(("signature_kernel", "structure_kernel"))
    raw = make_raw_examples(6, seed=2)
    examples = encode(raw, predictor.features)
    attribution_target = AttributionTarget(predictor.task)
    smiles = [None if row == 5 else text for row, text in enumerate(raw.smiles)]
    found = occlude_atoms(predictor, examples, smiles, attribution_target, every_moa(6))
    assert [one.shape for one in found[-1:]] == [(3, 0)]
    weights = {
        name: np.asarray(value) for name, value in predictor.params["structure_kernel"].items()
    }
    scale = float(np.asarray(predictor.params["expert_scales"])[0, 1])

    def logits(counts):
        total, start = 0.0, 0
        for size in predictor.task.model.substructure_families:
            columns = slice(start, start + size)
            ours, theirs = (
                np.concatenate([values[:, columns] >= level for level in (1, 2, 4)], axis=1)
                for values in (counts, weights["references"])
            )
            shared = ours.astype(float) @ theirs.T
            total += shared / np.maximum(ours.sum(1)[:, None] + theirs.sum(1) - shared, 1)
            start += size
        return (
            scale
            * total
            / len(predictor.task.model.substructure_families)
            @ weights["coefficients"]
        )

    num_atoms = found[2].shape[1]
    left = counts_without_atoms(smiles[2], np.eye(num_atoms, dtype=bool))
    expected = logits(substructure_counts([smiles[2]])) - logits(left)
    np.testing.assert_allclose(found[2], expected.T, rtol=1e-3, atol=1e-4)
    whole = occlude_atoms(
        predictor,
        examples,
        smiles,
        attribution_target,
        every_moa(6),
        groups=[np.ones((1, len(encode_atoms(text))), bool) for text in raw.smiles],
    )
    everything = logits(substructure_counts([smiles[2]]))[0]
    np.testing.assert_allclose(whole[2][:, 0], everything, rtol=1e-3, atol=1e-4)
    with pytest.raises(InputError, match="2 structures and no groups"):
        occlude_atoms(predictor, examples, smiles[:2], attribution_target, every_moa(6))


def test_neighbourhoods_of_a_chain_are_bands():
    near = [abs(np.subtract.outer(np.arange(5), np.arange(5))) <= radius for radius in range(5)]
    for radius, expected in enumerate(near):
        np.testing.assert_array_equal(atoms_within("CCCCO", radius), expected)
    # The sodium ion is in reach of itself alone.
    np.testing.assert_array_equal(atoms_within("CC.[Na+]", 9), [[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    with pytest.raises(InputError, match="the SMILES 'C1C' is invalid"):
        atoms_within("C1C", 1)


def test_neighbourhoods_are_averaged_over_radii_in_any_order_of_atoms():
    predictor = tiny_predictor(("signature_kernel", "structure_kernel"))
    raw = make_raw_examples(6, seed=2)
    examples, rest = (
        encode(raw, predictor.features),
        (AttributionTarget(predictor.task), every_moa(6)),
    )
    smiles = [None if row == 5 else text for row, text in enumerate(raw.smiles)]
    found = occlude_neighbourhoods(predictor, examples, smiles, *rest)
    assert found[5].shape == (3, 0)
    of_radii = [
        occlude_atoms(
            *(predictor, examples, raw.smiles, *rest),
            groups=[
                np.linalg.matrix_power(bonds + np.eye(len(bonds), dtype=int), radius) > 0
                for bonds in map(Chem.GetAdjacencyMatrix, map(Chem.MolFromSmiles, raw.smiles))
            ],
        )
        for radius in range(4)
    ]
    for row in range(5):
        expected = np.mean([of_radius[row] for of_radius in of_radii], axis=0)
        np.testing.assert_allclose(found[row], expected, rtol=1e-5, atol=1e-6)
    # The same molecules, written from their last atom to their first.
    turned = [
        Chem.MolToSmiles(
            Chem.RenumberAtoms(mol, list(range(mol.GetNumAtoms()))[::-1]), canonical=False
        )
        for mol in map(Chem.MolFromSmiles, raw.smiles)
    ]
    again = occlude_neighbourhoods(predictor, examples, turned, *rest)
    for text, other, own, theirs in zip(smiles[:5], turned, found, again, strict=False):
        match = Chem.MolFromSmiles(other).GetSubstructMatch(Chem.MolFromSmiles(text))
        assert len(match) == own.shape[1]
        np.testing.assert_allclose(own, theirs[:, list(match)], rtol=1e-4, atol=1e-5)
