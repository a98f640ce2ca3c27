"""Reads public tables of knowledge a part at a time, and refuses damaged ones in one sentence."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from moa_jax.schemas import InputError, require_columns
from moa_jax.text_tables import open_text

# Rows held as text at a time; STRING's human links have 14 million.
CHUNK_ROWS = 1_000_000
# Rows of each such part that tell how its cells are written.
_PROBED_ROWS = 1_000


def find_separator(path: str | os.PathLike[str], separators: Sequence[str]) -> str:
    """The first of some separators that stands in a table's first line; the last of them else."""
    with open_text(path) as text:
        line = text.readline().strip()
    return next((sign for sign in separators if sign in line), separators[-1])


def read_header(path: str | os.PathLike[str], separator: str) -> list[str]:
    """The names in a table's first line, bare of quotes, blanks and STRING's leading `#`."""
    with open_text(path) as text:
        line = text.readline().strip("\r\n")
    names = [_bare(name) for name in line.split(separator)]
    return [_bare(names[0].removeprefix("#")), *names[1:]]


def _bare(cell: str) -> str:
    cell = cell.strip()
    return cell[1:-1].strip() if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


def read_chunks(
    path: str | os.PathLike[str], columns: Mapping[str, str], *, separator: str
) -> Iterator[pd.DataFrame]:
    """Reads some columns of a table with a header line, a part at a time.

    Args:
      path: text file, plain or gzip.
      columns: the file's name of each wanted column -> our name of it; case does not count.
      separator: what stands between two fields.

    Yields:
      Tables of strings without quotes and outer blanks; the index is the line of the file (the
      header is line 1). A field that its row lacks is the empty string; rows without anything are
      left out.

    Raises:
      InputError: a column is missing, or the file cannot be read.
    """
    header = read_header(path, separator)
    place_of = {name.casefold(): place for place, name in reversed(list(enumerate(header)))}
    if any(name.casefold() not in place_of for name in columns):
        require_columns(pd.DataFrame(columns=header), tuple(columns), str(path))
    positions = {place_of[name.casefold()]: ours for name, ours in columns.items()}
    with open_text(path) as text:
        try:
            parts = pd.read_csv(
                text,
                sep=separator,
                header=0,
                usecols=sorted(positions),
                index_col=False,
                dtype=str,
                keep_default_na=False,
                quoting=csv.QUOTE_NONE,
                skip_blank_lines=False,
                chunksize=CHUNK_ROWS,
            )
            for part in parts:
                chunk = part.fillna("")
                chunk.columns = [positions[position] for position in sorted(positions)]
                chunk.index += 2
                for name in chunk.columns:
                    # Whoever writes quotes or pads does it in every row.
                    if any(cell != _bare(cell) for cell in chunk[name].head(_PROBED_ROWS)):
                        chunk[name] = chunk[name].map(_bare)
                yield chunk.loc[(chunk != "").any(axis=1), list(columns.values())]
        except pd.errors.ParserError as error:
            raise InputError(f"{path} is not a table: {error}.") from None


def read_columns(
    path: str | os.PathLike[str], columns: Mapping[str, str], *, separator: str
) -> pd.DataFrame:
    """All rows of `read_chunks` in one table, for files that fit in memory as text."""
    return pd.concat(list(read_chunks(path, columns, separator=separator)))
