"""Molecular descriptors of RDKit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32
from rdkit import Chem, rdBase
from rdkit.Chem import Crippen, rdMolDescriptors

from moa_jax.schemas import InputError

# Name -> function of a molecule. logP by Wildman and Crippen 1999, polar surface by Ertl 2000.
DESCRIPTORS: dict[str, Callable[[Chem.Mol], float]] = {
    "log_p": Crippen.MolLogP,
    "polar_surface": rdMolDescriptors.CalcTPSA,
    "weight": rdMolDescriptors.CalcExactMolWt,
    "hydrogen_donors": rdMolDescriptors.CalcNumHBD,
    "hydrogen_acceptors": rdMolDescriptors.CalcNumHBA,
    "rotatable_bonds": rdMolDescriptors.CalcNumRotatableBonds,
    "rings": rdMolDescriptors.CalcNumRings,
    "aromatic_rings": rdMolDescriptors.CalcNumAromaticRings,
    "share_of_sp3_carbon": rdMolDescriptors.CalcFractionCSP3,
    "heteroatoms": rdMolDescriptors.CalcNumHeteroatoms,
}


def molecular_descriptors(smiles: Sequence[str]) -> Float32[np.ndarray, "compound descriptor"]:
    """`DESCRIPTORS` of each compound; weights are daltons, surfaces square angstroms.

    Raises:
      InputError: RDKit cannot read a SMILES.
    """
    values = np.zeros((len(smiles), len(DESCRIPTORS)), np.float32)
    for row, text in enumerate(smiles):
        with rdBase.BlockLogs():
            mol = Chem.MolFromSmiles(text)
        if mol is None:
            raise InputError(f"the SMILES {text!r} is invalid, so it has no descriptors.")
        values[row] = [descriptor(mol) for descriptor in DESCRIPTORS.values()]
    return values
