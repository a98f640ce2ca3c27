"""Expression matrices as spreadsheets save them: CSV or TSV, genes in rows or in columns.

Which axis holds the genes is found by their names. Beside the values there may be columns of
metadata; they are told by their names (`releases.ALIASES`) or by holding text.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float64

from moa_jax.lincs.matrix import ExpressionMatrix
from moa_jax.lincs.releases import ALIASES, MATRIX_ID, is_missing
from moa_jax.lincs.text_files import decode, open_bytes
from moa_jax.schemas import InputError

# How many of some names are genes that are looked for.
CountGenes = Callable[[Sequence[str]], int]

_SEPARATORS = "\t,;"
# Columns that name a profile, the first that a table has; else its first column does.
_PROFILE_NAMES = ("inst_id", "sample_id", "sig_id", MATRIX_ID)
_GENE_NAMES = (*ALIASES["entrez_id"], *ALIASES["symbol"])
_METADATA_NAMES = frozenset(name for names in ALIASES.values() for name in names) | {"Description"}
# Rows that tell whether a column without a known name holds numbers or text.
_PROBED_ROWS = 20


@dataclasses.dataclass(frozen=True)
class _Layout:
    """How a table is laid out.

    Attributes:
      header: name of each column.
      separator: between fields.
      num_rows: rows below the header.
      names: text of the columns that may name rows: the first, and those called like genes or
        profiles.
      metadata: places of the columns that hold no values.
    """

    header: tuple[str, ...]
    separator: str
    num_rows: int
    names: dict[str, list[str]]
    metadata: tuple[int, ...]


def read_delimited(path: str | os.PathLike[str], count_genes: CountGenes) -> ExpressionMatrix:
    """Reads a matrix from a table separated by tabs, commas or semicolons (gzipped or not).

    The first line names the columns. With genes in rows, the first column or one called like
    `gene_id` or `gene_symbol` names them, and every column of numbers is a profile. With genes in
    columns, `inst_id`, `sig_id` or the first column names the profiles, and what is called like
    a field of siginfo (`pert_id`, `cell_iname`, `pert_type`) is one. Missing values are NaN.

    Args:
      path: the file.
      count_genes: how many of some names are genes that are looked for.

    Raises:
      InputError: the file is missing or empty, a row has another number of fields than the
        header, a name is there twice, neither axis has such genes, or a value is not a number.
    """
    layout = _read_layout(path)
    in_rows = max(count_genes(names) for names in layout.names.values())
    in_columns = count_genes([layout.header[place] for place in _value_places(layout)])
    if not in_rows and not in_columns:
        first_column = layout.names[layout.header[0]]
        raise InputError(
            f"{path} has none of the model's genes, neither as columns (they start with "
            f"{', '.join(layout.header[:3])}) nor in its first column (which starts with "
            f"{', '.join(first_column[:3])}); Entrez ids or symbols were expected."
        )
    values, text = _read_cells(path, layout)
    columns = tuple(layout.header[place] for place in _value_places(layout))
    identity = layout.header[0]
    if in_rows <= in_columns:
        identity = next((name for name in _PROFILE_NAMES if name in text), identity)
        profiles, genes = _table(text, identity, "profile", path), _bare(columns)
    else:
        profiles, genes = _bare(columns), _table(text, identity, "gene", path)
        values = values.T
    return ExpressionMatrix(
        values=np.ascontiguousarray(values, np.float32),
        profile_ids=tuple(profiles.index),
        gene_ids=tuple(genes.index),
        profile_table=profiles,
        gene_table=genes,
    )


def _value_places(layout: _Layout) -> list[int]:
    return [place for place in range(len(layout.header)) if place not in layout.metadata]


def _rows(path: str | os.PathLike[str], separator: str) -> Iterator[tuple[int, list[str]]]:
    """Number of the line and its fields, blank lines left out; the first is the header."""
    with open_bytes(path) as file:
        # Quoted fields may go over lines, so the reader gets the whole text.
        lines = csv.reader(io.StringIO(decode(file.read()), newline=""), delimiter=separator)
        try:
            for fields in lines:
                if any(field.strip() for field in fields):
                    yield lines.line_num, [field.strip() for field in fields]
        except csv.Error as error:
            raise InputError(f"line {lines.line_num} of {path} is damaged ({error}).") from None


def _separator(path: str | os.PathLike[str]) -> str:
    with open_bytes(path) as file:
        first = decode(next((line for line in file if line.strip()), b""))
    if not first:
        raise InputError(f"{path} is empty; a table of genes and profiles was expected.")
    found = max(_SEPARATORS, key=first.count)
    if found not in first:
        raise InputError(
            f"{path} is no GCTX, GCT or h5ad file, and its first line has neither tabs nor commas "
            "between columns."
        )
    return found


def _read_layout(path: str | os.PathLike[str]) -> _Layout:
    separator = _separator(path)
    rows = _rows(path, separator)
    header = [name.lstrip("\ufeff") for name in next(rows)[1]]
    probed: list[list[str]] = []
    names: dict[int, list[str]] = {}
    num_rows = 0
    for line, fields in rows:
        if not num_rows:
            # R writes no name above the row names.
            if len(fields) == len(header) + 1:
                header.insert(0, MATRIX_ID)
            header[0] = header[0] or MATRIX_ID
            _check_header(header, path)
            naming = {0} | {place for place, name in enumerate(header) if name in _GENE_NAMES}
            names = {place: [] for place in sorted(naming)}
        if len(fields) != len(header):
            raise InputError(
                f"line {line} of {path} has {len(fields)} fields; the header names "
                f"{len(header)} columns."
            )
        if num_rows < _PROBED_ROWS:
            probed.append(fields)
        for place, column in names.items():
            column.append(fields[place])
        num_rows += 1
    if not num_rows:
        raise InputError(f"{path} has a header and no row below it.")
    metadata = [0] + [
        place
        for place, name in enumerate(header[1:], start=1)
        if name in _METADATA_NAMES or _is_text([fields[place] for fields in probed])
    ]
    return _Layout(
        header=tuple(header),
        separator=separator,
        num_rows=num_rows,
        names={header[place]: column for place, column in names.items()},
        metadata=tuple(metadata),
    )


def _check_header(header: list[str], path: str | os.PathLike[str]) -> None:
    seen: set[str] = set()
    for place, name in enumerate(header):
        if not name:
            raise InputError(f"column {place + 1} of {path} has no name in the first line.")
        if name in seen:
            raise InputError(f"the first line of {path} names the column {name} twice.")
        seen.add(name)


def _is_text(cells: list[str]) -> bool:
    """Whether most of what is known is no number; a column of which nothing is known holds none."""
    known = [cell for cell in cells if not is_missing(cell)]
    return 2 * sum(_number(cell) is None for cell in known) > len(known)


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return np.nan if is_missing(cell) else None


def _read_cells(
    path: str | os.PathLike[str], layout: _Layout
) -> tuple[Float64[np.ndarray, "row column"], dict[str, list[str]]]:
    """Values, and the columns of metadata as text."""
    places = _value_places(layout)
    values = np.empty((layout.num_rows, len(places)))
    text: dict[str, list[str]] = {layout.header[place]: [] for place in layout.metadata}
    rows = _rows(path, layout.separator)
    next(rows)
    for row, (line, fields) in enumerate(rows):
        for place in layout.metadata:
            text[layout.header[place]].append(fields[place])
        cells = [fields[place] for place in places]
        try:
            values[row] = cells
        except ValueError:
            values[row] = [
                _checked(cell, layout.header[place], line, path)
                for cell, place in zip(cells, places, strict=True)
            ]
    return values, text


def _checked(cell: str, column: str, line: int, path: str | os.PathLike[str]) -> float:
    number = _number(cell)
    if number is None:
        raise InputError(
            f"line {line} of {path} has {cell!r} in the column {column}; a number was expected."
        )
    return number


def _bare(ids: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(index=pd.Index(ids, name=MATRIX_ID, dtype=object))


def _table(
    text: dict[str, list[str]], identity: str, kind: str, path: str | os.PathLike[str]
) -> pd.DataFrame:
    """The metadata under the ids that one of them is."""
    index = pd.Index(text[identity], name=MATRIX_ID, dtype=object)
    if index.has_duplicates:
        raise InputError(f"{path} repeats the {kind} id {index[index.duplicated()][0]}.")
    fields = {name: cells for name, cells in text.items() if name not in (identity, MATRIX_ID)}
    return pd.DataFrame(fields, index=index, dtype=object)
