"""The gene pairs that share a bead colour, which peak deconvolution can exchange.

L1000 has 500 bead colours for 978 landmarks. Two genes share the beads of one colour in the
proportion 2:1 and are distinguished by the heights of two peaks (Subramanian et al. 2017).
"""

from __future__ import annotations

import os

from moa_jax.lincs.metadata.releases import read_table
from moa_jax.schemas import InputError, require_columns

BEAD_MAP_COLUMNS = ("barcode_id", "gene_id", "high_prop")


def read_bead_map(path: str | os.PathLike[str]) -> dict[str, str]:
    """Reads CMap's `barcode_to_gene_map.txt`: bead colour, Entrez id, and 1 for the gene with
    twice as many beads, else 0.

    Returns:
      Entrez id -> bead colour id, both as texts; at most two genes have the same colour.

    Raises:
      InputError: the file cannot be read, lacks a column of `BEAD_MAP_COLUMNS` or a value, gives
        a gene a second colour, or a colour two genes of one proportion.
    """
    table = read_table(path)
    require_columns(table, BEAD_MAP_COLUMNS, str(path))
    bead_of: dict[str, str] = {}
    gene_with: dict[tuple[str, str], str] = {}
    rows = zip(*(table[name] for name in BEAD_MAP_COLUMNS), strict=True)
    for number, (bead, gene, high) in enumerate(rows, start=1):
        if not (isinstance(bead, str) and isinstance(gene, str)):
            lacking = "gene_id" if isinstance(bead, str) else "barcode_id"
            raise InputError(f"row {number} of {path} has no {lacking}.")
        if high not in ("0", "1"):
            raise InputError(
                f"{path} has {high!r} as high_prop of the gene {gene}; 0 or 1 was expected."
            )
        if gene in bead_of:
            raise InputError(
                f"{path} gives the gene {gene} two bead colours, {bead_of[gene]} and {bead}."
            )
        other = gene_with.setdefault((bead, high), gene)
        if other != gene:
            raise InputError(
                f"{path} gives the bead colour {bead} two genes with high_prop {high}, {other} "
                f"and {gene}; one of each proportion was expected."
            )
        bead_of[gene] = bead
    return bead_of
