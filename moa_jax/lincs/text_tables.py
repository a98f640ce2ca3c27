"""Tables as text in any dialect that programs write: separator, quotes, comments, padding.

The separator is the one that divides header and rows into the same number of fields. Lines above
the header that start with `#` or `!` are comments (`#` also begins some headers); what a
spreadsheet pads to the right of a table, and blanks around a cell, are taken away.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import itertools
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from moa_jax.lincs.text_files import open_text, unquote
from moa_jax.schemas import InputError

# Tried in this order: a decimal comma or a comma in a name does not make a separator.
_SEPARATORS = ("\t", ";", ",", " ")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[\s,;]*', re.IGNORECASE)
_COMMENT = re.compile(r'"?[#!]')
_PROBED_LINES = 50
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")
# What heads the column that names the rows where R writes row names without a name.
ROW_NAMES = "id"


@dataclasses.dataclass(frozen=True)
class TextTable:
    """A table whose dialect is known.

    Attributes:
      path: the file.
      header: names of the columns; they may repeat.
      separator: between fields.
      num_skipped: lines up to the header, itself included.
      is_numbered: the first column is no column of the file but numbers its rows from 1.
    """

    path: str
    header: tuple[str, ...]
    separator: str
    num_skipped: int
    is_numbered: bool = False

    def numbered(self) -> TextTable:
        """The table with the numbers of its rows as first column."""
        return dataclasses.replace(self, header=(ROW_NAMES, *self.header), is_numbered=True)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Number of the line and its fields, without blank lines.

        Raises:
          InputError: a line has another number of fields than the header.
        """
        width = len(self.header) - self.is_numbered
        records = _records(self.path, self.separator, self.num_skipped)
        for number, (line, fields) in enumerate(records, start=1):
            while len(fields) > width and not fields[-1]:
                fields.pop()
            if len(fields) != width:
                hint = ""
                if self.separator == "," and len(fields) > width:
                    hint = " (numbers with decimal commas need quotes or another separator)"
                raise InputError(
                    f"line {line} of {self.path} has {len(fields)} fields; the header names "
                    f"{width} columns{hint}."
                )
            yield line, [str(number), *fields] if self.is_numbered else fields


def open_text_table(path: str | os.PathLike[str]) -> TextTable:
    """Finds the dialect of a table, plain or gzipped; its first line names the columns.

    Raises:
      InputError: the file is missing or empty, has one column or no name for one, or cannot be
        told from a table with decimal commas.
    """
    path = os.fspath(path)
    lines, num_skipped, separator = _beginning(path)
    if separator is None:
        separator = _separator(lines)
    probed = list(itertools.islice(_records(path, separator, num_skipped), _PROBED_LINES))
    header = [
        name.lstrip("#").strip() if not place else name for place, name in enumerate(probed[0][1])
    ]
    bodies = [fields for _, fields in probed[1:]]
    while (
        len(header) > 1
        and not header[-1]
        and all(not any(fields[len(header) - 1 :]) for fields in bodies)
    ):
        header.pop()
    named_rows = bool(bodies) and all(len(fields) == len(header) + 1 for fields in bodies)
    if named_rows and any(fields[-1] for fields in bodies):
        # R writes no name above the row names.
        cells = [cell for fields in bodies for cell in fields[1:]]
        if separator == "," and all(map(_WHOLE_NUMBER.fullmatch, cells)):
            raise InputError(
                f"{path} has one field more below the header than in it, and no decimal point: "
                "its commas may separate columns or decimals; write it with another separator."
            )
        header.insert(0, ROW_NAMES)
    header[0] = header[0] or ROW_NAMES
    for place, name in enumerate(header, start=1):
        if not name:
            raise InputError(f"column {place} of {path} has no name in the first line.")
    return TextTable(path, tuple(header), separator, probed[0][0])


