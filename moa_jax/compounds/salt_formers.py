"""Acids and bases that form salts of drugs, and are removed if another molecule remains.

Most are not in RDKit's list of salts and solvents, and some are larger than the drug (piperazine
citrate, trolamine salicylate). Names are from the WHO's list of INN for radicals and groups (INNM),
USAN and USP monographs, and ChEMBL's list of salts. Several are drugs themselves, so if two of them
form a salt, the order of the three lists decides which is the compound: a medicinal acid before a
base (choline salicylate is salicylic acid), a base before any other acid (piperazine citrate is
piperazine). Fatty acids are not listed: with a base such as ethanolamine (oleate) they are the
drug.

SMILES are neutral, without stereochemistry; tautomers that differ in RDKit are listed separately.
"""

from __future__ import annotations

from rdkit import Chem

MEDICINAL_ACIDS = {
    "OC(=O)c1ccccc1O": "salicylic",
}

BASES = {
    "C[N+](C)(C)CCO": "choline",
    "OCCN(CCO)CCO": "trolamine, triethanolamine",
    "OCCNCCO": "diolamine, diethanolamine",
    "NCCO": "olamine, ethanolamine",
    "NC(CO)(CO)CO": "trometamol, tromethamine",
    "CNCC(O)C(O)C(O)C(O)CO": "meglumine",
    "CCNCC(O)C(O)C(O)C(O)CO": "eglumine",
    "NCC(O)C(O)C(O)C(O)CO": "glucamine",
    "CN(C)CCO": "deanol",
    "CCN(CC)CCO": "diethylaminoethanol",
    "OCCN1CCCC1": "epolamine, hydroxyethylpyrrolidine",
    "OCCN1CCOCC1": "hydroxyethylmorpholine",
    "C1COCCN1": "morpholine",
    "C1CNCCN1": "piperazine",
    "c1c[nH]cn1": "imidazole",
    "NCCN": "ethylenediamine",
    "CCNCC": "diethylamine",
    "CCN(CC)CC": "triethylamine",
    "CC(C)NC(C)C": "diisopropylamine",
    "CC(C)(C)N": "erbumine, tert-butylamine",
    "NC1CCCCC1": "cyclohexylamine",
    "C1CCC(CC1)NC1CCCCC1": "dicyclohexylamine",
    "NC1CCC(CC1)c1ccccc1": "4-phenylcyclohexylamine",
    "NCC(O)=O": "glycine",
    "NCCCCC(N)C(O)=O": "lysine",
    "NC(=N)NCCCC(N)C(O)=O": "arginine",
    "NC(N)=NCCCC(N)C(O)=O": "arginine",
    "NCCCC(N)C(O)=O": "ornithine",
    "NC(Cc1c[nH]cn1)C(O)=O": "histidine",
    "NC(Cc1cnc[nH]1)C(O)=O": "histidine",
    "C[N+](C)(C)CC([O-])=O": "betaine",
    "C[N+](C)(C)CC(O)=O": "betaine",
    "C(Cc1ccccc1)NCc1ccccc1": "benethamine",
    "C(CNCc1ccccc1)NCc1ccccc1": "benzathine",
    "C(c1ccccc1)NCc1ccccc1": "dibenzylamine",
    "CCN(CC)CCOC(=O)c1ccc(N)cc1": "procaine",
    "CC(C)c1ccc2c(c1)CCC1C(C)(CNCCNCC3(C)CCCC4(C)c5ccc(C(C)C)cc5CCC34)CCCC21C": "hydrabamine",
}

