"""The real drugs of the simulated release, and the substructures that indicate their MoAs."""

from __future__ import annotations

import collections
import dataclasses
import importlib.resources
import io

import pandas as pd
from rdkit import Chem

from moa_jax.schemas import InputError


@dataclasses.dataclass(frozen=True)
class Drug:
    """One row of `drugs.tsv`.

    Attributes:
      pert_id: the release's identifier (simulated).
      name: real name, as in LINCS.
      moas: real mechanisms; `pharmacophore` indicates the first.
      targets: gene symbols of the real targets.
      pharmacophore: SMARTS of the substructure.
      smiles: canonical SMILES.
    """

    pert_id: str
    name: str
    moas: tuple[str, ...]
    targets: tuple[str, ...]
    pharmacophore: str
    smiles: str


def _read(name: str) -> pd.DataFrame:
    text = (importlib.resources.files(__package__) / name).read_text("utf-8")
    # Only whole lines are comments: '#' in a SMILES is a triple bond.
    rows = [line for line in text.splitlines(keepends=True) if not line.startswith("# ")]
    return pd.read_csv(io.StringIO("".join(rows)), sep="\t", dtype=str)


def action_sign(moa: str) -> int:
    """+1 for agonists and activators, -1 for everything that inhibits, blocks or antagonises."""
    return 1 if moa.endswith((" agonist", " activator")) else -1


def load_drugs(num_moas: int, drugs_per_moa: int) -> tuple[Drug, ...]:
    """The first `drugs_per_moa` drugs of each of the first `num_moas` mechanisms.

    A second mechanism of a drug is kept if it is among those chosen.

    Raises:
      InputError: the table has fewer mechanisms.
    """
    return _chosen_drugs(num_moas, drugs_per_moa)[0]


def load_structure_only_drugs(num_moas: int, drugs_per_moa: int) -> tuple[Drug, ...]:
    """The other drugs of the same mechanisms.

    Raises:
      InputError: the table has fewer mechanisms.
    """
    return _chosen_drugs(num_moas, drugs_per_moa)[1]


def _chosen_drugs(num_moas: int, drugs_per_moa: int) -> tuple[tuple[Drug, ...], tuple[Drug, ...]]:
    """The drugs of the first mechanisms: tested ones and others."""
    table = _read("drugs.tsv")
    first = table["moa"].str.split("|").str[0]
    names = list(dict.fromkeys(first))
    if num_moas > len(names):
        raise InputError(f"num_moas is {num_moas}; the drug table has {len(names)} mechanisms.")
    chosen = set(names[:num_moas])
    taken: collections.Counter[str] = collections.Counter()
    tested: list[Drug] = []
    others: list[Drug] = []
    for row in table.itertuples(index=False):
        moas = tuple(moa for moa in row.moa.split("|") if moa in chosen)
        main = row.moa.split("|")[0]
        if main not in chosen:
            continue
        drugs, letter = (tested, "K") if taken[main] < drugs_per_moa else (others, "F")
        taken[main] += 1
        drugs.append(
            Drug(
                pert_id=f"SIM-{letter}{len(drugs) + 1:05d}",
                name=row.cmap_name,
                moas=moas,
                targets=tuple(row.target.split("|")),
                pharmacophore=row.pharmacophore,
                smiles=row.canonical_smiles,
            )
        )
    return tuple(tested), tuple(others)


def entrez_ids() -> dict[str, str]:
    """Gene symbol -> Entrez Gene id of every target in the drug table."""
    table = _read("targets.tsv")
    return dict(zip(table["gene_symbol"], table["gene_id"], strict=True))


def pharmacophore_atoms(drug: Drug) -> tuple[int, ...]:
    """Atoms of `drug.smiles`, in its order, that match the pharmacophore (first match)."""
    molecule = Chem.MolFromSmiles(drug.smiles)
    match = molecule.GetSubstructMatch(Chem.MolFromSmarts(drug.pharmacophore))
    return tuple(sorted(match))


def decoy_moas(drugs: tuple[Drug, ...]) -> dict[str, tuple[str, ...]]:
    """`pert_id` -> mechanisms that the drug does not have, but whose pharmacophore it contains."""
    patterns = sorted({(drug.moas[0], drug.pharmacophore) for drug in drugs})
    compiled = [(moa, Chem.MolFromSmarts(smarts)) for moa, smarts in patterns]
    decoys = {}
    for drug in drugs:
        molecule = Chem.MolFromSmiles(drug.smiles)
        found = {moa for moa, query in compiled if molecule.HasSubstructMatch(query)}
        decoys[drug.pert_id] = tuple(sorted(found - set(drug.moas)))
    return decoys
