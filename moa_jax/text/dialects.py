"""The dialect of a text table: separator, header and the lines above the header.

The separator is the one that splits header and rows into equally many fields. Lines above the rows
that start with `#` or `!` are comments; one of them may be the header itself (STRING, NCBI). The
header may also be absent (a list of molecules) or lack a name for the row names (R). Empty columns
that a spreadsheet adds on the right are ignored.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
from collections.abc import Callable

from moa_jax.schemas import InputError
from moa_jax.text.files import Path, open_text, unquote
from moa_jax.text.records import (
    COMMENT_SIGNS,
    SEPARATORS,
    cells_of_line,
    fields_of,
    separator_of_line,
)
from moa_jax.text.tables import TextTable, is_comment, records

_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[\s,;]*', re.IGNORECASE)
_COMMENT = re.compile(r'\s*"?[#!]')
_PROBED_LINES = 50
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]+")
_DECIMAL_POINT = re.compile(r"[+-]?[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?")

Test = Callable[[str], bool]


def open_text_table(
    path: Path,
    *,
    is_known: Test | None = None,
    is_value: Test | None = None,
    row_names: str = "",
) -> TextTable:
    """Finds the dialect of a table, plain or gzipped.

    Args:
      path: the file.
      is_known: whether a name is an expected column name; a comment that contains one, or that
        precedes numbers, may be the header.
      is_value: whether a cell cannot be a column name; a first line with such a cell is not a
        header. None: there is a header.
      row_names: name of a first column that has none; the others then need one. Empty: any
        column may be nameless and is called `column 3`.

    Raises:
      InputError: the file cannot be read or is empty, a column has no name, or commas may be
        separators or decimal signs.
    """
    path = os.fspath(path)
    start = _read_start(path)
    header_line = _find_header(start, is_known, is_value)
    if not start.line and header_line is None:
        raise InputError(f"{path} is empty; a table with a header was expected.")
    if header_line is None:
        return _without_header(path, start, is_value)
    separator = start.separator
    is_first_line = header_line is start.line
    if separator is None:
        below = start.following if is_first_line else [start.line, *start.following]
        words = header_line.split()
        num_known = sum(map(is_known, words)) if is_known is not None else 0
        separator = _find_separator([header_line, *below], num_known)
    num_above = start.num_above
    if is_first_line:
        # The record may span several lines.
        num_above, names = next(records(path, separator, num_above))
        header = [" ".join(name.splitlines()) for name in names]
    else:
        header = cells_of_line(header_line.strip(), separator)
        header[0] = header[0].lstrip("#").strip()
    probed = itertools.islice(records(path, separator, num_above), _PROBED_LINES)
    bodies = [fields for _, fields in probed if not is_comment(fields, len(header), separator)]
    header = _without_padding(header, bodies)
    is_longer = bool(bodies) and all(len(fields) == len(header) + 1 for fields in bodies)
    if is_longer and any(fields[-1] for fields in bodies):
        _refuse_decimal_commas(path, bodies, separator)
        is_quoted = header_line.startswith('"')
        if _are_named(bodies, separator, is_value, is_quoted=is_quoted):
            # R writes no name above the row names.
            header.insert(0, "")
    return TextTable(path, _named(path, header, row_names), separator, num_above)


@dataclasses.dataclass(frozen=True)
class _Start:
    """The beginning of a file.

    Attributes:
      comments: comment lines above `line`.
      line: the first line that is not a comment; empty if there is none.
      following: some lines below it.
      num_above: number of lines above `line`.
      separator: declared by a line such as `sep=;`; else None.
    """

    comments: list[str]
    line: str
    following: list[str]
    num_above: int
    separator: str | None


def _read_start(path: str) -> _Start:
    separator, comments = None, []
    with open_text(path) as file:
        number = 0
        for number, line in enumerate(file, start=1):
            if match := _SEPARATOR_LINE.fullmatch(line):
                separator = match[1]
            elif _COMMENT.match(line):
                comments.append(line)
            elif line.strip(" \n,;\t"):
                following = list(itertools.islice(file, _PROBED_LINES))
                return _Start(comments, line, following, number - 1, separator)
    return _Start(comments, "", [], number, separator)


def _find_header(start: _Start, is_known: Test | None, is_value: Test | None) -> str | None:
    """The line that names the columns: the first one or a comment above it; None if absent."""
    names = _words(start.line)
    if is_known is not None:
        if any(map(is_known, names)):
            return start.line
        for comment in reversed(start.comments):
            theirs = _words(comment.lstrip(' "').removeprefix("#"))
            if len(theirs) > 1 and any(map(is_known, theirs)) and len(names) in (0, len(theirs)):
                return comment
    if is_value is None and start.comments and _is_header_of(start.comments[-1], start.line):
        return start.comments[-1]
    if not start.line or (is_value is not None and any(map(is_value, names))):
        return None
    return start.line


def _words(line: str) -> list[str]:
    line = line.strip()
    words = line.split(separator_of_line(line, blanks=True) or None)
    return [unquote(word.strip()).strip() for word in words]


def _is_header_of(comment: str, line: str) -> bool:
    """Whether a comment names the columns of the numbers in the line below it."""
    if not comment.startswith("#"):
        return False
    for separator in SEPARATORS[:3]:
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


def _find_separator(lines: list[str], num_known: int) -> str:
    """The separator that gives header and rows equally many fields; by default a tab.

    Args:
      lines: the header and the lines below.
      num_known: number of expected column names in the header; if there are any and blanks
        separate the fields, the last column may contain blanks.
    """
    found = None
    for separator in SEPARATORS:
        divided = fields_of(lines, separator)
        header = next(divided, [])
        if len(header) < 2:
            continue
        # The last line does not count: a quoted field may continue beyond it.
        widths = [
            len(fields)
            for fields in divided
            if any(fields) and not fields[0].startswith(COMMENT_SIGNS)
        ][: _PROBED_LINES - 1]
        is_even = all(len(header) <= width <= len(header) + 1 for width in widths)
        if separator == " ":
            is_even |= num_known > 0 and all(len(header) <= width for width in widths)
            # A single line of words is a table only if they are expected names.
            is_named = num_known == len(header) and found is None
            is_even = (is_even and bool(widths)) or (is_named and (not widths or num_known > 2))
        if is_even:
            return separator
        if found is None and separator != " ":
            found = separator
    return found or "\t"


def _without_header(path: str, start: _Start, is_value: Test | None) -> TextTable:
    """A table whose first line is a row."""
    line = start.line
    # A list of molecules has a blank between structure and name, and names contain commas.
    is_list = "\t" not in line and is_value is not None and is_value(line.split()[0])
    separator = start.separator
    if separator is None:
        separator = "" if is_list else separator_of_line(line, blanks=False)
    _, first = next(records(path, separator, start.num_above))
    header = tuple(str(place) for place in range(1, len(first) + 1))
    return TextTable(path, header, separator, start.num_above, has_header=False)


def _without_padding(header: list[str], bodies: list[list[str]]) -> list[str]:
    """The header without empty fields added by a spreadsheet."""
    width = len(header)
    while (
        width > 1
        and not header[width - 1]
        and all(not any(fields[width - 1 :]) for fields in bodies)
    ):
        width -= 1
    return header[:width]


def _refuse_decimal_commas(path: str, bodies: list[list[str]], separator: str) -> None:
    """Refuses rows with one extra field whose commas may be decimal signs."""
    cells = [cell for fields in bodies for cell in fields[1:]]
    if separator == "," and all(map(_WHOLE_NUMBER.fullmatch, cells)):
        raise InputError(
            f"{path} has one field more in its rows than in its header, and no decimal point: "
            "its commas may be separators or decimal signs; use another separator."
        )


def _are_named(
    bodies: list[list[str]], separator: str, is_value: Test | None, *, is_quoted: bool
) -> bool:
    """Whether rows with one extra field start with a row name, as R writes them."""
    first = [fields[0] for fields in bodies]
    if len(set(first)) < len(first) or (is_value is not None and any(map(is_value, first))):
        return False
    # Otherwise a comma within a name may have split it.
    cells = (cell for fields in bodies for cell in fields[1:])
    return separator != "," or is_quoted or any(map(_DECIMAL_POINT.fullmatch, cells))


def _named(path: str, header: list[str], row_names: str) -> tuple[str, ...]:
    """The header with a name for every column."""
    if not row_names:
        return tuple(name or f"column {place}" for place, name in enumerate(header, start=1))
    header = [header[0] or row_names, *header[1:]]
    for place, name in enumerate(header, start=1):
        if not name:
            raise InputError(f"column {place} of {path} has no name in the first line.")
    return tuple(header)
