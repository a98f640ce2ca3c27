"""Text files and tables of the field, whatever their dialect: opened, decoded and divided once.

Gzip is told by the first bytes and not by the name; a byte-order mark is no text; what is neither
UTF-8 nor marked is Latin-1, as the Repurposing Hub writes. Tables have tabs, semicolons, commas or
blanks between their fields and quotes around some of them.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import dataclasses
import gzip
import io
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, TextIO

import pandas as pd

from moa_jax.schemas import InputError

Path = str | os.PathLike[str]

GZIP_MAGIC = b"\x1f\x8b"
# First bytes of zip archives, and so of Excel's .xlsx, and of its older .xls.
_NO_TEXT = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "Excel's .xls",
}
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

# Fields between tabs are looked for first: commas and semicolons stand within names, too.
SEPARATORS = ("\t", ";", ",")
COMMENT_SIGNS = ("!", "#")


@contextlib.contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Opens a file for reading, unpacking gzip whatever the file is called.

    Raises:
      InputError: the file is absent, unreadable or a broken gzip file; also when this shows only
        while the body of the `with` statement reads.
    """
    try:
        with open(path, "rb") as file:
            is_gzip = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            file.seek(0)
            if is_gzip:
                with gzip.open(file) as unpacked:
                    yield unpacked
            else:
                yield file
    except FileNotFoundError:
        raise InputError(f"there is no file {path}.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path} is cut short or damaged: its gzip stream cannot be read to the end ({error})."
        ) from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}.") from None


@contextlib.contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Opens a UTF-8 text file, plain or gzip, past its byte-order mark, to be read line by line.

    Raises:
      InputError: as for `open_bytes`, or the text is not UTF-8.
    """
    try:
        with open_bytes(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig") as text:
            yield text
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text: byte {error.object[error.start]:#04x} was found."
        ) from None


def read_text(path: Path) -> str:
    """The text of a whole file: UTF-8, UTF-16 where it is marked, else Latin-1.

    Lines end in line feeds, whatever ended them.

    Raises:
      InputError: as for `open_bytes`, or the file is a workbook or an archive.
    """
    with open_bytes(path) as file:
        content = file.read()
    for start, kind in _NO_TEXT.items():
        if content.startswith(start):
            raise InputError(f"{path} is {kind}; save the table as text, CSV or TSV.")
    encodings = ("utf-16",) if content.startswith(_UTF_16) else ("utf-8-sig", "latin-1")
    for encoding in encodings:
        with contextlib.suppress(UnicodeDecodeError):
            return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    raise InputError(f"{path} is damaged: it starts as UTF-16 text and goes on as none.")


@dataclasses.dataclass(frozen=True)
class TextTable:
    """A table as its file has it.

    Attributes:
      cells: strings without outer blanks, one column per field; its index counts rows from 1. The
        columns are the header's names, or `1`, `2` and so on where there is no header.
      has_header: whether the columns have names.
      separator: what stands between two fields; empty where every line is a single field.
    """

    cells: pd.DataFrame
    has_header: bool
    separator: str


def read_text_table(
    path: Path,
    is_known: Callable[[str], bool] = lambda name: True,
    is_value: Callable[[str], bool] = lambda cell: False,
) -> TextTable:
    """Reads a table, past comments that start with `!` or `#` above its rows or between them.

    The header may be a comment itself, as STRING and NCBI write it; it may lack a name above the
    row names, as R writes it; and it may be absent, where the first line holds a value.

    Args:
      path: the file.
      is_known: whether a name is that of a column that is looked for.
      is_value: whether a cell can be no name of a column.

    Raises:
      InputError: the file cannot be read or is empty, a quote is not closed, a row has another
        number of fields than the header, or two columns have one name.
    """
    lines = read_text(path).split("\n")
    start = next((row for row, line in enumerate(lines) if _is_told(line)), len(lines))
    header = _header(lines[:start], lines[start:], is_known, is_value)
    if start == len(lines) and header is None:
        raise InputError(f"{path} is empty.")
    separator = _separator_of(lines[start:], header, is_value)
    rows = _fields(path, lines[start:], separator, start)
    if header is None:
        names = [str(place) for place in range(1, len(rows[0]) + 1)]
    else:
        names = _fields(path, [header], separator, start)[0]
        # The header is the first of the rows, unless it is a comment.
        rows = rows[1:] if start < len(lines) and header is lines[start] else rows
        names, rows = _fitting(names, rows, separator, is_value)
    rows = [fields for fields in rows if not _is_comment(fields, len(names))]
    for number, fields in enumerate(rows, start=1):
        if len(fields) != len(names):
            place = f"row {number} after the header" if header else f"row {number}"
            raise InputError(
                f"{path}: {place} has {len(fields)} fields, "
                f"expected {'the header' if header else 'the first row'}'s {len(names)}."
            )
    cells = pd.DataFrame(rows, columns=names, dtype=object)
    cells.index += 1
    for column in cells.columns[cells.columns.duplicated()]:
        if column:
            raise InputError(f"{path} has two columns named {column}.")
    return TextTable(cells, header is not None, separator)


def _separator_of(lines: Sequence[str], header: str | None, is_value: Callable[[str], bool]) -> str:
    """What stands between the fields of a table's lines."""
    if header is not None:
        told = [line.strip() for line in lines if _is_told(line) and line is not header]
        return _separator(header, blanks=not told or " " in told[0])
    # A list of molecules has a blank between structure and name, and names have commas.
    is_list = "\t" not in lines[0] and is_value(lines[0].split()[0])
    return "" if is_list else _separator(lines[0], blanks=False)


