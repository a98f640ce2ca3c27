"""Opens the public text files, compressed or not, and refuses damaged ones in one sentence."""

from __future__ import annotations

import contextlib
import csv
import gzip
import os
import zlib
from collections.abc import Iterator, Mapping
from typing import TextIO

import pandas as pd

from moa_jax.schemas import InputError, require_columns

GZIP_MAGIC = b"\x1f\x8b"

# Rows held as text at a time; STRING's human links have 14 million.
CHUNK_ROWS = 1_000_000


@contextlib.contextmanager
def open_text(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Opens a UTF-8 text file, plain or gzip (told by its first bytes, not by its name).

    Raises:
      InputError: the file is absent, unreadable, not UTF-8, or its gzip stream is damaged; also
        when this shows only while the body of the `with` statement reads.
    """
    try:
        with open(path, "rb") as file:
            compressed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        open_as = gzip.open if compressed else open
        with open_as(path, "rt", encoding="utf-8") as text:
            yield text
    except FileNotFoundError:
        raise InputError(f"there is no file {path}.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path} is cut short or damaged: its gzip stream cannot be read to the end ({error})."
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text: byte {error.object[error.start]:#04x} was found."
        ) from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from None


def read_header(path: str | os.PathLike[str], separator: str) -> list[str]:
    """The names in a table's first line, without the leading `#` that STRING and NCBI write."""
    with open_text(path) as text:
        return text.readline().rstrip("\n").removeprefix("#").split(separator)


def read_chunks(
    path: str | os.PathLike[str], columns: Mapping[str, str], *, separator: str
) -> Iterator[pd.DataFrame]:
    """Reads some columns of a table with a header line, a part at a time.

    Args:
      path: text file, plain or gzip.
      columns: the file's name of each wanted column -> our name of it.
      separator: what stands between two fields.

    Yields:
      Tables of strings; the index is the line of the file (the header is line 1). A field that
      its row lacks is the empty string; rows without anything are left out.

    Raises:
      InputError: a column is missing, or the file cannot be read.
    """
    header = read_header(path, separator)
    require_columns(pd.DataFrame(columns=header), tuple(columns), str(path))
    positions = {header.index(name): ours for name, ours in columns.items()}
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
                yield chunk.loc[(chunk != "").any(axis=1), list(columns.values())]
        except pd.errors.ParserError as error:
            raise InputError(f"{path} is not a table: {error}.") from None


def read_columns(
    path: str | os.PathLike[str], columns: Mapping[str, str], *, separator: str
) -> pd.DataFrame:
    """All rows of `read_chunks` in one table, for files that fit in memory as text."""
    return pd.concat(list(read_chunks(path, columns, separator=separator)))
