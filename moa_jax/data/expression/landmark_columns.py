"""Which rows of an expression file are the landmark genes, whatever the file calls them.

A file may name its genes by row ids and by any column beside them. What names most of the
landmarks counts; the numbers of the rows count nothing, and two namings that both fit but disagree
are refused.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from moa_jax.data.expression.option_names import OptionNames
from moa_jax.knowledge.gene_identifiers import UNKNOWN, WAYS, GeneIdentifiers, entrez_order
from moa_jax.knowledge.spreadsheet_names import gene_of_date, read_date
from moa_jax.lincs.files.number_cells import are_row_numbers
from moa_jax.lincs.metadata.releases import is_missing
from moa_jax.schemas import GENE_COLUMNS, InputError, require_columns

# Values of the option that do not name a column.
ENTREZ, SYMBOL = "entrez", "symbol"

# Another naming fits too where it names this share of the genes that the best one does.
_ALSO_FITS = 0.2
# They agree where both name genes in this share of the rows, and the same in that share of these.
_MIN_SHARED, _MIN_SAME = 0.5, 0.9
# Symbols of landmarks in the releases of 2017 that tables of genes have for another gene, too: HN1L
# is an alias of CRAMP1.
_SYMBOLS_OF_2017 = {"HN1L": "90861"}
# Names that are landmarks by chance (wells such as A10 are aliases of genes) are fewer than this
# share of the names and of the landmarks.
_BY_CHANCE = 0.05
# So many whole numbers without large gaps, in any order, number rows: Entrez ids have large gaps.
_MIN_NUMBERED, _MAX_SPREAD = 10, 2


@dataclasses.dataclass(frozen=True)
class LandmarkColumns:
    """The landmark genes of one file, in numeric order of their Entrez ids.

    Attributes:
      genes: `GENE_COLUMNS`, one row per landmark that the file has.
      places: where each stands among the file's genes; of a repeated one the first place.
      file_ids: the file's own name of each.
      missing: `GENE_COLUMNS`, the landmarks that the file lacks.
      num_others: genes of the file that are no landmarks.
      renamed: the file's name -> Entrez id, where the file does not use Entrez ids.
      repeats: Entrez id -> all its places, where the file has a landmark more than once.
      read_from: what names the genes: `row ids`, or a column.
      dates_read: names that are dates -> Entrez id of the gene that they must mean.
      dates_unread: number of names that are dates of which no one gene can be told.
    """

    genes: pd.DataFrame
    places: Int[np.ndarray, " gene"]
    file_ids: tuple[str, ...]
    missing: pd.DataFrame
    num_others: int
    renamed: dict[str, str]
    repeats: dict[str, tuple[int, ...]]
    read_from: str
    dates_read: dict[str, str]
    dates_unread: int

    def report(self) -> dict[str, Any]:
        """How the genes were read, as JSON values."""
        return {
            "read_from": self.read_from,
            "repeated_alike": len(self.repeats),
            "dates_taken_for_symbols": self.dates_read,
            "dates_not_understood": self.dates_unread,
        }


def gene_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """What `LandmarkColumns.report` says beside the column, where there is something to say."""
    if report["repeated_alike"]:
        yield f"  {report['repeated_alike']:,} in several rows with the same values, counted once"
    if dates := report["dates_taken_for_symbols"]:
        named = ", ".join(f"{name} as {gene}" for name, gene in list(dates.items())[:5])
        yield f"  {len(dates):,} whose symbols a spreadsheet made dates: {named}"
    if report["dates_not_understood"]:
        yield (
            f"  {report['dates_not_understood']:,} named by dates, as spreadsheets make of some "
            "symbols: which genes they were cannot be told, not used"
        )


@dataclasses.dataclass(frozen=True)
class _Reading:
    """What the names of one naming mean: a landmark's Entrez id, or None."""

    name: str
    names: Sequence[str]
    genes: tuple[str | None, ...]
    is_numbered: bool

    @property
    def num_found(self) -> int:
        return len(set(self.genes) - {None})


