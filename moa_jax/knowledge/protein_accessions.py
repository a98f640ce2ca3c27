"""UniProt accessions of genes, from a table of gene ids."""

from __future__ import annotations

import collections
import os
import re

from moa_jax.knowledge.gene_identifiers import entrez_order
from moa_jax.text.chunks import open_table, read_columns

# Columns of gene id and accessions: org.Hs.eg.db as a table, HGNC's complete set.
_LAYOUTS = (("gene_id", "uniprot"), ("entrez_id", "uniprot_ids"))
_SEPARATORS = re.compile(r"[|,; ]+")
_ISOFORM = re.compile(r"-[0-9]+$")


def read_protein_accessions(path: str | os.PathLike[str]) -> dict[str, tuple[str, ...]]:
    """UniProt accession -> Entrez ids of the genes that encode the protein.

    Args:
      path: a table that `gene_identifiers.read_gene_ids` reads. NCBI's gene_info has no
        accessions, which gives an empty dictionary.

    Raises:
      InputError: the file cannot be read.
    """
    opened = open_table(path, [name for layout in _LAYOUTS for name in layout])
    header = {name.casefold() for name in opened.header}
    for gene, accessions in _LAYOUTS:
        if {gene, accessions} <= header:
            table = read_columns(opened, {gene: "gene", accessions: "accessions"})
            break
    else:
        return {}
    genes_of: dict[str, set[str]] = collections.defaultdict(set)
    for entrez_id, joined in zip(table["gene"], table["accessions"], strict=True):
        for accession in filter(None, _SEPARATORS.split(joined.strip('"'))):
            genes_of[accession].add(entrez_id)
    return {name: tuple(sorted(genes, key=entrez_order)) for name, genes in genes_of.items()}


def without_isoform(accession: str) -> str:
    """An accession without the number of an isoform: `P00519-2` is the protein `P00519`."""
    return _ISOFORM.sub("", accession.strip())
