"""Numbers in text tables: decimal points or commas, thousands separators, missing values.

Whether point or comma is the decimal sign is decided from all cells together. A table is refused
if both fit (every number is like `1,234`) or if cells contradict each other.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Float64

from moa_jax.lincs.metadata.releases import is_missing
from moa_jax.schemas import InputError

# Iterates over line numbers and value cells, from the first line at each call.
Rows = Callable[[], Iterator[tuple[int, list[str]]]]

POINT, COMMA = ".", ","

# Texts of missing values, in addition to those of `is_missing`.
_MISSING = re.compile(
    r"-{1,2}|\u2013|\.|\?|null|none|missing|n[./]?[ad]\.?|"
    r"#(?:n/?a|value!|div/0!|num!|ref!|name\?|null!)",
    re.IGNORECASE,
)
_WORDS = re.compile(r"[+-]?(?:inf|infinity)", re.IGNORECASE)
_MINUS = "\u2212"


def _pattern(decimal: str, thousands: str) -> re.Pattern[str]:
    d, t = re.escape(decimal), re.escape(thousands)
    whole = rf"(?:[0-9]+|[1-9][0-9]{{0,2}}(?:{t}[0-9]{{3}})+)"
    return re.compile(rf"[+-]?(?:{whole}(?:{d}[0-9]*)?|{d}[0-9]+)(?:[eE][+-]?[0-9]+)?")


_NUMBER = {POINT: _pattern(POINT, COMMA), COMMA: _pattern(COMMA, POINT)}


def is_missing_value(cell: str) -> bool:
    """Whether a cell means a missing value: empty, `NA`, `#N/A`, `null`, `-`, `-666`."""
    return is_missing(cell) or _MISSING.fullmatch(cell) is not None


def is_number(cell: str) -> bool:
    """Whether a cell is a number with a decimal point or with a decimal comma."""
    cell = cell.replace(_MINUS, "-")
    return any(pattern.fullmatch(cell) for pattern in (*_NUMBER.values(), _WORDS))


def are_row_numbers(cells: Sequence[str]) -> bool:
    """Whether texts are 0, 1, 2, ... or 1, 2, 3, ..., in order and without gaps."""
    if len(cells) < 2 or cells[0].removesuffix(".0") not in ("0", "1"):
        return False
    first = int(cells[0].removesuffix(".0"))
    return all(
        cell.removesuffix(".0") == str(number) for number, cell in enumerate(cells, start=first)
    )


def read_numbers(
    rows: Rows, columns: Sequence[str], num_rows: int, path: str | os.PathLike[str]
) -> Float64[np.ndarray, "row column"]:
    """The values of a table; NaN where they are missing.

    Args:
      rows: the cells of `columns`, line by line.
      columns: names of the columns, for messages.
      num_rows: number of lines.
      path: the file, for messages.

    Raises:
      InputError: a cell is not a number, or the decimal sign is ambiguous.
    """
    values = np.empty((num_rows, len(columns)))
    has_comma = False
    for row, (line, cells) in enumerate(rows()):
        fast = numbers_at_once(cells)
        if fast is not None:
            values[row] = fast
        elif any(COMMA in cell for cell in cells):
            has_comma = True
            break
        else:
            values[row] = _checked(cells, POINT, columns, line, path)
    if has_comma:
        decimal = _decimal_sign((cell for _, cells in rows() for cell in cells), path)
        for row, (line, cells) in enumerate(rows()):
            fast = numbers_at_once(cells, decimal)
            values[row] = _checked(cells, decimal, columns, line, path) if fast is None else fast
    return values


def numbers_at_once(cells: list[str], decimal: str = POINT) -> np.ndarray | None:
    """The numbers of a line if all are plain; None if any needs closer inspection."""
    if decimal == COMMA:
        if any(POINT in cell for cell in cells):
            return None
        cells = [cell.replace(COMMA, POINT) for cell in cells]
    # Python would read 1_000 as a number, and -666 is a sentinel.
    text = "\t".join(cells)
    if "_" in text or "-666" in text:
        return None
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        return None


def _checked(
    cells: list[str],
    decimal: str,
    columns: Sequence[str],
    line: int,
    path: str | os.PathLike[str],
) -> list[float]:
    numbers = []
    for cell, column in zip(cells, columns, strict=True):
        number = _number(cell, decimal)
        if number is None:
            raise InputError(
                f"line {line} of {path} has {cell!r} in the column {column}; a number was expected."
            )
        numbers.append(number)
    return numbers


def _number(cell: str, decimal: str) -> float | None:
    if is_missing_value(cell):
        return np.nan
    cell = cell.replace(_MINUS, "-")
    if _NUMBER[decimal].fullmatch(cell):
        thousands = COMMA if decimal == POINT else POINT
        return float(cell.replace(thousands, "").replace(decimal, POINT))
    return float(cell) if _WORDS.fullmatch(cell) else None


def _decimal_sign(cells: Iterable[str], path: str | os.PathLike[str]) -> str:
    """Point or comma, whichever makes every cell a number."""
    # First cell that fits only this decimal sign; that fits both, by its sign; decimal signs with
    # an unambiguous thousands separator.
    only: dict[str, str] = {}
    open_to_both: dict[str, str] = {}
    shows_thousands: set[str] = set()
    for text in cells:
        if POINT not in text and COMMA not in text:
            continue
        cell = text.replace(_MINUS, "-")
        fitting = _fitting_signs(cell)
        if len(fitting) == 2:
            open_to_both.setdefault(POINT if POINT in cell else COMMA, text)
        elif fitting:
            only.setdefault(fitting[0], text)
            other = COMMA if fitting[0] == POINT else POINT
            if other in cell:
                shows_thousands.add(fitting[0])
    if len(only) == 2:
        raise InputError(
            f"{path} writes numbers with decimal points ({only[POINT]!r}) and with decimal commas "
            f"({only[COMMA]!r}); use only one of them."
        )
    decimal = next(iter(only), None)
    other = COMMA if decimal == POINT else POINT
    doubtful = open_to_both.get(COMMA if decimal is None else other)
    if decimal is None or (doubtful is not None and decimal not in shows_thousands):
        cell = doubtful or next(iter(open_to_both.values()), "")
        if not cell:
            return POINT
        raise InputError(
            f"{path} has the number {cell!r}, whose {_name(cell)} may be a decimal sign or a "
            "thousands separator; use decimal points and no thousands separators."
        )
    return decimal


def _fitting_signs(cell: str) -> list[str]:
    """The decimal signs that make a cell a number."""
    for sign, other in ((POINT, COMMA), (COMMA, POINT)):
        whole, _, decimals = cell.lstrip("+-").partition(sign)
        if whole.isdecimal() and decimals.isdecimal():
            may_be_thousands = len(decimals) == 3 and len(whole) <= 3 and whole[0] != "0"
            return [POINT, COMMA] if may_be_thousands else [sign]
        if other not in cell and sign not in cell:
            return []
    return [sign for sign, pattern in _NUMBER.items() if pattern.fullmatch(cell)]


def _name(cell: str) -> str:
    return "comma" if COMMA in cell else "point"
