"""Functional groups by their chemical names.

RDKit's catalogue (`rdkit.Chem.Fragments`) is made for descriptors: it lacks hydroxamic acids, and
its names are of counts and metabolic sites.
"""

from __future__ import annotations

import functools

from rdkit import Chem

# Name -> SMARTS, specific groups before general ones: a group within an earlier one is not listed.
FUNCTIONAL_GROUPS = {
    "beta-lactam": "C1(=O)CCN1",
    "barbiturate": "C1C(=O)NC(=O)NC1=O",
    "guanidine": "[NX3][CX3](=[NX2])[NX3]",
    "hydroxamic acid": "[CX3](=O)[NX3][OX2H]",
    "boronic acid": "[#6][BX3]([OX2])[OX2]",
    "sulfonylurea": "[SX4](=O)(=O)[NX3][CX3](=O)[NX3]",
    "carbamate": "[NX3][CX3](=O)[OX2]",
    "imide": "[CX3](=O)[NX3][CX3]=O",
    "urea": "[NX3][CX3](=O)[NX3]",
    "hydrazide": "[CX3](=O)[NX3][NX3,NX2]",
    "acrylamide": "[CX3]=[CX3][CX3](=O)[NX3]",
    "amide": "[CX3](=O)[NX3]",
    "thioamide or thiourea": "[CX3](=S)[NX3]",
    "carboxylic acid": "[CX3](=O)[OX2H,OX1-]",
    "lactone": "[CX3;R](=O)[OX2;R]",
    "ester": "[CX3](=O)[OX2H0][#6]",
    "enone": "[CX3]=[CX3][CX3](=O)[#6]",
    "epoxide": "C1OC1",
    "sulfonamide": "[SX4](=O)(=O)[NX3]",
    "sulfone": "[#6][SX4](=O)(=O)[#6]",
    "sulfoxide": "[#6][SX3](=O)[#6]",
    "sulfonic acid": "[SX4](=O)(=O)[OX2H,OX1-]",
    "phosphate or phosphonate": "[PX4](=O)([OX2,OX1-])[OX2,OX1-]",
    "nitro group": "[NX3+](=O)[OX1-]",
    "nitrile": "[CX2]#[NX1]",
    "azo group": "[#6][NX2]=[NX2][#6]",
    "oxime": "[CX3]=[NX2][OX2]",
    "hydrazone": "[CX3]=[NX2][NX3]",
    "amidine": "[CX3](=[NX2])[NX3]",
    "imine": "[CX3;!$(C[N,O,S])]=[NX2;!$(N[N,O])]",
    "isothiocyanate": "[NX2]=C=S",
    "disulfide": "[SX2][SX2]",
    "aldehyde": "[CX3H1]=O",
    "ketone": "[#6][CX3](=O)[#6]",
    "alkyne": "[CX2]#[CX2]",
    "trifluoromethyl": "[CX4](F)(F)F",
    "phenol": "c[OX2H]",
    "alcohol": "[CX4][OX2H]",
    "aryl ether": "c[OX2;!R][#6]",
    "ether": "[CX4][OX2][CX4]",
    "thiol": "[#6][SX2H]",
    "thioether": "[#6][SX2;!R][#6]",
    "aniline": "c[NX3;!$(N[C,S]=[O,S,N])]",
    "amine": "[NX3,NX4+;$(N[CX4]);!$(N[C,S]=[O,S,N]);!$(N[N,O,c])]",
    "aryl halide": "c[F,Cl,Br,I]",
    "alkyl halide": "[CX4][F,Cl,Br,I]",
}


def functional_groups(mol: Chem.Mol) -> list[tuple[str, tuple[int, ...]]]:
    """Name and ascending atoms of each group of a molecule, in the order of the first atom."""
    found: list[tuple[str, tuple[int, ...]]] = []
    for name, pattern in _patterns():
        # All matches of one group count: two amides may have an atom in common.
        matches = sorted({tuple(sorted(match)) for match in mol.GetSubstructMatches(pattern)})
        earlier = [set(atoms) for _, atoms in found]
        found += [
            (name, atoms) for atoms in matches if not any(set(atoms) <= other for other in earlier)
        ]
    return sorted(found, key=lambda group: (group[1], group[0]))


@functools.cache
def _patterns() -> tuple[tuple[str, Chem.Mol], ...]:
    return tuple((name, Chem.MolFromSmarts(smarts)) for name, smarts in FUNCTIONAL_GROUPS.items())
