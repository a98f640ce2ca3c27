"""Finds the landmark genes among the rows of an expression file, whatever their names.

A file may name its genes by row ids and by other columns (candidate "namings"). The one that names
most landmarks is used; row numbers are ignored, and namings that both fit but disagree are refused.
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

# Values of --gene_ids that are not column names.
ENTREZ, SYMBOL = "entrez", "symbol"

# Another naming also fits if it names this share of the genes that the best one names.
_ALSO_FITS = 0.2
# Two namings agree if both name genes in this share of rows, and the same gene in that share.
_MIN_SHARED, _MIN_SAME = 0.5, 0.9
# Symbols of landmarks in the releases of 2017 that are ambiguous in gene tables: HN1L is also an
# alias of CRAMP1.
_SYMBOLS_OF_2017 = {"HN1L": "90861"}
# Fewer matches than this share of names and of landmarks are chance: wells such as A10 are aliases.
_BY_CHANCE = 0.05
# At least so many integers without large gaps are row numbers: Entrez ids have large gaps.
_MIN_NUMBERED, _MAX_SPREAD = 10, 2


@dataclasses.dataclass(frozen=True)
class LandmarkColumns:
    """The landmark genes of one file, in numeric order of their Entrez ids.

    Attributes:
      genes: `GENE_COLUMNS`, one row per landmark in the file.
      places: position of each among the file's genes (the first if repeated).
      file_ids: the file's own name of each.
      missing: `GENE_COLUMNS` of the landmarks that the file lacks.
      num_others: number of genes in the file that are not landmarks.
      renamed: the file's name -> Entrez id, for names that are not Entrez ids.
      repeats: Entrez id -> all positions of a landmark that is in the file more than once.
      read_from: source of the names: `row ids`, or a column.
      resolved_dates: names that are dates -> Entrez id of the gene they must mean.
      num_ambiguous_dates: number of names that are dates of no unique gene.
    """

    genes: pd.DataFrame
    places: Int[np.ndarray, " gene"]
    file_ids: tuple[str, ...]
    missing: pd.DataFrame
    num_others: int
    renamed: dict[str, str]
    repeats: dict[str, tuple[int, ...]]
    read_from: str
    resolved_dates: dict[str, str]
    num_ambiguous_dates: int

    def report(self) -> dict[str, Any]:
        """How the genes were read, as JSON values."""
        return {
            "read_from": self.read_from,
            "repeated_alike": len(self.repeats),
            "dates_taken_for_symbols": self.resolved_dates,
            "dates_not_understood": self.num_ambiguous_dates,
        }


def gene_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Lines about repeated genes and dates in `LandmarkColumns.report`, if there are any."""
    if report["repeated_alike"]:
        yield f"  {report['repeated_alike']:,} in several rows with equal values, used once"
    if dates := report["dates_taken_for_symbols"]:
        named = ", ".join(f"{name} as {gene}" for name, gene in list(dates.items())[:5])
        yield f"  {len(dates):,} whose symbols a spreadsheet converted to dates: {named}"
    if report["dates_not_understood"]:
        yield (
            f"  {report['dates_not_understood']:,} named by dates, to which spreadsheets convert "
            "some symbols: ambiguous, not used"
        )


