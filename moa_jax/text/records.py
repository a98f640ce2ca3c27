"""Splitting lines of a table into fields: quotes, blanks, and fields that span several lines."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterable, Iterator
from typing import Any

from moa_jax.text.files import unquote

# In order of preference: commas may also be decimal signs or parts of names.
SEPARATORS = ("\t", ";", ",", " ")
COMMENT_SIGNS = ("!", "#")


def divide(
    lines: Iterable[str], separator: str, num_skipped: int = 0
) -> Iterator[tuple[int, list[str]]]:
    """Number of the last line of each record, and its fields without quotes and outer blanks.

    With tabs, a quotation mark inside a text, such as 5", has no effect; a field that starts with
    an unclosed one continues after the tab or in the next line.

    Args:
      lines: the lines of a table.
      separator: between fields; empty if every line is one field.
      num_skipped: number of lines above.

    Raises:
      csv.Error: a quote is not closed.
    """
    if separator == "\t":
        yield from _divide_by_tabs(lines, num_skipped)
    elif not separator:
        for number, line in enumerate(lines, start=num_skipped + 1):
            yield number, [unquote(line.strip())]
    else:
        source = _Lines(lines)
        reader = _reader(source, separator)
        for fields in reader:
            # The csv module closes an open quote at the end of the file.
            if source.has_ended:
                raise csv.Error("a quote is opened and not closed")
            yield num_skipped + reader.line_num, [field.strip() for field in fields]


def fields_of(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    """The fields of each record, up to the first error."""
    with contextlib.suppress(csv.Error):
        for _, fields in divide(lines, separator):
            yield fields


def cells_of_line(line: str, separator: str) -> list[str]:
    """The cells of one line, without the quotes and blanks around them."""
    line = line.rstrip("\n")
    if '"' not in line:
        return [cell.strip() for cell in line.split(separator)]
    if separator == "\t":
        return [unquote(cell.strip()).strip() for cell in line.split(separator)]
    return [cell.strip() for cell in next(_reader([line], separator), [""])]


def separator_of_line(line: str, *, blanks: bool) -> str:
    """The separator of a line; empty if it is one field.

    Args:
      line: the line.
      blanks: whether blanks may separate fields.
    """
    if "\t" in line.strip():
        return "\t"
    most = max(SEPARATORS[:3], key=line.count)
    if most in line:
        return most
    return " " if blanks and " " in line.strip() else ""


class _Lines:
    """Iterator over lines that remembers whether its end was reached."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.has_ended = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        for line in self._lines:
            return line
        self.has_ended = True
        raise StopIteration


def _divide_by_tabs(lines: Iterable[str], num_skipped: int) -> Iterator[tuple[int, list[str]]]:
    numbered = enumerate(lines, start=num_skipped + 1)
    for number, line in numbered:
        if '"' not in line or not any(map(_is_open, line.rstrip("\n").split("\t"))):
            yield number, cells_of_line(line, "\t")
            continue
        record, end = [line], number
        while "".join(record).count('"') % 2:
            end, continuation = next(numbered, (0, ""))
            if not end:
                raise csv.Error("a quote is opened and not closed")
            record.append(continuation)
        for fields in _reader(record, "\t"):
            yield end, [field.strip() for field in fields]


def _is_open(cell: str) -> bool:
    """Whether a cell starts with a quote that does not end in it."""
    cell = cell.strip()
    return len(cell) > 1 and cell[0] == '"' and cell.count('"') % 2 == 1


def _reader(lines: Iterable[str], separator: str) -> Any:
    return csv.reader(lines, delimiter=separator, skipinitialspace=True)