class LandmarkFinder:
    """Finds landmark genes among the names that a file gives its rows or columns."""

    def __init__(
        self,
        landmarks: pd.DataFrame,
        identifiers: GeneIdentifiers,
        source: str,
        gene_ids: str = "",
        options: OptionNames | None = None,
    ) -> None:
        """Checks the landmarks.

        Args:
          landmarks: `GENE_COLUMNS`, in any order.
          identifiers: names of genes.
          source: what to call the file in messages.
          gene_ids: how genes are named: `entrez`, `symbol`, or the name of a column; empty to
            find out.
          options: what to call the option that decides.

        Raises:
          InputError: a column is missing.
        """
        require_columns(landmarks, GENE_COLUMNS, "the landmark table")
        self.landmarks, self.identifiers = landmarks, identifiers
        self.source = source
        self.asked = gene_ids.strip()
        self._option = (options or OptionNames()).gene_ids
        self._wanted = frozenset(landmarks["entrez_id"])
        self._meanings: dict[str, tuple[str | None, str]] = {}

    @property
    def column(self) -> str:
        """The column that was asked for; empty where none was."""
        return "" if self.asked.lower() in ("", ENTREZ, SYMBOL) else self.asked

    def count(self, namings: Mapping[str, Sequence[str]]) -> int:
        """How many landmarks the best of some namings names; row numbers and chance name none."""
        readings = [self._read(name, namings[name]) for name in self._asked_of(namings)]
        named = [x.num_found for x in readings if not x.is_numbered and not self._is_chance(x)]
        return max(named, default=0)

    def find(
        self,
        namings: Mapping[str, Sequence[str]],
        of_profiles: Mapping[str, Sequence[str]] | None = None,
    ) -> LandmarkColumns:
        """Finds the landmarks among a file's genes.

        Args:
          namings: what may name the genes, the row ids first.
          of_profiles: the same of the profiles, for messages.

        Raises:
          InputError: no landmark is in the file, its genes are numbered and nothing names them,
            or two namings fit and disagree.
        """
        ids = next(iter(namings))
        asked = self._asked_of(namings)
        if not asked:
            raise InputError(
                f"{self.source} has no column {self.asked} that names genes; it has "
                f"{', '.join(dict.fromkeys((*namings, *(of_profiles or ()))))}; give another "
                f"{self._option}."
            )
        readings = [self._read(name, namings[name]) for name in asked]
        best = self._best(readings, of_profiles or {})
        return self._columns(best, "row ids" if best.name == ids else f"column {best.name}")

    def _asked_of(self, namings: Mapping[str, Sequence[str]]) -> list[str]:
        if not self.column:
            return list(namings)
        return [name for name in namings if name.lower() == self.column.lower()]

    def _read(self, name: str, names: Sequence[str]) -> _Reading:
        genes = tuple(self._meaning(text)[0] for text in names)
        is_numbered = not self.asked and _are_numbers_of_rows(names)
        return _Reading(name, names, genes, is_numbered)

    def _meaning(self, name: str) -> tuple[str | None, str]:
        """A landmark's Entrez id, or None, and how the name was understood."""
        found = self._meanings.get(name)
        if found is None:
            found = self._meanings[name] = self._understood(name)
        return found

    def _understood(self, name: str) -> tuple[str | None, str]:
        if is_missing(name):
            return None, UNKNOWN
        resolution = self.identifiers.explain(name)
        gene, how = resolution.entrez_id, resolution.how
        if gene is None and name.strip().upper() in _SYMBOLS_OF_2017:
            gene, how = _SYMBOLS_OF_2017[name.strip().upper()], "older symbol"
        if how == UNKNOWN and (gene := gene_of_date(name, self.identifiers)) is not None:
            how = "date"
        asked = self.asked.lower()
        is_other = how != WAYS[0] if asked == ENTREZ else how == WAYS[0] and asked == SYMBOL
        if gene not in self._wanted or is_other:
            return None, how
        return gene, how

    def _best(self, readings: list[_Reading], of_profiles: Mapping[str, Sequence[str]]) -> _Reading:
        named = [x for x in readings if not x.is_numbered]
        best = max(named, key=lambda x: x.num_found, default=readings[0])
        if best.is_numbered or self._is_chance(best):
            others = [self._read(name, names) for name, names in of_profiles.items()]
            if numbered := [x for x in (*readings, *others) if x.is_numbered]:
                raise InputError(
                    f"the genes of {self.source} are numbered ({', '.join(numbered[0].names[:3])}, "
                    f"...) and nothing beside the numbers names them; give {self._option}=entrez "
                    "if these are Entrez ids."
                )
            number = f"only {best.num_found}" if best.num_found else "none"
            along = "neither of its axes names them: they start" if others else "they start"
            starts = " and ".join(map(_start, filter(None, (readings, others))))
            asked = {ENTREZ: "Entrez ids", SYMBOL: "symbols"}.get(self.asked.lower())
            told = f", as --gene_ids={self.asked} says," if self.asked else ""
            raise InputError(
                f"{self.source} has {number} of the {len(self._wanted)} landmark genes; {along} "
                f"with {starts}, but {asked or 'Entrez ids or symbols'}{told} were expected."
            )
        for other in named:
            if other is not best and other.num_found >= max(2, _ALSO_FITS * best.num_found):
                self._refuse_contradiction(best, other)
        return best

    def _is_chance(self, reading: _Reading) -> bool:
        least = _BY_CHANCE * min(len(reading.names), len(self._wanted))
        return reading.num_found < max(1, least)

    def _refuse_contradiction(self, best: _Reading, other: _Reading) -> None:
        pairs = list(zip(best.genes, other.genes, strict=True))
        shared = [(a, b) for a, b in pairs if a is not None and b is not None]
        fewer = min(sum(gene is not None for gene in x.genes) for x in (best, other))
        same = sum(a == b for a, b in shared)
        if len(shared) >= _MIN_SHARED * fewer and same >= _MIN_SAME * len(shared):
            return
        raise InputError(
            f"{self.source} names its genes in two ways that disagree: {best.name} names "
            f"{best.num_found} of the {len(self._wanted)} landmarks and {other.name} "
            f"{other.num_found}, in {same} of {len(shared)} common rows the same; give "
            f"{self._option}={best.name} or {self._option}={other.name}."
        )

    def _columns(self, reading: _Reading, read_from: str) -> LandmarkColumns:
        places = collections.defaultdict(list)
        for place, gene in enumerate(reading.genes):
            if gene is not None:
                places[gene].append(place)
        ordered = self.landmarks[list(GENE_COLUMNS)].sort_values(
            "entrez_id", key=lambda ids: ids.map(entrez_order), ignore_index=True
        )
        measured = ordered["entrez_id"].isin(places)
        genes = ordered[measured].reset_index(drop=True)
        first = [places[gene][0] for gene in genes["entrez_id"]]
        names = [reading.names[place] for place in first]
        how = {name: self._meaning(name)[1] for name in names}
        renamed = {
            name: gene
            for name, gene in zip(names, genes["entrez_id"], strict=True)
            if how[name] != WAYS[0]
        }
        others = [
            name for name, gene in zip(reading.names, reading.genes, strict=True) if gene is None
        ]
        return LandmarkColumns(
            genes=genes,
            places=np.array(first, np.int64),
            file_ids=tuple(names),
            missing=ordered[~measured].reset_index(drop=True),
            num_others=len(others),
            renamed=dict(sorted(renamed.items())),
            repeats={gene: tuple(rows) for gene, rows in places.items() if len(rows) > 1},
            read_from=read_from,
            dates_read={name: gene for name, gene in renamed.items() if how[name] == "date"},
            dates_unread=sum(read_date(name) is not None for name in others),
        )


def _start(readings: Sequence[_Reading]) -> str:
    """How the names of some namings start, the ids first."""
    starts = [", ".join(map(str, x.names[:3])) for x in readings[:3]]
    return starts[0] + "".join(
        f" ({x.name}: {start})" for x, start in zip(readings[1:3], starts[1:], strict=True)
    )


def _are_numbers_of_rows(names: Sequence[str]) -> bool:
    if are_row_numbers(names):
        return True
    if len(names) < _MIN_NUMBERED or not all(name.removesuffix(".0").isdecimal() for name in names):
        return False
    numbers = {int(name.removesuffix(".0")) for name in names}
    return len(numbers) == len(names) and max(numbers) < _MAX_SPREAD * len(numbers)
