"""Prepares a dataset from public files: reads, harmonises, filters, joins and reports.

The result depends only on the config and on the contents of the files.
"""

from __future__ import annotations

import collections
import importlib.metadata
from collections.abc import Mapping
from typing import Any

import ml_collections
import pandas as pd

import moa_jax
from moa_jax.compounds.ligands.formats import files_of
from moa_jax.data.expression.gene_matrix import open_gene_matrix
from moa_jax.data.expression.landmark_columns import LandmarkColumns
from moa_jax.data.expression.option_names import CONFIG_OPTIONS
from moa_jax.data.preparation.compound_actions import with_actions
from moa_jax.data.preparation.compound_sources import (
    OwnCompounds,
    StructureOnlyCompounds,
    measured_identities,
    read_own_compounds,
    read_structure_only_compounds,
)
from moa_jax.data.preparation.expression_sources import Paths, read_signatures
from moa_jax.data.preparation.gene_names import gene_texts
from moa_jax.data.preparation.ligand_sources import ligand_compounds, read_activities
from moa_jax.data.preparation.ligand_targets import TargetGenes
from moa_jax.data.preparation.settings import (
    PreparationSettings,
    portable_name,
    settings_from_config,
)
from moa_jax.data.storage.prepared_folder import PreparedDataset
from moa_jax.files import sha256_of, sha256_of_files
from moa_jax.knowledge.gene_identifiers import GeneIdentifiers, read_gene_ids
from moa_jax.knowledge.gene_ontology import read_gaf, read_obo
from moa_jax.knowledge.gene_sets import no_gene_sets, read_gmt
from moa_jax.knowledge.graph import assemble_graph
from moa_jax.knowledge.string_db import read_string_info, read_string_links
from moa_jax.lincs.metadata.bead_map import read_bead_map
from moa_jax.lincs.metadata.releases import harmonise_cellinfo, harmonise_geneinfo, read_table
from moa_jax.progress import say, track
from moa_jax.schemas import (
    GENE_COLUMNS,
    GENE_NAME_COLUMNS,
    Compounds,
    InputError,
    KnowledgeGraph,
    Signatures,
)

# Gene-set files in the config, which are named by collection.
GENE_SET_COLLECTIONS = ("hallmark", "reactome")
# Packages whose versions may change a prepared dataset.
_PACKAGES = ("h5py", "networkx", "numpy", "obonet", "pandas", "pyarrow", "rdkit", "scipy")


