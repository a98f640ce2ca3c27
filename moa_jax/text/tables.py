"""Text tables, read row by row with line numbers, or whole.

`text.dialects` detects separator and header. Blanks and quotes around cells are removed.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from moa_jax.schemas import InputError
from moa_jax.text.files import Path, open_text, unquote
from moa_jax.text.records import COMMENT_SIGNS, divide


@dataclasses.dataclass(frozen=True)
class TextTable:
    """A table whose dialect is known.

    Attributes:
      path: the file.
      header: names of the columns, which may repeat; `1`, `2` and so on without a header.
      separator: between fields; empty if every line is a single field.
      num_skipped: lines above the first row.
      has_header: whether the file names the columns.
      is_numbered: the first column is not in the file: it numbers the rows from 1.
    """

    path: str
    header: tuple[str, ...]
    separator: str
    num_skipped: int
    has_header: bool = True
    is_numbered: bool = False

    def numbered(self, name: str) -> TextTable:
        """The table with row numbers as an additional first column of that name."""
        return dataclasses.replace(self, header=(name, *self.header), is_numbered=True)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Line numbers and fields of the rows, without blank lines and comments.

        Raises:
          InputError: a line has another number of fields than the header, or a quote is not
            closed.
        """
        width = len(self.header) - self.is_numbered
        number = 0
        for line, fields in records(self.path, self.separator, self.num_skipped):
            if is_comment(fields, width, self.separator):
                continue
            number += 1
            while len(fields) > width and not fields[-1]:
                fields.pop()
            if self.separator == " " and len(fields) > width:
                # The last column is a name and may contain blanks.
                fields[width - 1 :] = [" ".join(fields[width - 1 :])]
            if len(fields) != width:
                raise InputError(self._misfit(line, len(fields), width))
            yield line, [str(number), *fields] if self.is_numbered else fields

    def _misfit(self, line: int, found: int, width: int) -> str:
        hint = ""
        if self.separator == "," and found > width:
            hint = " (numbers with decimal commas need quotes or another separator)"
        expected = (
            f"the header names {width} columns" if self.has_header else f"the first has {width}"
        )
        return f"line {line} of {self.path} has {found} fields; {expected}{hint}."


def read_cells(table: TextTable) -> pd.DataFrame:
    """Reads a whole table as text, one column per name in its header.

    Raises:
      InputError: two columns have the same name, or as for `TextTable.rows`.
    """
    refuse_repeats(table.header, table.path)
    if table.separator == "\t" and _is_regular(table):
        with open_text(table.path) as file:
            skip_lines(file, table.num_skipped)
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


def refuse_repeats(names: Sequence[str], path: Path) -> None:
    """Refuses a table with two columns of the same name."""
    for place, name in enumerate(names):
        if name in names[:place]:
            raise InputError(f"the header of {path} names the column {name} twice.")


def skip_lines(lines: Iterator[str], count: int) -> None:
    """Skips the first lines of an open text."""
    for _ in range(count):
        next(lines, "")


def records(path: str, separator: str, num_skipped: int) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and fields of all lines after `num_skipped` that are not blank."""
    number = num_skipped
    with open_text(path) as file:
        skip_lines(file, num_skipped)
        try:
            for number, fields in divide(file, separator, num_skipped):
                if any(fields):
                    yield number, fields
        except csv.Error as error:
            raise InputError(f"line {number + 1} of {path} is damaged ({error}).") from None


def is_comment(fields: list[str], width: int, separator: str) -> bool:
    """Whether a row is a comment: it starts like one and is not a complete row."""
    if not fields[0].startswith(COMMENT_SIGNS):
        return False
    if separator in ("", " "):
        return True
    last = max(number for number, field in enumerate(fields, start=1) if field)
    is_alone = last == 1 < width and fields[0].startswith("!")
    return is_alone or not last <= width <= len(fields)


def _is_regular(table: TextTable) -> bool:
    """Whether every line has exactly one field per column, so that pandas can read it."""
    num_separators = len(table.header) - 1
    with open_text(table.path) as file:
        for line in itertools.islice(file, table.num_skipped, None):
            if line.count("\t") != num_separators or line.startswith("!") or not line.strip():
                return False
            if not num_separators and line.startswith("#"):
                return False
    return True


def _bare(column: pd.Series) -> pd.Series:
    """Cells without the quotes and blanks around them; each distinct text is processed once."""
    codes, texts = pd.factorize(column.to_numpy(dtype=object))
    bare = np.array([unquote(str(text).strip()).strip() for text in texts], dtype=object)
    return pd.Series(bare[codes], index=column.index, dtype=object)
