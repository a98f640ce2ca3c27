"""Readers of STRING's protein names and links (human).

Scores stay integers from 0 to 1000; they become weights in (0, 1] when the graph is assembled.
"""

from __future__ import annotations

import collections
import os

import pandas as pd

from moa_jax.knowledge.gene_identifiers import AMBIGUOUS, UNKNOWN, WAYS, GeneIdentifiers
from moa_jax.schemas import InputError
from moa_jax.text.chunks import open_table, read_chunks, read_columns

TAXON = "9606"
MAX_SCORE = 1000

# STRING 11.5 and later, and 11.0 and earlier.
PROTEIN_COLUMNS = ("string_protein_id", "protein_external_id")
# Ensembl's ids of human proteins: STRING's without the species.
_HUMAN = r"ENSP[0-9]+"


def read_string_info(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Reads `9606.protein.info`.

    Returns:
      Columns `protein` (such as `9606.ENSP00000000233`) and `symbol` (STRING's preferred name),
      sorted by protein.

    Raises:
      InputError: a column is missing, a protein is repeated or of another species.
    """
    opened = open_table(path, (*PROTEIN_COLUMNS, "preferred_name"))
    header = [name.casefold() for name in opened.header]
    protein_column = next((c for c in PROTEIN_COLUMNS if c in header), PROTEIN_COLUMNS[0])
    table = read_columns(opened, {protein_column: "protein", "preferred_name": "symbol"})
    table["protein"] = _human(table["protein"], path)
    repeated = table[table["protein"].duplicated()]
    if len(repeated):
        raise InputError(
            f"{path}, line {repeated.index[0]}: {repeated['protein'].iloc[0]} is already in an "
            "earlier row; expected one row per protein."
        )
    return table.sort_values("protein", ignore_index=True)


def read_string_links(path: str | os.PathLike[str], *, min_score: int) -> pd.DataFrame:
    """Reads `9606.protein.links`, plain, detailed or full; each pair once.

    STRING lists every link in both directions; if the two disagree, the higher score is kept.

    Args:
      path: the links, with blanks, tabs or commas between fields, plain or gzip.
      min_score: links with a lower combined_score are left out.

    Returns:
      Columns `protein1 protein2 combined_score` with protein1 < protein2, sorted;
      `attrs["dropped"]` has the number of rows left out, by reason.

    Raises:
      InputError: a column is missing; a score is not an integer from 0 to 1000; a protein is of
        another species; the file is truncated.
    """
    columns = {name: name for name in ("protein1", "protein2", "combined_score")}
    kept = []
    dropped: collections.Counter[str] = collections.Counter()
    for chunk in read_chunks(open_table(path, columns), columns):
        for name in ("protein1", "protein2"):
            chunk[name] = _human(chunk[name], path)
        score = _scores(chunk["combined_score"], path)
        is_self = chunk["protein1"] == chunk["protein2"]
        is_weak = ~is_self & (score < min_score)
        dropped["STRING link of a protein to itself"] += int(is_self.sum())
        dropped["STRING link below min_score"] += int(is_weak.sum())
        kept.append(chunk.assign(combined_score=score)[~is_self & ~is_weak])
    links = pd.concat(kept)
    swapped = links["protein1"] > links["protein2"]
    first = links["protein1"].where(~swapped, links["protein2"])
    second = links["protein2"].where(~swapped, links["protein1"])
    links = links.assign(protein1=first, protein2=second)
    links = links.groupby(["protein1", "protein2"], as_index=False, sort=True)[
        "combined_score"
    ].max()
    links.attrs["dropped"] = dict(dropped)
    return links


def genes_of_proteins(
    string_info: pd.DataFrame, identifiers: GeneIdentifiers
) -> tuple[dict[str, str], dict[str, int]]:
    """The gene of each STRING protein, by STRING's preferred name.

    If several proteins match a gene, those with the most reliable kind of name (in the order of
    `gene_identifiers.WAYS`) are kept.

    Returns:
      protein -> Entrez id, and the number of proteins left out, by reason.
    """
    found = [identifiers.resolve(name) for name in string_info["symbol"]]
    claims = pd.DataFrame(
        {
            "protein": string_info["protein"].to_numpy(),
            "gene": [resolution.entrez_id for resolution in found],
            "how": [resolution.how for resolution in found],
        }
    )
    dropped = {
        "STRING protein whose name is unknown": int((claims["how"] == UNKNOWN).sum()),
        "STRING protein whose name is ambiguous": int((claims["how"] == AMBIGUOUS).sum()),
    }
    claims = claims[claims["gene"].notna()]
    rank = claims["how"].map(WAYS.index)
    safest = rank == rank.groupby(claims["gene"]).transform("min")
    dropped["STRING protein whose gene has a protein of its own name"] = int((~safest).sum())
    claims = claims[safest].sort_values("protein")
    return dict(zip(claims["protein"], claims["gene"], strict=True)), dropped


def _human(proteins: pd.Series, path: str | os.PathLike[str]) -> pd.Series:
    """STRING's ids of human proteins; the species is prefixed to Ensembl's ids.

    Raises:
      InputError: an id is of another species, or not a STRING id.
    """
    is_human = proteins.str.startswith(f"{TAXON}.")
    if is_human.all():
        return proteins
    is_bare = ~is_human & proteins.str.fullmatch(_HUMAN)
    wrong = ~is_human & ~is_bare
    if wrong.any():
        line = wrong.index[wrong][0]
        protein = proteins.loc[line]
        species, dot, _ = protein.partition(".")
        found = f"a protein of species {species}" if dot else "not a STRING id"
        raise InputError(
            f"{path}, line {line}: {protein!r} is {found}; expected species {TAXON} (human), "
            f"such as {TAXON}.ENSP00000000233."
        )
    return proteins.where(is_human, f"{TAXON}." + proteins)


def _scores(text: pd.Series, path: str | os.PathLike[str]) -> pd.Series:
    """The scores as integers; `text` is indexed by line."""
    is_number = text.str.fullmatch("[0-9]{1,4}")
    score = text.where(is_number, "-1").astype("int64")
    is_bad = (score < 0) | (score > MAX_SCORE)
    if is_bad.any():
        line = is_bad.index[is_bad][0]
        raise InputError(
            f"{path}, line {line}: the combined_score is {text.loc[line]!r}; "
            f"expected an integer from 0 to {MAX_SCORE}."
        )
    return score