def read_cells(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Reads a whole table as text, one column per name in its header.

    Raises:
      InputError: as `open_text_table`, two columns have one name, or a row has another number of
        fields than the header.
    """
    table = open_text_table(path)
    for name in table.header:
        if table.header.count(name) > 1:
            raise InputError(f"the header of {path} names the column {name} twice.")
    if table.separator == "\t" and _is_regular(table):
        with open_text(path) as file:
            for _ in range(table.num_skipped):
                file.readline()
            cells = pd.read_csv(
                file,
                sep="\t",
                names=list(table.header),
                index_col=False,
                dtype=str,
                quoting=csv.QUOTE_NONE,
                keep_default_na=False,
                lineterminator="\n",
            )
        return cells.apply(_bare) if len(cells) else cells
    rows = [fields for _, fields in table.rows()]
    return pd.DataFrame(rows, columns=list(table.header), dtype=object)


def _is_regular(table: TextTable) -> bool:
    """Whether every line has a field per column and nothing more, so that pandas reads the same."""
    num_separators = len(table.header) - 1
    with open_text(table.path) as file:
        for line in itertools.islice(file, table.num_skipped, None):
            if line.count("\t") != num_separators or line.startswith("!") or not line.strip():
                return False
    return True


def _bare(column: pd.Series) -> pd.Series:
    """Cells without the quotes and blanks around them; each text is looked at once."""
    codes, texts = pd.factorize(column.to_numpy(dtype=object))
    bare = np.array([unquote(str(text).strip()).strip() for text in texts], dtype=object)
    return pd.Series(bare[codes], index=column.index, dtype=object)


def _beginning(path: str) -> tuple[list[str], int, str | None]:
    """Some lines from the header on, how many stand above, and the separator if one says so."""
    separator, comment = None, ""
    with open_text(path) as file:
        number, line = 0, ""
        for line in file:
            number += 1
            if match := _SEPARATOR_LINE.fullmatch(line):
                separator = match[1]
            elif _COMMENT.match(line):
                comment = line
            elif line.strip(" \n,;\t"):
                break
        else:
            raise InputError(f"{path} is empty; a table with a header was expected.")
        following = [line, *itertools.islice(file, _PROBED_LINES)]
    if comment.startswith("#") and _heads(comment, line):
        return [comment, *following], number - 2, separator
    return following, number - 1, separator


def _heads(comment: str, line: str) -> bool:
    """Whether a line that starts with `#` is the header of the line below it."""
    for separator in _SEPARATORS[:3]:
        names, cells = comment.split(separator), line.split(separator)
        if len(names) == len(cells) > 1:
            return any(_is_float(cell) for cell in cells[1:]) and not any(map(_is_float, names))
    return False


def _is_float(cell: str) -> bool:
    try:
        float(cell.strip(' "\n').replace(",", "."))
    except ValueError:
        return False
    return True


def _separator(lines: list[str]) -> str:
    """What divides the header and the lines below alike; a tab where nothing divides them."""
    found = None
    for separator in _SEPARATORS:
        records = _fields(iter(lines), separator)
        header = next(records)
        if len(header) < 2:
            continue
        # A quoted field may go on beyond the lines at hand, so the last one does not count.
        widths = [len(fields) for fields in records if any(fields)][: _PROBED_LINES - 1]
        is_even = all(len(header) <= width <= len(header) + 1 for width in widths)
        # One line of words is no table.
        if is_even and (widths or separator != " "):
            return separator
        if found is None and separator != " ":
            found = separator
    return found or "\t"


def _records(path: str, separator: str, num_skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Number of the line and its fields, from the line after `num_skipped` on."""
    with open_text(path) as file:
        for _ in range(num_skipped):
            file.readline()
        number = num_skipped
        try:
            for number, cells in _divided(file, separator, num_skipped):
                if any(cells) and not (cells[0].startswith("!") and not any(cells[1:])):
                    yield number, cells
        except csv.Error as error:
            raise InputError(f"line {number + 1} of {path} is damaged ({error}).") from None


def _divided(
    lines: Iterable[str], separator: str, num_skipped: int = 0
) -> Iterator[tuple[int, list[str]]]:
    if separator == "\t":
        for number, line in enumerate(lines, start=num_skipped + 1):
            yield number, split_line(line, separator)
        return
    reader = _reader(lines, separator)
    for fields in reader:
        yield num_skipped + reader.line_num, [field.strip() for field in fields]


def _fields(lines: Iterator[str], separator: str) -> Iterator[list[str]]:
    with contextlib.suppress(csv.Error):
        for _, fields in _divided(lines, separator):
            yield fields


def _reader(lines: Iterable[str], separator: str) -> Any:
    return csv.reader(lines, delimiter=separator, skipinitialspace=True)


def split_line(line: str, separator: str) -> list[str]:
    """The cells of one line, without the quotes and blanks around them."""
    line = line.rstrip("\n")
    if '"' not in line:
        return [cell.strip() for cell in line.split(separator)]
    if separator == "\t":
        # A quotation mark inside a text, such as 5", quotes nothing.
        return [unquote(cell.strip()).strip() for cell in line.split(separator)]
    return [cell.strip() for cell in next(_reader([line], separator), [""])]
