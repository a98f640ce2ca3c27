"""Which columns of an expression file are the landmark genes, whatever the file calls them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pandas as pd

from moa_jax.knowledge.gene_identifiers import GeneIdentifiers, entrez_order
from moa_jax.schemas import GENE_COLUMNS, InputError, require_columns


@dataclasses.dataclass(frozen=True)
class LandmarkColumns:
    """The landmark genes of one file, in numeric order of their Entrez ids.

    Attributes:
      genes: `GENE_COLUMNS`, one row per landmark that the file has.
      file_ids: the file's own name of each.
      missing: `GENE_COLUMNS`, the landmarks that the file lacks.
      num_others: genes of the file that are no landmarks.
      renamed: the file's name -> Entrez id, where the file does not use Entrez ids.
    """

    genes: pd.DataFrame
    file_ids: tuple[str, ...]
    missing: pd.DataFrame
    num_others: int
    renamed: dict[str, str]


def find_landmarks(
    gene_ids: Sequence[str],
    landmarks: pd.DataFrame,
    identifiers: GeneIdentifiers,
    source: str,
) -> LandmarkColumns:
    """Finds the landmarks among a file's genes.

    Args:
      gene_ids: the file's ids: Entrez ids, symbols of any age, or aliases.
      landmarks: `GENE_COLUMNS`, in any order.
      identifiers: names of genes.
      source: what to call the file in messages.

    Raises:
      InputError: no landmark is in the file, or two of its ids mean the same landmark.
    """
    require_columns(landmarks, GENE_COLUMNS, "the landmark table")
    wanted = set(landmarks["entrez_id"])
    found: dict[str, str] = {gene: gene for gene in gene_ids if gene in wanted}
    renamed: dict[str, str] = {}
    for name in gene_ids:
        entrez_id = None if name in wanted else identifiers.explain(name).entrez_id
        if entrez_id not in wanted:
            continue
        if entrez_id in found:
            raise InputError(
                f"{source} has the landmark {entrez_id} twice, as {found[entrez_id]} and as {name}."
            )
        found[entrez_id], renamed[name] = name, entrez_id
    if not found:
        raise InputError(
            f"{source} has none of the {len(wanted)} landmark genes; its {len(gene_ids)} genes "
            f"start with {', '.join(gene_ids[:3])}, but Entrez ids or symbols were expected."
        )
    ordered = landmarks[list(GENE_COLUMNS)].sort_values(
        "entrez_id", key=lambda ids: ids.map(entrez_order), ignore_index=True
    )
    measured = ordered["entrez_id"].isin(found)
    genes = ordered[measured].reset_index(drop=True)
    return LandmarkColumns(
        genes=genes,
        file_ids=tuple(found[entrez_id] for entrez_id in genes["entrez_id"]),
        missing=ordered[~measured].reset_index(drop=True),
        num_others=len(gene_ids) - len(found),
        renamed=dict(sorted(renamed.items())),
    )
