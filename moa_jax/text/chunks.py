"""Reads large public tables in chunks."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator, Mapping

import pandas as pd

from moa_jax.schemas import InputError, require_columns
from moa_jax.text.dialects import open_text_table
from moa_jax.text.files import Path, open_text, unquote
from moa_jax.text.tables import TextTable, skip_lines

# Rows held as text at a time; STRING's human links have 14 million.
CHUNK_ROWS = 1_000_000
# Rows of a chunk in which quotes and padding are looked for.
_PROBED_ROWS = 1_000


def open_table(path: Path, names: Collection[str]) -> TextTable:
    """Detects the dialect of a table with a header, which may be a comment.

    Args:
      path: text file, plain or gzip.
      names: names of columns that the table may have, ignoring case.

    Raises:
      InputError: the file cannot be read or is empty.
    """
    wanted = {name.casefold() for name in names}
    return open_text_table(path, is_known=lambda name: name.casefold() in wanted)


def _bare(cell: str) -> str:
    return unquote(cell.strip()).strip()


def read_chunks(table: TextTable, columns: Mapping[str, str]) -> Iterator[pd.DataFrame]:
    """Reads some columns of a table, in chunks.

    Args:
      table: the opened table.
      columns: name of each wanted column in the file, ignoring case -> our name.

    Yields:
      Tables of strings without quotes and outer blanks; the index is the line of the file (the
      first line is 1). Missing fields are empty strings; empty rows are left out.

    Raises:
      InputError: a column is missing, or the file cannot be read.
    """
    header, path = table.header, table.path
    place_of = {name.casefold(): place for place, name in reversed(list(enumerate(header)))}
    if any(name.casefold() not in place_of for name in columns):
        require_columns(pd.DataFrame(columns=list(header)), tuple(columns), path)
    positions = {place_of[name.casefold()]: ours for name, ours in columns.items()}
    # With tabs or blanks as separators, quotation marks do not protect separators.
    quotes = csv.QUOTE_MINIMAL if table.separator in (",", ";") else csv.QUOTE_NONE
    with open_text(path) as text:
        skip_lines(text, table.num_skipped)
        try:
            parts = pd.read_csv(
                _Headed(text, table),
                sep=table.separator,
                header=0,
                usecols=sorted(positions),
                index_col=False,
                dtype=str,
                keep_default_na=False,
                quoting=quotes,
                skip_blank_lines=False,
                chunksize=CHUNK_ROWS,
            )
            for part in parts:
                chunk = part.fillna("")
                chunk.columns = [positions[position] for position in sorted(positions)]
                chunk.index += table.num_skipped + 1
                for name in chunk.columns:
                    # Files with quotes or padding have them in every row.
                    if any(cell != _bare(cell) for cell in chunk[name].head(_PROBED_ROWS)):
                        chunk[name] = chunk[name].map(_bare)
                yield chunk.loc[(chunk != "").any(axis=1), list(columns.values())]
        except pd.errors.ParserError as error:
            raise InputError(f"{path} is not a table: {str(error).strip()}.") from None


class _Headed(io.TextIOBase):
    """The rest of an open text below a one-line header, from which pandas takes the row width."""

    def __init__(self, text: io.TextIOBase, table: TextTable) -> None:
        super().__init__()
        places = map(str, range(len(table.header)))
        self._header, self._text = table.separator.join(places) + "\n", text

    def read(self, size: int | None = -1) -> str:
        """Some of the text."""
        header, self._header = self._header, ""
        return header or self._text.read(size)


def read_columns(table: TextTable, columns: Mapping[str, str]) -> pd.DataFrame:
    """All rows of `read_chunks` in one table, for files that fit in memory as text."""
    parts = list(read_chunks(table, columns))
    return pd.concat(parts) if parts else pd.DataFrame(columns=list(columns.values()), dtype=str)