def _fitting(
    names: list[str],
    rows: list[list[str]],
    separator: str,
    is_value: Callable[[str], bool],
) -> tuple[list[str], list[list[str]]]:
    """Names and rows that fit each other where every row has one field more than the header."""
    if rows and all(len(row) == len(names) + 1 for row in rows):
        if not any(row[-1] for row in rows):
            # A separator at the end of every row but the header.
            rows = [row[:-1] for row in rows]
        elif separator in ("\t", " ") and _are_row_names([row[0] for row in rows], is_value):
            names = ["", *names]
    if separator == " ":
        # The last column is a name, and may hold blanks.
        rows = [[*row[: len(names) - 1], " ".join(row[len(names) - 1 :])] for row in rows]
    return names, rows


def _are_row_names(cells: Sequence[str], is_value: Callable[[str], bool]) -> bool:
    """Whether cells without a header can be the names that R gives to rows."""
    return len(set(cells)) == len(cells) and not any(map(is_value, cells))


def _is_told(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith(COMMENT_SIGNS)


def _header(
    comments: Sequence[str],
    lines: Sequence[str],
    is_known: Callable[[str], bool],
    is_value: Callable[[str], bool],
) -> str | None:
    """The line that names the columns, the first one or a comment above it; None without one."""
    names = _names(lines[0]) if lines else []
    if any(map(is_known, names)):
        return lines[0]
    for comment in reversed(comments):
        bare = comment.lstrip().removeprefix("#")
        theirs = _names(bare)
        if any(map(is_known, theirs)) and len(theirs) > 1 and len(names) in (0, len(theirs)):
            return bare
    return lines[0] if lines and not any(map(is_value, names)) else None


def _names(line: str) -> list[str]:
    separator = _separator(line, blanks=True)
    return [name.strip().strip('"').strip() for name in line.strip().split(separator or None)]


def _separator(line: str, *, blanks: bool) -> str:
    """What stands between the fields of a line; empty where it is one field."""
    if "\t" in line.strip():
        return "\t"
    most = max(SEPARATORS, key=line.count)
    if most in line:
        return most
    return " " if blanks and " " in line.strip() else ""


def _fields(path: Path, lines: Sequence[str], separator: str, before: int) -> list[list[str]]:
    """The fields of every line that holds something, without blanks at their ends."""
    if not separator:
        return [[_unquoted(line.strip())] for line in lines if line.strip()]
    if separator == " ":
        lines = [line.strip() for line in lines]
    reader = csv.reader(
        io.StringIO("\n".join(lines)), delimiter=separator, strict=True, skipinitialspace=True
    )
    try:
        rows = [[field.strip() for field in fields] for fields in reader]
    except csv.Error as error:
        kind = {"\t": "tab", ";": "semicolon", ",": "comma", " ": "blank"}[separator]
        raise InputError(
            f"{path} is not a {kind}-separated table: {error} before line "
            f"{before + reader.line_num + 1}."
        ) from error
    return [fields for fields in rows if any(fields)]


def _unquoted(text: str) -> str:
    return text[1:-1].replace('""', '"') if len(text) > 1 and text[0] == text[-1] == '"' else text


def _is_comment(fields: Sequence[str], num_columns: int) -> bool:
    """Whether a row among the others says something of them: it starts so and is no whole row."""
    return len(fields) != num_columns and fields[0].startswith(COMMENT_SIGNS)
