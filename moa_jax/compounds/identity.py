"""Identity of compounds, the unit of every split.

Releases list one drug under several ids: salts, stereoisomers, resynthesised batches. Two rows are
the same compound if the first blocks of their InChIKeys are equal or their names are, directly or
through other rows.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from rdkit import Chem, rdBase

_INCHI_KEY = re.compile(r"[A-Z]{14}-[A-Z]{10}-[A-Z]")
_INCHI_BLOCK = re.compile(r"[A-Z]{14}(-.*)?")
# Blanks, underscores, hyphens and dashes, which differ between sources.
_SEPARATORS = re.compile(r"[\s_\-\u2010-\u2015\u2212]+")


def normalise_name(name: str | None) -> str:
    """The form in which compound names are compared; empty if there is no name.

    Case is ignored. Blanks, underscores, hyphens and dashes are removed, so that `AST1306`,
    `AST-1306` and `ast 1306` are equal; between two digits they become one hyphen, since
    `ACM-1-102` is not `ACM-110-2`.
    """
    parts = [part for part in _SEPARATORS.split((name or "").casefold()) if part]
    joined = parts[:1]
    for previous, part in itertools.pairwise(parts):
        joined.append("-" if previous[-1].isdecimal() and part[0].isdecimal() else "")
        joined.append(part)
    return "".join(joined)


def normalise_inchi_key(text: str | None) -> str | None:
    """The InChIKey of a text that is an InChIKey or a whole InChI; None otherwise.

    The Repurposing Hub has `InChI=...` in its InChIKey column for some samples.
    """
    text = (text or "").strip()
    if text.startswith("InChI="):
        with rdBase.BlockLogs():
            text = Chem.InchiToInchiKey(text) or ""
    return text if _INCHI_KEY.fullmatch(text) else None


def inchi_block(inchi_key: str | None) -> str | None:
    """First block of an InChIKey, or the text if it is such a block; None otherwise."""
    text = (inchi_key or "").strip()
    return text[:14] if _INCHI_BLOCK.fullmatch(text) else None


def compound_groups(inchi_keys: Sequence[str | None], names: Sequence[str | None]) -> list[str]:
    """Compound group of each row.

    Args:
      inchi_keys: InChIKey (or its first block) of each row, if known.
      names: name of each row, if known; compared by `normalise_name`.

    Returns:
      One group per row: the smallest InChIKey block of the compound's rows, else the smallest
      of their names, else `row <index>`. Except for the latter, the order of rows does not matter.
    """
    blocks = [inchi_block(key) for key in inchi_keys]
    parent = list(range(len(blocks)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    first_row: dict[tuple[str, str], int] = {}
    for row, (block, name) in enumerate(zip(blocks, names, strict=True)):
        for mark in (("block", block or ""), ("name", normalise_name(name))):
            if mark[1]:
                parent[root(row)] = root(first_row.setdefault(mark, row))

    members: dict[int, list[int]] = {}
    for row in range(len(blocks)):
        members.setdefault(root(row), []).append(row)
    groups = [""] * len(blocks)
    for rows in members.values():
        candidates = [blocks[row] for row in rows if blocks[row]] or [
            (names[row] or "").strip() for row in rows if normalise_name(names[row])
        ]
        for row in rows:
            groups[row] = min(candidates, default=f"row {row}")
    return groups