ACIDS = {
    # Aliphatic.
    "OC(=O)C(O)=O": "oxalic",
    "OC(=O)CC(O)=O": "malonic",
    "OC(=O)CCC(O)=O": "succinic",
    "OC(=O)CCCC(O)=O": "glutaric",
    "OC(=O)CCCCC(O)=O": "adipic",
    "OC(=O)C=CC(O)=O": "fumaric, maleic",
    "OC(=O)CC(O)C(O)=O": "malic",
    "OC(=O)C(O)C(O)C(O)=O": "tartaric",
    "OC(=O)CC(O)(CC(O)=O)C(O)=O": "citric",
    "OC(=O)C=C(CC(O)=O)C(O)=O": "aconitic",
    "OC(=O)CCC(=O)C(O)=O": "oxogluric, ketoglutaric",
    "OCC(O)=O": "glycolic",
    "CC(O)C(O)=O": "lactic",
    "CCC(O)=O": "propionic",
    "OCC(O)C(O)C(O)C(O)C(O)=O": "gluconic",
    "OCC(O)C(O)C(O)C(O)C(O)C(O)=O": "gluceptic",
    "OC(=O)C(O)C(O)C(O)C(O)C(O)=O": "mucic",
    "OC(=O)C1OC(O)C(O)C(O)C1O": "glucuronic",
    "OCC1OC(OC(C(O)CO)C(O)C(O)C(O)=O)C(O)C(O)C1O": "lactobionic",
    "OCC(O)C1OC(=O)C(O)=C1O": "ascorbic",
    "NC(CC(O)=O)C(O)=O": "aspartic",
    "NC(CCC(O)=O)C(O)=O": "glutamic",
    "CC(=O)NC(CCC(O)=O)C(O)=O": "aceglumic, acetylglutamic",
    "OC(=O)C1CCC(=O)N1": "pidolic",
    "CC1(C)C2CCC1(CS(O)(=O)=O)C(=O)C2": "camsylic",
    "CCS(O)(=O)=O": "esylic",
    "OCCS(O)(=O)=O": "isethionic",
    "OS(=O)(=O)CCS(O)(=O)=O": "edisylic",
    "OS(=O)(=O)NC1CCCCC1": "cyclamic",
    "CCCCCCCCCCCCOS(O)(=O)=O": "lauryl sulfuric (estolates)",
    # Aromatic.
    "OC(=O)c1ccccc1": "benzoic",
    "OC(=O)c1ccc(O)cc1": "4-hydroxybenzoic",
    "OC(=O)c1cc(O)ccc1O": "gentisic",
    "CC(=O)Nc1ccc(cc1)C(O)=O": "acedoben",
    "OC(=O)c1cc(ccc1O)S(O)(=O)=O": "sulfosalicylic",
    "OC(=O)C(O)c1ccccc1": "mandelic",
    "OC(=O)CNC(=O)c1ccccc1": "hippuric",
    "OC(=O)c1cc(=O)[nH]c(=O)[nH]1": "orotic",
    "O=C1NS(=O)(=O)c2ccccc12": "saccharin",
    "Oc1c(cc(cc1[N+]([O-])=O)[N+]([O-])=O)[N+]([O-])=O": "picric",
    "Cn1c(=O)c2[nH]c(Cl)nc2n(C)c1=O": "teoclic, 8-chlorotheophylline",
    "Cn1c(=O)c2nc(Cl)[nH]c2n(C)c1=O": "teoclic, 8-chlorotheophylline",
    "Cc1ccc(cc1)C(=O)OC(C(OC(=O)c1ccc(C)cc1)C(O)=O)C(O)=O": "ditoluoyltartaric",
    "OC(=O)C(OC(=O)c1ccccc1)C(OC(=O)c1ccccc1)C(O)=O": "dibenzoyltartaric",
    "OS(=O)(=O)c1ccccc1": "besylic",
    "OS(=O)(=O)c1ccc(Cl)cc1": "closylic",
    "Cc1ccc(cc1)S(O)(=O)=O": "tosylic",
    # Naphthalene-2-sulfonic acid is the INN's napsilic; some suppliers mean the other one.
    "OS(=O)(=O)c1ccc2ccccc2c1": "napsylic",
    "OS(=O)(=O)c1cccc2ccccc12": "naphthalene-1-sulfonic",
    "OS(=O)(=O)c1cccc2c1cccc2S(O)(=O)=O": "napadisylic",
    "OC(=O)c1ccc2ccccc2c1O": "xinafoic",
    "OC(=O)c1cc2ccccc2cc1O": "3-hydroxy-2-naphthoic",
    "OC(=O)c1cc2ccccc2c(Cc2c(O)c(cc3ccccc23)C(O)=O)c1O": "pamoic, embonic",
}

# Canonical SMILES -> 1 to 3; a molecule of a lower tier is the compound (0: no salt former).
_TIERS = {
    Chem.CanonSmiles(smiles): tier
    for tier, formers in enumerate((MEDICINAL_ACIDS, BASES, ACIDS), start=1)
    for smiles in formers
}


def tier(flat_smiles: str) -> int:
    """Rank by which the compound is chosen among fragments; 0 for one that forms no salts.

    Args:
      flat_smiles: canonical SMILES of a neutral fragment, without stereochemistry.
    """
    return _TIERS.get(flat_smiles, 0)