@dataclasses.dataclass(frozen=True)
class _Reading:
    """One naming, resolved: `genes` has a landmark's Entrez id, or None, for each name."""

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
          source: name of the file in messages.
          gene_ids: how genes are named: `entrez`, `symbol`, or the name of a column; empty for
            automatic.
          options: option names in messages.

        Raises:
          InputError: a column is missing.
        """
        require_columns(landmarks, GENE_COLUMNS, "the landmark table")
        self.landmarks, self.identifiers = landmarks, identifiers
        self.source = source
        self.requested = gene_ids.strip()
        self._option = (options or OptionNames()).gene_ids
        self._wanted = frozenset(landmarks["entrez_id"])
        self._meanings: dict[str, tuple[str | None, str]] = {}

    @property
    def column(self) -> str:
        """The requested column; empty if none was."""
        return "" if self.requested.lower() in ("", ENTREZ, SYMBOL) else self.requested

    def count(self, namings: Mapping[str, Sequence[str]]) -> int:
        """Number of landmarks in the best naming; 0 for row numbers and chance matches."""
        readings = [self._read(name, namings[name]) for name in self._eligible(namings)]
        named = [x.num_found for x in readings if not x.is_numbered and not self._is_chance(x)]
        return max(named, default=0)

    def find(
        self,
        namings: Mapping[str, Sequence[str]],
        of_profiles: Mapping[str, Sequence[str]] | None = None,
    ) -> LandmarkColumns:
        """Finds the landmarks among a file's genes.

        Args:
          namings: candidate names of the genes, the row ids first.
          of_profiles: the same for the profiles, for messages.

        Raises:
          InputError: no landmark is in the file, its genes are only numbered, or two namings fit
            and disagree.
        """
        ids = next(iter(namings))
        eligible = self._eligible(namings)
        if not eligible:
            raise InputError(
                f"{self.source} has no column {self.requested} of gene names; it has "
                f"{', '.join(dict.fromkeys((*namings, *(of_profiles or ()))))}; give another "
                f"{self._option}."
            )
        readings = [self._read(name, namings[name]) for name in eligible]
        best = self._best(readings, of_profiles or {})
        return self._columns(best, "row ids" if best.name == ids else f"column {best.name}")

    def _eligible(self, namings: Mapping[str, Sequence[str]]) -> list[str]:
        if not self.column:
            return list(namings)
        return [name for name in namings if name.lower() == self.column.lower()]

    def _read(self, name: str, names: Sequence[str]) -> _Reading:
        genes = tuple(self._meaning(text)[0] for text in names)
        is_numbered = not self.requested and _are_numbers_of_rows(names)
        return _Reading(name, names, genes, is_numbered)

    def _meaning(self, name: str) -> tuple[str | None, str]:
        """A landmark's Entrez id, or None, and the kind of name; cached."""
        found = self._meanings.get(name)
        if found is None:
            found = self._meanings[name] = self._resolve(name)
        return found

    def _resolve(self, name: str) -> tuple[str | None, str]:
        if is_missing(name):
            return None, UNKNOWN
        resolution = self.identifiers.resolve(name)
        gene, how = resolution.entrez_id, resolution.how
        if gene is None and name.strip().upper() in _SYMBOLS_OF_2017:
            gene, how = _SYMBOLS_OF_2017[name.strip().upper()], "older symbol"
        if how == UNKNOWN and (gene := gene_of_date(name, self.identifiers)) is not None:
            how = "date"
        requested = self.requested.lower()
        is_other = how != WAYS[0] if requested == ENTREZ else how == WAYS[0] and requested == SYMBOL
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
                    f"...) and have no other names; give {self._option}=entrez if these are Entrez "
                    "ids."
                )
            number = f"only {best.num_found}" if best.num_found else "none"
            along = "neither of its axes names them: they start" if others else "they start"
            starts = " and ".join(map(_start, filter(None, (readings, others))))
            kind = {ENTREZ: "Entrez ids", SYMBOL: "symbols"}.get(self.requested.lower())
            reason = f" ({self._option}={self.requested})" if self.requested else ""
            raise InputError(
                f"{self.source} has {number} of the {len(self._wanted)} landmark genes; {along} "
                f"with {starts}, but {kind or 'Entrez ids or symbols'}{reason} were expected."
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
            f"{self.source} has contradicting gene names: {best.name} names {best.num_found} of "
            f"the {len(self._wanted)} landmarks and {other.name} {other.num_found}, but they agree "
            f"in only {same} of {len(shared)} common rows; give {self._option}={best.name} or "
            f"{self._option}={other.name}."
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
            resolved_dates={name: gene for name, gene in renamed.items() if how[name] == "date"},
            num_ambiguous_dates=sum(read_date(name) is not None for name in others),
        )


def _start(readings: Sequence[_Reading]) -> str:
    """The first names of some namings, the ids first."""
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
