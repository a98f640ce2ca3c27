"""Access to a release's table by canonical field names, with types and units."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from moa_jax.lincs.metadata.field_names import (
    ALIASES,
    ID_NAMES,
    MATRIX_ID,
    fold_name,
    is_missing,
    unit_in_name,
)
from moa_jax.lincs.metadata.pert_types import canonical_pert_types, controls
from moa_jax.lincs.metadata.units import amount_text, is_unknown_amount, parse_dose_um, parse_time_h
from moa_jax.schemas import InputError, require_columns
from moa_jax.text.files import unquote

# Cell line in consensus files of signatures that are pooled over cell lines.
CONSENSUS_CELL_LINE = "CONSENSUS"

# Columns for doses and times that have no value in micromolar or hours.
AMOUNT_TEXTS = ("dose_text", "time_text")

_TRUE = ("1", "1.0", "true", "t", "yes", "y", "pass", "passed")
_FALSE = ("0", "0.0", "false", "f", "no", "n", "fail", "failed")
_NO_UNIT = "(no unit)"


class Fields:
    """A release's table by canonical field names; absent fields are missing values."""

    def __init__(self, table: pd.DataFrame, source: str, identity: str | None) -> None:
        if table.index.name == MATRIX_ID and MATRIX_ID not in table.columns:
            table = table.reset_index()
        self.table, self.source = table.reset_index(drop=True), source
        self.columns: dict[str, list[str]] = {}
        for column in self.table.columns:
            self.columns.setdefault(fold_name(str(column)), []).append(column)
        if identity is None:
            return
        names = (*ALIASES[identity], *ID_NAMES)
        if not any(name in self.columns for name in names):
            require_columns(table, (identity,), source)
        self.ids = self._first(names)
        if self.ids.isna().any():
            row = int(np.argmax(self.ids.isna())) + 1
            raise InputError(f"row {row} of {source} has no {identity}.")
        if self.ids.duplicated().any():
            repeated = self.ids[self.ids.duplicated()].iloc[0]
            raise InputError(f"{source} repeats the {identity} {repeated}.")

    def has(self, name: str) -> bool:
        """Whether the table has a column of the field."""
        return any(alias in self.columns for alias in ALIASES[name])

    def require(self, name: str) -> None:
        """Refuses a table without a column of the field."""
        if not self.has(name):
            require_columns(self.table, (name,), self.source)

    def _columns_named(self, names: tuple[str, ...]) -> list[pd.Series]:
        columns = [column for name in names for column in self.columns.get(name, ())]
        return [clean(self.table[column]) for column in columns]

    def _first(self, names: tuple[str, ...]) -> pd.Series:
        first = pd.Series(np.full(len(self.table), None, dtype=object), index=self.table.index)
        for column in self._columns_named(names):
            first = first.where(first.notna(), column)
        return first

    def text(self, name: str) -> pd.Series:
        """Texts or None: in each row the first value among the field's columns."""
        return self._first(ALIASES[name])

    def named(self, name: str) -> pd.Series:
        """As `text`, with texts that differ only in case spelled alike."""
        return one_spelling(self.text(name))

    def plate(self) -> pd.Series:
        """The first plate column that is complete, since plates have several names."""
        columns = self._columns_named(ALIASES["plate"])
        known = self.text("plate").notna()
        whole = [column for column in columns if known.equals(column.notna())]
        return one_spelling(whole[0] if whole else self.text("plate"))

    def pert_type(self) -> pd.Series:
        """Canonical perturbation types, from the table's types and compound names."""
        return canonical_pert_types(
            self.text("pert_type"), self.text("pert_id"), self.text("compound")
        )

    def _refuse(self, name: str, row: int, found: str, expected: str) -> InputError:
        of = f" of {self.ids[row]}" if hasattr(self, "ids") else ""
        return InputError(f"{self.source} has {found!r} as {name}{of}; {expected} was expected.")

    def number(self, name: str) -> pd.Series:
        """Finite numbers, NaN where missing; refuses other texts."""
        text = self.text(name)
        pointed = text.str.replace(r"^([+-]?\d*),(\d+)$", r"\1.\2", regex=True)
        number = pd.to_numeric(pointed, errors="coerce").astype(float)
        wrong = text.notna() & ~np.isfinite(number)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise self._refuse(name, row, text[row], "a number")
        return number

    def flag(self, name: str) -> pd.Series:
        """Nullable booleans; refuses other texts."""
        text = self.text(name).str.lower()
        wrong = text.notna() & ~text.isin(_TRUE + _FALSE)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise self._refuse(name, row, text[row], "0 or 1")
        return text.isin(_TRUE).astype("boolean").where(text.notna(), pd.NA)

    def amount_columns(self, own: str, numeric: str, text: str) -> list[tuple[str, pd.Series]]:
        """Dose or time as texts: columns in our unit, then number and unit, then text with both."""
        unit, joined = self.text(f"{numeric}_unit"), self.text(numeric)
        if unit.notna().any():
            # If other rows have a unit, a number without one is ambiguous.
            bare = joined.str.fullmatch(r"[\d.,+eE-]+").eq(True)
            joined = joined.where(~bare, joined + " " + unit.fillna(_NO_UNIT))
        columns = [(own, self.text(own)), (numeric, joined)]
        for folded, names in self.columns.items():
            named = unit_in_name(folded)
            if named is not None and named[0] == numeric and folded not in ALIASES[own]:
                columns += [(name, clean(self.table[name]) + f" {named[1]}") for name in names]
        left = own.partition("_")[0] + "_text"
        return [*columns, (text, self.text(text)), (left, self.text(left))]

    def amount(
        self, own: str, numeric: str, text: str, parse: Callable[[str], float]
    ) -> tuple[pd.Series, pd.Series]:
        """Dose or time as numbers, and the texts of those that cannot be converted."""
        values = pd.Series(np.nan, index=self.table.index)
        texts = pd.Series(np.full(len(values), None, dtype=object), index=values.index)
        for name, column in self.amount_columns(own, numeric, text):
            parsed, unparsed = self._parsed(name, column, parse)
            values = values.fillna(parsed)
            texts = texts.where(texts.notna(), unparsed)
        return values, one_spelling(texts.where(values.isna(), None))

    def _parsed(
        self, name: str, text: pd.Series, parse: Callable[[str], float]
    ) -> tuple[pd.Series, pd.Series]:
        codes, values = pd.factorize(text.to_numpy(dtype=object))
        parsed = np.full(len(values) + 1, np.nan)
        written = np.full(len(values) + 1, None, dtype=object)
        for index, value in enumerate(values):
            if is_unknown_amount(value):
                continue
            try:
                parsed[index], written[index] = parse(value), amount_text(value)
            except ValueError as error:
                # The dose of a vehicle does not matter.
                rows = np.flatnonzero((codes == index) & ~controls(self.pert_type()))
                if len(rows):
                    expected = f"an amount such as 10 or 24 h ({error})"
                    raise self._refuse(name, int(rows[0]), value, expected) from None
        return pd.Series(parsed[codes], index=text.index), pd.Series(
            written[codes], index=text.index, dtype=object
        )

    def perturbation(self) -> dict[str, pd.Series]:
        """Compound, cell line, dose and time."""
        cell_line = self.named("cell_line")
        dose_um, dose_text = self.amount("dose_um", "pert_dose", "pert_idose", parse_dose_um)
        time_h, time_text = self.amount("time_h", "pert_time", "pert_itime", parse_time_h)
        return {
            "pert_id": self.named("pert_id"),
            "compound": self.named("compound"),
            "cell_line": cell_line.where(cell_line.str.upper() != CONSENSUS_CELL_LINE, None),
            "dose_um": dose_um,
            "time_h": time_h,
            "dose_text": dose_text,
            "time_text": time_text,
        }


