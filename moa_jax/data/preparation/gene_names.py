"""Full names, other names and UniProt accessions of the graph's genes."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Mapping, Sequence

import pandas as pd

from moa_jax.knowledge.gene_identifiers import ALIAS_SEPARATOR, GeneIdentifiers, read_full_names
from moa_jax.knowledge.protein_accessions import read_protein_accessions


def gene_texts(
    paths: Mapping[str, pathlib.Path], genes: pd.DataFrame, identifiers: GeneIdentifiers
) -> pd.DataFrame:
    """`GENE_TEXT_COLUMNS` of some genes; only aliases that mean one gene.

    Args:
      paths: the release's files; without `gene_ids` there are no full names and accessions.
      genes: columns `entrez_id symbol`.
      identifiers: names of genes.
    """
    ids: Sequence[str] = list(genes["entrez_id"])
    full_names: Mapping[str, str] = {}
    accessions = collections.defaultdict(list)
    if "gene_ids" in paths:
        full_names = read_full_names(paths["gene_ids"])
        for accession, of in sorted(read_protein_accessions(paths["gene_ids"]).items()):
            if len(of) == 1:
                accessions[of[0]].append(accession)
    others = identifiers.unambiguous_aliases(ids)
    aliases = [
        ALIAS_SEPARATOR.join(filter(None, (joined, *accessions[gene])))
        for gene, joined in zip(ids, others, strict=True)
    ]
    return pd.DataFrame(
        {
            "entrez_id": ids,
            "symbol": list(genes["symbol"]),
            "name": [full_names.get(gene, "") for gene in ids],
            "aliases": aliases,
        }
    )
