"""Storage of the knowledge graph (a folder of parquet files), gene sets and gene names."""

from __future__ import annotations

import pathlib

import pandas as pd

from moa_jax.data.storage.parquet_tables import read_table, write_table
from moa_jax.files import atomic_path
from moa_jax.knowledge.gene_sets import no_gene_sets
from moa_jax.schemas import (
    GENE_NODE_COLUMNS,
    GENE_SET_COLUMNS,
    GENE_TEXT_COLUMNS,
    TERM_COLUMNS,
    EdgeSet,
    KnowledgeGraph,
)

EDGE_SETS = ("interacts", "annotated_to", "is_a", "part_of")
EDGE_COLUMNS = ("senders", "receivers", "weight")
GENE_SETS_FILE = "gene_sets.parquet"
GENE_NAMES_FILE = "gene_names.parquet"


def write_graph(folder: pathlib.Path, graph: KnowledgeGraph) -> None:
    """Writes a graph into a new folder; equal graphs give equal bytes."""
    folder.mkdir(parents=True)
    write_table(folder / "genes.parquet", graph.genes, GENE_NODE_COLUMNS)
    write_table(folder / "terms.parquet", graph.terms, TERM_COLUMNS)
    for name in EDGE_SETS:
        _write_edges(folder / f"{name}.parquet", getattr(graph, name))


def read_graph(folder: pathlib.Path) -> KnowledgeGraph:
    """Reads a graph that `write_graph` wrote.

    Raises:
      InputError: a file is missing or damaged, or an edge points past its nodes.
    """
    return KnowledgeGraph(
        genes=read_table(folder / "genes.parquet", GENE_NODE_COLUMNS),
        terms=read_table(folder / "terms.parquet", TERM_COLUMNS),
        **{name: _read_edges(folder / f"{name}.parquet") for name in EDGE_SETS},
    )


def write_gene_sets(folder: pathlib.Path, sets: pd.DataFrame) -> None:
    """Writes `GENE_SET_COLUMNS` into a folder; no file where there are no sets."""
    if len(sets):
        with atomic_path(folder / GENE_SETS_FILE) as temporary:
            write_table(temporary, sets, GENE_SET_COLUMNS)


def read_gene_sets(folder: pathlib.Path) -> pd.DataFrame:
    """Reads what `write_gene_sets` wrote; without a file there are no sets.

    Raises:
      InputError: the file is damaged.
    """
    path = folder / GENE_SETS_FILE
    return read_table(path, GENE_SET_COLUMNS) if path.exists() else no_gene_sets()


def write_gene_names(folder: pathlib.Path, names: pd.DataFrame) -> None:
    """Writes `GENE_TEXT_COLUMNS` into a folder; no file where there are none."""
    if len(names):
        with atomic_path(folder / GENE_NAMES_FILE) as temporary:
            write_table(temporary, names, GENE_TEXT_COLUMNS)


def read_gene_names(folder: pathlib.Path) -> pd.DataFrame:
    """Reads what `write_gene_names` wrote; empty without a file.

    Raises:
      InputError: the file is damaged.
    """
    path = folder / GENE_NAMES_FILE
    return read_table(path, GENE_TEXT_COLUMNS) if path.exists() else no_gene_names()


def no_gene_names() -> pd.DataFrame:
    """The table of a dataset that knows its genes by their symbols alone."""
    return pd.DataFrame(columns=list(GENE_TEXT_COLUMNS))


def _write_edges(path: pathlib.Path, edges: EdgeSet) -> None:
    table = pd.DataFrame({name: getattr(edges, name) for name in EDGE_COLUMNS})
    columns = EDGE_COLUMNS
    if edges.evidence:
        table["evidence"] = list(edges.evidence)
        columns = (*EDGE_COLUMNS, "evidence")
    write_table(path, table, columns)


def _read_edges(path: pathlib.Path) -> EdgeSet:
    table = read_table(path, EDGE_COLUMNS)
    arrays = {name: table[name].to_numpy() for name in EDGE_COLUMNS}
    return EdgeSet(**arrays, evidence=tuple(table["evidence"]) if "evidence" in table else ())