def describe_sources(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Everything that determines a prepared dataset: release, config, files' SHA-256, versions.

    It is part of the manifest, so that folders with equal descriptions have equal contents. It
    does not depend on time or on the location of files.

    Raises:
      InputError: the config cannot be used, or one of its files does not exist.
    """
    settings = settings_from_config(config)
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    names = vars(settings.files)
    inputs = {
        name: {"file": portable_name(names[name]), "sha256": sha256_of(path)}
        for name, path in track(settings.paths().items(), "fingerprints of the files")
    }
    for name, path in settings.ligand_paths().items():
        inputs[f"ligands {name}"] = {"file": name, "sha256": sha256_of_files(files_of(path))}
    return {
        "release": settings.release,
        "config": settings.described(),
        "inputs": inputs,
        "versions": {**versions, "moa_jax": moa_jax.__version__},
    }


def prepare(
    config: ml_collections.ConfigDict, description: Mapping[str, Any] | None = None
) -> PreparedDataset:
    """Prepares a release.

    Args:
      config: such as `configs/data/lincs2020.py` returns, with `raw_dir` filled in.
      description: output of `describe_sources` for this config, if already known.

    Returns:
      The dataset. Its manifest has the description, counts of what was kept and dropped (by
      reason) at every stage, and the coverage of landmarks and targets in STRING and GO.

    Raises:
      InputError: the config or a file cannot be used; one sentence names the culprit.
    """
    settings = settings_from_config(config)
    paths = settings.paths()
    description = describe_sources(config) if description is None else description
    say("reading genes and compounds")
    landmarks, identifiers = _read_genes(paths)
    matrix = open_gene_matrix(
        paths["expression"], landmarks, identifiers, settings.gene_ids, options=CONFIG_OPTIONS
    )
    columns = matrix.columns
    own = read_own_compounds(paths)
    say("reading expression")
    expression, table, counts = read_signatures(
        settings, paths, matrix, own.is_excluded, own.known.pert_ids
    )
    signatures = Signatures(expression, columns.genes, table)
    structure_only = read_structure_only_compounds(paths, own, table)
    compounds, ligand_report = _joined(settings, own, structure_only, table, identifiers)
    say("reading STRING and Gene Ontology")
    graph, coverage = _read_graph(settings, paths, signatures, compounds, identifiers)
    gene_sets, set_reports = _read_gene_sets(paths, identifiers)
    manifest = {
        **description,
        **counts,
        "compounds": own.report,
        "structure_only_compounds": structure_only.report,
        **ligand_report,
        "genes": _gene_report(columns, num_landmarks=len(landmarks)),
        "joined": _join_report(signatures, compounds),
        "cell_lines": _cell_line_report(paths, table),
        "coverage": coverage,
        "gene_sets": set_reports,
    }
    names = gene_texts(paths, graph.genes, identifiers)
    return PreparedDataset(signatures, compounds, graph, manifest, gene_sets, names)


def _read_genes(paths: Paths) -> tuple[pd.DataFrame, GeneIdentifiers]:
    """The landmarks with their current names and bead colours, and the names of all genes."""
    geneinfo = harmonise_geneinfo(read_table(paths["geneinfo"]), str(paths["geneinfo"]))
    geneinfo["symbol"] = geneinfo["symbol"].fillna("")
    tables = [geneinfo[list(GENE_NAME_COLUMNS)]]
    if "gene_ids" in paths:
        tables.insert(0, read_gene_ids(paths["gene_ids"]))
    if "older_geneinfo" in paths:
        path = paths["older_geneinfo"]
        older = harmonise_geneinfo(read_table(path), str(path))
        tables.append(older[list(GENE_NAME_COLUMNS)].fillna(""))
    identifiers = GeneIdentifiers.from_table(*tables)
    landmarks = geneinfo[geneinfo["is_landmark"].fillna(False).astype(bool)]
    if not len(landmarks):
        raise InputError(
            f"{paths['geneinfo']} marks none of its {len(geneinfo)} genes as landmark; expected a "
            "column feature_space or pr_is_lm."
        )
    symbols = [identifiers.symbol_of.get(gene, gene) for gene in landmarks["entrez_id"]]
    aliases = identifiers.unambiguous_aliases(list(landmarks["entrez_id"]))
    bead_of = read_bead_map(paths["bead_map"]) if "bead_map" in paths else {}
    beads = [bead_of.get(gene, "") for gene in landmarks["entrez_id"]]
    landmarks = landmarks.assign(symbol=symbols, aliases=aliases, bead=beads)
    return landmarks[list(GENE_COLUMNS)], identifiers


def _joined(
    settings: PreparationSettings,
    own: OwnCompounds,
    structure_only: StructureOnlyCompounds,
    signatures: pd.DataFrame,
    identifiers: GeneIdentifiers,
) -> tuple[Compounds, dict[str, Any]]:
    """The compounds of all tables, sorted by `pert_id`, with actions; and counts of ligands."""
    paths = settings.paths()
    targets = TargetGenes.of(paths, identifiers)
    read = read_activities(settings.ligand_paths(), targets, settings.ligands)
    others = pd.concat([own.compounds.table, structure_only.compounds.table], ignore_index=True)
    others = targets.with_current_symbols(others)
    ligands, report = ligand_compounds(
        read.table,
        settings.ligands,
        known=own.known.and_of(structure_only.known).and_of(measured_identities(signatures)),
        excluded=own.all_excluded.and_of(structure_only.excluded),
        symbol_of=identifiers.symbol_of,
    )
    table = pd.concat([others, ligands.table], ignore_index=True)
    table = table.sort_values("pert_id", ignore_index=True)
    compounds, actions = with_actions(Compounds(table), read.table, identifiers)
    reports = {"ligands": {**report, "tables": read.report}, "actions": actions}
    return compounds, reports


def _read_graph(
    settings: PreparationSettings,
    paths: Paths,
    signatures: Signatures,
    compounds: Compounds,
    identifiers: GeneIdentifiers,
) -> tuple[KnowledgeGraph, dict[str, Any]]:
    ontology = read_obo(paths["ontology"])
    return assemble_graph(
        landmarks=signatures.genes,
        identifiers=identifiers,
        string_info=read_string_info(paths["string_info"]),
        string_links=read_string_links(paths["string_links"], min_score=settings.graph.min_score),
        ontology=ontology,
        annotations=read_gaf(paths["annotations"], ontology=ontology),
        targets=sorted({target for row in compounds.table["targets"] for target in row}),
        settings=settings.graph,
    )


def _read_gene_sets(
    paths: Paths, identifiers: GeneIdentifiers
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The gene sets of all collections, and a report by collection."""
    tables, reports = [], {}
    for collection in (name for name in GENE_SET_COLLECTIONS if name in paths):
        table, reports[collection] = read_gmt(paths[collection], identifiers, collection=collection)
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else no_gene_sets(), reports


def _gene_report(columns: LandmarkColumns, *, num_landmarks: int) -> dict[str, Any]:
    return {
        "landmarks": num_landmarks,
        "measured": len(columns.genes),
        "missing": [
            f"{gene.entrez_id} {gene.symbol}" for gene in columns.missing.itertuples(index=False)
        ],
        "without_bead": int((columns.genes["bead"] == "").sum()),
        "others_left_out": columns.num_others,
        "found_by_name": columns.renamed,
        **columns.report(),
    }


def _join_report(signatures: Signatures, compounds: Compounds) -> dict[str, int]:
    """Counts of matched signatures and compounds; unmatched signatures are kept, unlabelled."""
    rows = compounds.table.set_index("pert_id").reindex(signatures.table["pert_id"])
    known = rows["compound_group"].notna().to_numpy()
    labelled = known & rows["moas"].map(lambda moas: isinstance(moas, tuple) and bool(moas))
    return {
        "signatures_without_compound_row": int((~known).sum()),
        "signatures_with_moa": int(labelled.sum()),
        "signatures_with_structure": int(rows["smiles"].notna().sum()),
        "compounds_with_signature": int(rows["compound_group"].nunique()),
        "compounds_with_signature_and_moa": int(rows["compound_group"][labelled].nunique()),
    }


def _cell_line_report(paths: Paths, table: pd.DataFrame) -> dict[str, Any]:
    """Signatures per cell line, and the lines that are missing in the release's cell table."""
    lines = collections.Counter(table["cell_line"].dropna())
    report: dict[str, Any] = {
        "signatures": dict(sorted(lines.items())),
        "signatures_without": int(table["cell_line"].isna().sum()),
    }
    if "cellinfo" in paths:
        path = paths["cellinfo"]
        known = harmonise_cellinfo(read_table(path), str(path))["cell_line"]
        known_lines = set(known.str.casefold())
        report["not_in_cellinfo"] = sorted(
            line for line in lines if line.casefold() not in known_lines
        )
    return report
