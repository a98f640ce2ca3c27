"""Mechanisms that a user describes by genes and what is done to them, in a small table.

One row per mechanism: `name`, `genes` (symbols, other names, Entrez ids or UniProt accessions,
separated by `|`, `,` or `;`) and `action` (`inhibits`, `activates`, or a word such as
`antagonist`). Without genes or action they are read from the name.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

import pandas as pd

from moa_jax.compounds.actions import action_of
from moa_jax.compounds.ligands.activities import find_columns
from moa_jax.knowledge.gene_identifiers import AMBIGUOUS, GeneIdentifiers
from moa_jax.knowledge.mechanism_names import GeneTexts
from moa_jax.schemas import ACTIONS, InputError
from moa_jax.text.chunks import open_table, read_columns
from moa_jax.text.files import Path

_NAMES = {
    "name": ("name", "mechanism", "moa"),
    "genes": ("genes", "gene", "targets", "target", "symbols"),
    "action": ("action", "actions", "action_type"),
}
_SEPARATORS = re.compile(r"[|,;]")
# Where the genes of a mechanism are from.
IN_TABLE, BY_NAME = "table", "name"
# Genes of a mechanism that are printed.
_NUM_NAMED = 5


@dataclasses.dataclass(frozen=True)
class DescribedMechanisms:
    """Mechanisms described by proteins and an action.

    Attributes:
      names: name of each mechanism.
      genes: symbols of the gene nodes of each, sorted.
      actions: `inhibits`, `activates` or empty (unknown) of each.
      read_from: `table` or `name`: where the genes of each are from.
      unknown: one sentence for each gene that is left out.
    """

    names: tuple[str, ...]
    genes: tuple[tuple[str, ...], ...]
    actions: tuple[str, ...]
    read_from: tuple[str, ...]
    unknown: tuple[str, ...]

    def report(self) -> dict[str, Any]:
        """What was read, as JSON values."""
        columns = zip(self.names, self.genes, self.actions, self.read_from, strict=True)
        return {
            "mechanisms": {
                name: {"genes": list(genes), "action": action or None, "genes_read_from": source}
                for name, genes, action, source in columns
            },
            "left_out": list(self.unknown),
        }


def read_described_mechanisms(path: Path, genes: pd.DataFrame) -> DescribedMechanisms:
    """Reads a table of mechanisms; CSV or TSV, with a header.

    Args:
      path: the table.
      genes: `GENE_TEXT_COLUMNS` of the graph's genes, to which names are resolved.

    Raises:
      InputError: the file cannot be read, there is no mechanism, a name is missing or repeated, an
        action is not known, or no gene of a mechanism is in the graph.
    """
    table = open_table(path, [name for names in _NAMES.values() for name in names])
    found = find_columns(table.header, _NAMES)
    if "name" not in found:
        raise InputError(
            f"{path} has the columns {', '.join(table.header)}; expected name, and optionally "
            "genes and action."
        )
    rows = read_columns(table, {theirs: ours for ours, theirs in found.items()})
    if not len(rows):
        raise InputError(f"{path} describes no mechanism; expected one in each row.")
    rows = rows.assign(**{ours: "" for ours in _NAMES if ours not in rows.columns})
    identifiers, texts = GeneIdentifiers.from_table(genes), GeneTexts(genes)
    names, symbols, actions, read_from, unknown = [], [], [], [], []
    for line, row in rows.iterrows():
        where = f"line {line} of {path}"
        if not row["name"]:
            raise InputError(f"{where} has no name; expected the mechanism's.")
        if row["name"] in names:
            raise InputError(f"{where} describes {row['name']!r} again; expected each name once.")
        if row["genes"]:
            own, left_out = _known_genes(row["genes"], identifiers, where)
            unknown += left_out
        else:
            own, left_out = texts.named_by(row["name"]), ["its name names none"]
        if not own:
            raise InputError(
                f"{where} describes {row['name']!r} by no gene of this model's graph: "
                f"{'; '.join(left_out)}."
            )
        names.append(row["name"])
        symbols.append(own)
        actions.append(_action(row["action"], row["name"], where))
        read_from.append(IN_TABLE if row["genes"] else BY_NAME)
    return DescribedMechanisms(*map(tuple, (names, symbols, actions, read_from, unknown)))


def described_lines(described: DescribedMechanisms) -> Iterator[str]:
    """Lines to print about the mechanisms of a table."""
    yield f"described mechanisms: {len(described.names)}"
    columns = (described.names, described.genes, described.actions, described.read_from)
    for name, genes, action, source in zip(*columns, strict=True):
        more = len(genes) - _NUM_NAMED
        named = ", ".join(genes[:_NUM_NAMED]) + (f" and {more} more" if more > 0 else "")
        how = " (read from the name)" if source == BY_NAME else ""
        yield f"  {name}: {action or 'acts on'} {named}{how}"
    yield from (f"  left out: {sentence}" for sentence in described.unknown)


def _known_genes(
    text: str, identifiers: GeneIdentifiers, where: str
) -> tuple[tuple[str, ...], list[str]]:
    """Symbols of the genes of a cell, sorted, and one sentence for each that is left out."""
    known, left_out = set(), []
    for name in filter(None, (each.strip() for each in _SEPARATORS.split(text))):
        found = identifiers.resolve(name)
        if found.entrez_id is not None:
            known.add(identifiers.symbol_of[found.entrez_id])
        elif found.how == AMBIGUOUS:
            left_out.append(f"{where}: {name} means more than one gene")
        else:
            left_out.append(f"{where}: {name} is no gene of this model's graph")
    return tuple(sorted(known)), left_out


def _action(text: str, mechanism: str, where: str) -> str:
    """What is done to the genes, as a cell says or else the mechanism's name."""
    if not text:
        return action_of(mechanism)
    action = text.casefold() if text.casefold() in ACTIONS else action_of(text)
    if not action:
        raise InputError(
            f"{where} has the action {text!r}; expected {' or '.join(ACTIONS)}, or a word such as "
            "antagonist."
        )
    return action
