"""Named sets of genes from GMT files, such as Reactome's and MSigDB's."""

from __future__ import annotations

import collections
import os
from collections.abc import Iterator
from typing import Any

import pandas as pd

from moa_jax.knowledge.gene_identifiers import (
    AMBIGUOUS,
    UNKNOWN,
    WAYS,
    GeneIdentifiers,
    entrez_order,
)
from moa_jax.schemas import GENE_SET_COLUMNS, InputError
from moa_jax.text.files import open_text

# In these files another case means a gene of another species: Reactome's `tat` is HIV's, not the
# human TAT.
_OTHER_CASE = tuple(way for way in WAYS if way.endswith("other case"))
# Placeholders in the second column.
_NO_DESCRIPTION = ("", "na", "n/a", ".")


def no_gene_sets() -> pd.DataFrame:
    """The table of a dataset without gene sets."""
    return pd.DataFrame(columns=list(GENE_SET_COLUMNS))


def read_gmt(
    path: str | os.PathLike[str], identifiers: GeneIdentifiers, *, collection: str
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Reads a GMT file: name, description and genes of one set per line, separated by tabs.

    Genes may be Entrez ids, current or previous symbols, or aliases, in exact case. The id of a
    set is its description if that is one word (Reactome's `R-HSA-...`), else its name.

    Args:
      path: text file, plain or gzip.
      identifiers: names of genes.
      collection: name of the collection, such as `reactome`.

    Returns:
      `GENE_SET_COLUMNS`, in the order of the file; genes are Entrez ids. Sets without a known
      gene are left out. And a report for the manifest: sets found and kept, distinct names, and
      how many of them could not be resolved, by reason.

    Raises:
      InputError: the file cannot be read, a line has no gene, a set is repeated, or no gene in the
        file is known.
    """
    rows = list(_read_lines(path))
    names = {name for *_, members in rows for name in members}
    meaning = {name: identifiers.resolve(name) for name in sorted(names)}
    known = {
        name: found.entrez_id
        for name, found in meaning.items()
        if found.entrez_id is not None and found.how not in _OTHER_CASE
    }
    if not known:
        raise InputError(
            f"{path} has {len(names)} gene names in {len(rows)} sets, none of which is known; "
            "expected Entrez ids or symbols of human genes."
        )
    table = [
        (collection, _set_id(name, description), name, _genes(members, known))
        for _, name, description, members in rows
    ]
    _refuse_repeated(
        path, [(number, row[1]) for (number, *_), row in zip(rows, table, strict=True)]
    )
    kept = [row for row in table if row[3]]
    refused = collections.Counter(
        found.how if found.how in (AMBIGUOUS, UNKNOWN) else "other case"
        for name, found in meaning.items()
        if name not in known
    )
    report = {
        "found": len(table),
        "kept": len(kept),
        "names": len(names),
        "not_understood": dict(sorted(refused.items())),
    }
    return pd.DataFrame(kept, columns=list(GENE_SET_COLUMNS)), report


def _read_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str, str, list[str]]]:
    """Line number, name, description and genes of each set."""
    with open_text(path) as text:
        for number, line in enumerate(text, start=1):
            fields = line.rstrip("\r\n").split("\t")
            if not any(map(str.strip, fields)) or (len(fields) == 1 and line.startswith("#")):
                continue
            members = [name.strip() for name in fields[2:] if name.strip()]
            if not fields[0].strip() or not members:
                raise InputError(
                    f"{path}, line {number}: found {len(fields)} fields and {len(members)} genes; "
                    "a GMT line has a set's name, description and genes, separated by tabs."
                )
            yield number, fields[0].strip(), fields[1].strip(), members


def _set_id(name: str, description: str) -> str:
    is_id = description.lower() not in _NO_DESCRIPTION and len(description.split()) == 1
    return description if is_id and "://" not in description else name


def _genes(members: list[str], known: dict[str, str]) -> tuple[str, ...]:
    return tuple(sorted({known[name] for name in members if name in known}, key=entrez_order))


def _refuse_repeated(path: str | os.PathLike[str], ids: list[tuple[int, str]]) -> None:
    first: dict[str, int] = {}
    for number, set_id in ids:
        if set_id in first:
            raise InputError(
                f"{path}, line {number}: the set {set_id} is already in line {first[set_id]}; "
                "expected each set once."
            )
        first[set_id] = number
