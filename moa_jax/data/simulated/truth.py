"""Writes `truth/`: planted effects and deliberate errors."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np
import pandas as pd

from moa_jax.data.simulated import drugs
from moa_jax.data.simulated.biology import Biology
from moa_jax.data.simulated.mechanisms import Mechanisms
from moa_jax.data.simulated.ontology import Ontology
from moa_jax.data.simulated.public_files import write_tsv
from moa_jax.data.simulated.records import Alteration, PublishedDrug
from moa_jax.data.simulated.settings import SimulationSettings
from moa_jax.files import write_json

# Smallest ratio of the mean heat of a term's genes to that of all genes for an affected term.
TERM_ENRICHMENT = 2.0
ALTERATION_COLUMNS = tuple(field.name for field in dataclasses.fields(Alteration))


def write_truth(
    folder: pathlib.Path,
    *,
    settings: SimulationSettings,
    published: tuple[PublishedDrug, ...],
    biology: Biology,
    ontology: Ontology,
    mechanisms: Mechanisms,
) -> None:
    """Writes every table that does not grow with the number of plates.

    `settings.json`; per mechanism `moa_targets.tsv`, `moa_genes.tsv` (signed effect, the
    strongest gene is 1), `moa_terms.tsv`; per drug `drug_genes.tsv`, `molecules.tsv` and
    `labels.tsv`; per cell line and drug `sensitivity.tsv`; `edges.tsv` and `annotations.tsv`.
    """
    folder.mkdir()
    write_json(folder / "settings.json", {"simulated": True, **dataclasses.asdict(settings)})
    write_tsv(folder / "moa_targets.tsv", _moa_targets(biology, mechanisms))
    write_tsv(folder / "moa_genes.tsv", _moa_genes(biology, mechanisms))
    write_tsv(folder / "moa_terms.tsv", _moa_terms(ontology, mechanisms))
    write_tsv(folder / "drug_genes.tsv", _drug_genes(published, biology, mechanisms))
    write_tsv(folder / "molecules.tsv", _molecules(published, biology, mechanisms))
    write_tsv(folder / "labels.tsv", _labels(published))
    write_tsv(folder / "sensitivity.tsv", _sensitivity(settings, published, mechanisms))
    write_tsv(folder / "edges.tsv", _edges(biology))
    write_tsv(folder / "annotations.tsv", _annotations(biology, ontology))


def _gene_columns(biology: Biology, rows: np.ndarray) -> dict[str, np.ndarray]:
    genes = biology.genes.iloc[rows]
    return {"gene_id": genes["gene_id"].to_numpy(), "gene_symbol": genes["gene_symbol"].to_numpy()}


def _moa_targets(biology: Biology, mechanisms: Mechanisms) -> pd.DataFrame:
    moa, rows = np.nonzero(mechanisms.moa_seeds.T)
    names = np.array(mechanisms.moas)[moa]
    signs = np.array([drugs.action_sign(name) for name in mechanisms.moas])
    return pd.DataFrame(
        {
            "moa": names,
            **_gene_columns(biology, rows),
            "weight": mechanisms.moa_seeds[rows, moa],
            "action": signs[moa],
            "role": biology.genes["role"].to_numpy()[rows],
        }
    )


def _moa_genes(biology: Biology, mechanisms: Mechanisms) -> pd.DataFrame:
    moa, rows = np.nonzero(mechanisms.moa_effect.T)
    return pd.DataFrame(
        {
            "moa": np.array(mechanisms.moas)[moa],
            **_gene_columns(biology, rows),
            "effect": mechanisms.moa_effect[rows, moa],
            "role": biology.genes["role"].to_numpy()[rows],
        }
    )


def _moa_terms(ontology: Ontology, mechanisms: Mechanisms) -> pd.DataFrame:
    real = ontology.annotations[ontology.annotations["is_real"]]
    heat = np.abs(mechanisms.moa_heat)
    overall = heat.mean(axis=0)
    names = dict(zip(ontology.terms["go_id"], ontology.terms["name"], strict=True))
    rows = []
    for go_id, group in real.groupby("go_id", sort=True):
        enrichment = heat[group["gene"].to_numpy()].mean(axis=0) / overall
        for moa, ratio in zip(mechanisms.moas, enrichment.tolist(), strict=True):
            if ratio >= TERM_ENRICHMENT:
                rows.append((moa, go_id, names[go_id], ratio))
    table = pd.DataFrame(rows, columns=["moa", "go_id", "name", "enrichment"])
    return table.sort_values(["moa", "enrichment"], ascending=[True, False], ignore_index=True)


def _drug_genes(
    published: tuple[PublishedDrug, ...], biology: Biology, mechanisms: Mechanisms
) -> pd.DataFrame:
    drug, column = np.nonzero(mechanisms.drug_effect)
    pert_ids = np.array([one.drug.pert_id for one in published])
    return pd.DataFrame(
        {
            "pert_id": pert_ids[drug],
            **_gene_columns(biology, biology.matrix_rows[column]),
            "effect": mechanisms.drug_effect[drug, column],
        }
    )


def _molecules(
    published: tuple[PublishedDrug, ...], biology: Biology, mechanisms: Mechanisms
) -> pd.DataFrame:
    table = tuple(one.drug for one in published)
    decoys = drugs.decoy_moas(table)
    symbols = biology.genes["gene_symbol"].to_numpy()
    return pd.DataFrame(
        {
            "pert_id": [drug.pert_id for drug in table],
            "cmap_name": [drug.name for drug in table],
            "canonical_smiles": [drug.smiles for drug in table],
            "moa": [drug.moas[0] for drug in table],
            "pharmacophore": [drug.pharmacophore for drug in table],
            "atoms": ["|".join(map(str, drugs.pharmacophore_atoms(drug))) for drug in table],
            "decoy_for": ["|".join(decoys[drug.pert_id]) for drug in table],
            "off_targets": ["|".join(symbols[rows]) for rows in mechanisms.off_targets],
            "ec50_um": mechanisms.ec50_um,
            "toxic_ec50_um": mechanisms.toxic_ec50_um,
        }
    )


def _labels(published: tuple[PublishedDrug, ...]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "pert_id": [one.drug.pert_id for one in published],
            "cmap_name": [one.drug.name for one in published],
            "stored_moa": ["|".join(one.moas) for one in published],
            "true_moa": ["|".join(one.drug.moas) for one in published],
            "state": [one.label_state for one in published],
        }
    )


def _sensitivity(
    settings: SimulationSettings, published: tuple[PublishedDrug, ...], mechanisms: Mechanisms
) -> pd.DataFrame:
    pert_ids = [one.drug.pert_id for one in published]
    return pd.DataFrame(
        {
            "cell_iname": np.repeat(settings.cell_lines, len(pert_ids)),
            "pert_id": np.tile(pert_ids, len(settings.cell_lines)),
            "sensitivity": mechanisms.sensitivity.ravel(),
        }
    )


def _edges(biology: Biology) -> pd.DataFrame:
    protein = biology.genes["protein_id"].to_numpy()
    edges = biology.edges
    columns = edges[["score", "sign", "is_real", "is_published"]]
    ends = {"protein1": protein[edges["gene_a"]], "protein2": protein[edges["gene_b"]]}
    return pd.DataFrame(ends).join(columns)


def _annotations(biology: Biology, ontology: Ontology) -> pd.DataFrame:
    rows = ontology.annotations["gene"].to_numpy()
    columns = ontology.annotations[["go_id", "is_real", "is_published"]]
    return pd.DataFrame(_gene_columns(biology, rows)).join(columns)
