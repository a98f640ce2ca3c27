"""The prepared folder: one joined and checked dataset on disk, which can be memory-mapped.

Layout::

    expression.npy                  float32, signature x gene, C order
    signatures.parquet              SIGNATURE_COLUMNS
    compounds.parquet               COMPOUND_COLUMNS; moas, targets, actions are lists
    genes.parquet                   GENE_COLUMNS, one row per column of expression.npy
    graph/{genes,terms}.parquet     the nodes
    graph/{interacts,annotated_to,is_a,part_of}.parquet   the edges
    gene_sets.parquet               GENE_SET_COLUMNS; absent where the release has no gene sets
    gene_names.parquet              GENE_TEXT_COLUMNS of the gene nodes; may be absent
    structures.npz                  what RDKit says about the structures; may be absent
    manifest.json                   format_version, inputs, counts

Equal datasets give equal bytes. Columns beyond the contract are not stored.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from moa_jax.data.storage.described_structures import remember_described, write_described
from moa_jax.data.storage.graph_folder import (
    no_gene_names,
    read_gene_names,
    read_gene_sets,
    read_graph,
    write_gene_names,
    write_gene_sets,
    write_graph,
)
from moa_jax.data.storage.parquet_tables import read_table, write_table
from moa_jax.files import atomic_path, read_json, write_json
from moa_jax.knowledge.gene_sets import no_gene_sets
from moa_jax.schemas import (
    COMPOUND_COLUMNS,
    GENE_COLUMNS,
    GENE_SET_COLUMNS,
    PREPARED_FORMAT_VERSION,
    SIGNATURE_COLUMNS,
    Compounds,
    InputError,
    KnowledgeGraph,
    Signatures,
    require_columns,
)

# Rows of the expression matrix that are written at a time.
_BLOCK_ROWS = 4096


@dataclasses.dataclass(frozen=True)
class PreparedDataset:
    """Signatures, their compounds and the knowledge graph over the same genes.

    Attributes:
      signatures: expression and metadata; the expression may be memory-mapped.
      compounds: one row per `pert_id`.
      graph: STRING and Gene Ontology; its first gene nodes are the signatures' genes.
      manifest: provenance of the dataset, as JSON values.
      gene_sets: `GENE_SET_COLUMNS`; pathways by which explanations are summarised.
      gene_names: `GENE_TEXT_COLUMNS`; full and other names of the gene nodes.
    """

    signatures: Signatures
    compounds: Compounds
    graph: KnowledgeGraph
    manifest: dict[str, Any]
    gene_sets: pd.DataFrame = dataclasses.field(default_factory=no_gene_sets)
    gene_names: pd.DataFrame = dataclasses.field(default_factory=no_gene_names)

    def __post_init__(self) -> None:
        require_columns(self.gene_sets, GENE_SET_COLUMNS, "the table of gene sets")
        measured = self.graph.genes["entrez_id"].iloc[: self.graph.num_landmarks]
        if list(measured) != list(self.signatures.genes["entrez_id"]):
            raise InputError(
                f"the graph's {self.graph.num_landmarks} landmark genes are not the signatures' "
                f"{self.signatures.num_genes} genes in the same order."
            )


def write_prepared(folder: str | os.PathLike[str], dataset: PreparedDataset) -> None:
    """Writes a dataset atomically as a prepared folder; replaces an older one.

    Raises:
      InputError: the disk is full or the folder cannot be written.
    """
    tables = {
        "signatures": (dataset.signatures.table, SIGNATURE_COLUMNS),
        "compounds": (dataset.compounds.table, COMPOUND_COLUMNS),
        "genes": (dataset.signatures.genes, GENE_COLUMNS),
    }
    with atomic_path(folder) as temporary:
        write_graph(temporary / "graph", dataset.graph)
        _write_expression(temporary / "expression.npy", dataset.signatures.expression)
        for name, (table, columns) in tables.items():
            write_table(temporary / f"{name}.parquet", table, columns)
        write_gene_sets(temporary, dataset.gene_sets)
        write_gene_names(temporary, dataset.gene_names)
        write_described(temporary, list(dataset.compounds.table["smiles"]))
        manifest = {**dataset.manifest, "format_version": PREPARED_FORMAT_VERSION}
        write_json(temporary / "manifest.json", manifest)


def read_prepared(folder: str | os.PathLike[str]) -> PreparedDataset:
    """Reads a prepared folder; the expression is memory-mapped.

    Raises:
      InputError: the folder or one of its files is missing or damaged, it has another format
        version, or its expression does not have the size of its tables.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise InputError(f"there is no prepared folder {folder}.")
    manifest = read_json(folder / "manifest.json")
    version = manifest.get("format_version") if isinstance(manifest, dict) else None
    if version != PREPARED_FORMAT_VERSION:
        raise InputError(
            f"{folder} has format version {version}, but this program reads version "
            f"{PREPARED_FORMAT_VERSION}; prepare it again."
        )
    remember_described(folder)
    genes = read_table(folder / "genes.parquet", GENE_COLUMNS)
    table = read_table(folder / "signatures.parquet", SIGNATURE_COLUMNS)
    return PreparedDataset(
        signatures=Signatures(
            expression=_read_expression(folder / "expression.npy", (len(table), len(genes))),
            genes=genes,
            table=table,
        ),
        compounds=Compounds(read_table(folder / "compounds.parquet", COMPOUND_COLUMNS)),
        graph=read_graph(folder / "graph"),
        manifest=manifest,
        gene_sets=read_gene_sets(folder),
        gene_names=read_gene_names(folder),
    )


def _write_expression(path: pathlib.Path, expression: Float[np.ndarray, "signature gene"]) -> None:
    """Writes `.npy` block by block, so that a mapped matrix is never fully in memory.

    `numpy.save` would report a full disk without an error number.
    """
    header = {"descr": "<f4", "fortran_order": False, "shape": expression.shape}
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(expression), _BLOCK_ROWS):
            block = np.asarray(expression[start : start + _BLOCK_ROWS], dtype="<f4")
            file.write(block.tobytes(order="C"))


def _read_expression(
    path: pathlib.Path, expected: tuple[int, int]
) -> Float[np.ndarray, "signature gene"]:
    try:
        # An empty file cannot be mapped.
        mode = "r" if expected[0] * expected[1] else None
        expression = np.load(path, mmap_mode=mode, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"there is no file {path}.") from None
    except (ValueError, EOFError) as error:
        raise InputError(f"{path} is damaged: {error}.") from None
    if expression.shape != expected or expression.dtype != np.dtype("<f4"):
        raise InputError(
            f"{path} holds {expression.dtype} of shape {expression.shape}, but the tables "
            f"describe float32 of shape {expected} (signatures, genes)."
        )
    return expression