def clean(column: pd.Series, missing: float | None = None) -> pd.Series:
    """Strings without quotes and outer blanks; `missing` for missing values."""
    codes, values = pd.factorize(column.to_numpy(dtype=object))
    texts = [unquote(str(value).strip()).strip() for value in values]
    # pandas' missing values have code -1 and so take the last entry.
    cleaned = np.array(
        [missing if is_missing(text) else text for text in texts] + [missing], dtype=object
    )
    return pd.Series(cleaned[codes], index=column.index, dtype=object)


def one_spelling(column: pd.Series) -> pd.Series:
    """Gives texts that differ only in case the most frequent spelling (the first if equal)."""
    codes, values = pd.factorize(column.to_numpy(dtype=object))
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    best: dict[str, int] = {}
    for place, value in enumerate(values):
        folded = str(value).casefold()
        if folded not in best or counts[place] > counts[best[folded]]:
            best[folded] = place
    spelled = [values[best[str(value).casefold()]] for value in values]
    return pd.Series(np.array([*spelled, None], dtype=object)[codes], index=column.index)


def spelled_like(names: pd.Series, known: Iterable[str], *, signs_count: bool = True) -> pd.Series:
    """Gives names the spelling of known names that differ only in case.

    Args:
      names: texts.
      known: names in the wanted spelling.
      signs_count: whether names that differ in hyphens, blanks and other signs are different; for
        cell lines they are not (`BT-20` is `BT20`).
    """

    def folded(name: str) -> str:
        return name.casefold() if signs_count else re.sub(r"[\W_]+", "", name.casefold())

    spellings: dict[str, set[str]] = {}
    for name in known:
        spellings.setdefault(folded(name), set()).add(name)
    codes, values = pd.factorize(names.to_numpy(dtype=object))
    spelled: list[str | None] = []
    for value in values:
        others = spellings.get(folded(str(value)), set())
        others = {str(value)} & others or others
        spelled.append(next(iter(others)) if len(others) == 1 else value)
    return pd.Series(np.array([*spelled, None], dtype=object)[codes], index=names.index)
