"""Expression matrices as delimited text (CSV or TSV), with genes in rows or in columns.

There may be metadata columns beside the values. They are recognised by their names
(`field_names.is_field_name`), by containing text, or by containing integer gene ids; all cells of
a column are examined.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from moa_jax.lincs.files.number_cells import (
    COMMA,
    are_row_numbers,
    is_missing_value,
    is_number,
    numbers_at_once,
    read_numbers,
)
from moa_jax.lincs.metadata.field_names import is_field_name, is_missing
from moa_jax.lincs.metadata.releases import ALIASES, MATRIX_ID
from moa_jax.schemas import InputError
from moa_jax.text.dialects import open_text_table
from moa_jax.text.tables import TextTable, refuse_repeats

# Candidate names of the same rows or columns, by source -> number of genes that the best names.
CountGenes = Callable[[Mapping[str, Sequence[str]]], int]

# Columns of profile ids, in order of preference; by default the first column of a table.
_PROFILE_NAMES = (*ALIASES["inst_id"][:2], "sig_id", MATRIX_ID)
# A column is numeric if this share of its known cells are numbers (others are then refused).
_MIN_NUMBERS = 0.25
# Gene ids rarely repeat.
_MIN_DISTINCT = 0.9
# At least so many consecutive integers are row numbers; fewer may be values.
_MIN_NUMBERED = 10
# Numeric fields of gene tables; LINCS tables prefix all their fields with `pr_`.
_GENE_FIELDS = frozenset(
    (
        "description",
        "chromosome",
        "chr",
        "start",
        "end",
        "strand",
        "length",
        "gene_length",
        "pos",
        "position",
        # Statistics of differential expression.
        *("p.value", "pvalue", "p_value", "pval", "p_val", "adj.p.val", "padj", "p_adj"),
        *("p_val_adj", "adj_p_val", "adj_pval", "fdr", "qvalue", "q_value", "q.value"),
        *("aveexpr", "basemean", "logcpm", "lfcse"),
    )
)
_GENE_PREFIX = "pr_"
_WHOLE = re.compile(r"[0-9]+(?:\.0*)?")


def read_delimited(
    path: str | os.PathLike[str], count_genes: CountGenes, gene_column: str = ""
) -> tuple[np.ndarray, pd.DataFrame, pd.DataFrame]:
    """Reads a matrix from a table separated by tabs, semicolons or commas (gzipped or not).

    Args:
      path: the file; its first line names the columns.
      count_genes: see `CountGenes`.
      gene_column: a column of gene names; empty if unknown.

    Returns:
      Values as [row, column], NaN where missing; the metadata columns as text, indexed by the
      first column; and a table without columns, indexed by the names of the value columns. Names
      of rows and columns may repeat.

    Raises:
      InputError: the file is missing or empty, a row has another number of fields than the
        header, a metadata column occurs twice, or a value is not a number.
    """
    table = open_text_table(path, row_names=MATRIX_ID)
    if len(table.header) == 1:
        raise InputError(
            f"{path} is not a GCTX, GCT or h5ad file, and its first line has neither tabs nor "
            "commas between columns."
        )
    first = table.header[0]
    if count_genes({first: [first]}) and all(is_number(fields[0]) for _, fields in table.rows()):
        # The first column holds values of a gene: no column names the profiles.
        table = table.numbered(MATRIX_ID)
    metadata, text = _metadata_columns(table, count_genes, gene_column)
    places = sorted(set(range(len(table.header))) - set(metadata))
    columns = [table.header[place] for place in places]

    def rows() -> Iterator[tuple[int, list[str]]]:
        return ((line, [fields[place] for place in places]) for line, fields in table.rows())

    values = read_numbers(rows, columns, len(text[0]), path)
    refuse_repeats([table.header[place] for place in metadata], path)
    row_table = pd.DataFrame(
        {table.header[place]: text[place] for place in metadata[1:]},
        index=pd.Index(text[0], name=table.header[0], dtype=object),
        dtype=object,
    )
    return values.astype(np.float32), row_table, bare_table(columns)


def bare_table(ids: Sequence[str]) -> pd.DataFrame:
    """A table of ids without metadata."""
    return pd.DataFrame(index=pd.Index(list(ids), name=MATRIX_ID, dtype=object))


def with_profile_ids(table: pd.DataFrame) -> pd.DataFrame:
    """Profile metadata indexed by its column of profile ids, if it has one.

    A named index, such as `sig_id`, also becomes a column: its name distinguishes wells from
    signatures.
    """
    name = _naming_column(table)
    own = str(table.index.name or MATRIX_ID)
    if name is None and own.lower() in _PROFILE_NAMES and own != MATRIX_ID:
        table = table.assign(**{own: table.index.to_numpy()})
    if name is None or own.lower() in _PROFILE_NAMES:
        return table.rename_axis(MATRIX_ID)
    ids = pd.Index(table[name], name=MATRIX_ID, dtype=object)
    # Keep the former index as a column, unless it would be mistaken for the ids.
    first = {} if own == MATRIX_ID else {own: table.index.to_numpy()}
    return table.drop(columns=name).assign(**first).set_index(ids)


def with_named_ids(table: pd.DataFrame) -> pd.DataFrame:
    """Profile metadata indexed by its column of ids, if the index only numbers the profiles."""
    if not are_row_numbers(list(map(str, table.index))):
        return table
    name = _naming_column(table)
    if name is None or table[name].duplicated().any() or table[name].map(is_missing).any():
        return table
    return table.set_index(pd.Index(table[name], name=table.index.name, dtype=object))


def _naming_column(table: pd.DataFrame) -> str | None:
    """The column of profile ids, by its name."""
    lower = {str(name).lower(): str(name) for name in reversed(table.columns)}
    return next((lower[name] for name in _PROFILE_NAMES if name in lower), None)


def _metadata_columns(
    table: TextTable, count_genes: CountGenes, gene_column: str
) -> tuple[list[int], dict[int, list[str]]]:
    """Positions of the metadata columns, including the first, and their cells."""
    named = [0] + [
        place
        for place, name in enumerate(table.header[1:], start=1)
        if _is_field(name) or name.lower() == gene_column.lower()
    ]
    others = sorted(set(range(len(table.header))) - set(named))
    kinds = _kinds(table, others)
    metadata = sorted({*named, *(place for place in others if kinds[place].is_text)})
    whole = [place for place in others if kinds[place].is_whole]
    text: dict[int, list[str]] = {place: [] for place in (*metadata, *whole)}
    for _, fields in table.rows():
        for place, column in text.items():
            column.append(fields[place])
    if not text[0]:
        raise InputError(f"{table.path} has a header and no row below it.")
    num_genes = count_genes({str(place): text[place] for place in metadata})
    for place in whole:
        cells = text[place]
        known = [cell for cell in cells if not is_missing_value(cell)]
        is_distinct = len(set(known)) >= _MIN_DISTINCT * len(known)
        num_named = count_genes({table.header[place]: cells}) if is_distinct else 0
        # Gene ids beside other gene names, or row numbers, are not a profile.
        is_index = len(cells) >= _MIN_NUMBERED and are_row_numbers(cells)
        if num_genes and (2 * num_named >= num_genes or is_index):
            metadata.append(place)
    return sorted(metadata), text


def _is_field(name: str) -> bool:
    lower = name.lower()
    is_of_gene = lower in _GENE_FIELDS or lower.startswith(_GENE_PREFIX)
    return is_of_gene or is_field_name(name)


@dataclasses.dataclass
class _Kind:
    """Counts of the kinds of cells in a column."""

    num_known: int = 0
    num_numbers: int = 0
    num_whole: int = 0

    @property
    def is_text(self) -> bool:
        return self.num_numbers < _MIN_NUMBERS * self.num_known

    @property
    def is_whole(self) -> bool:
        return 1 < self.num_known == self.num_whole


def _kinds(table: TextTable, places: list[int]) -> dict[int, _Kind]:
    kinds = {place: _Kind() for place in places}
    # Columns whose first cell is a number are mostly numeric; numpy reads those at once.
    fast: list[int] | None = None
    rest: list[int] = []
    num_fast = 0
    num_whole = np.zeros(0, int)
    for _, fields in table.rows():
        if fast is None:
            fast = [place for place in places if is_number(fields[place])]
            num_whole = np.zeros(len(fast), int)
            of_fast = set(fast)
            rest = [place for place in places if place not in of_fast]
        slow = places
        cells = [fields[place] for place in fast]
        numbers = numbers_at_once(cells)
        if numbers is None:
            numbers = numbers_at_once(cells, COMMA)
        if numbers is not None:
            num_fast += 1
            num_whole += (numbers >= 0) & (numbers == np.floor(numbers))
            slow = rest
        for place in slow:
            _count(kinds[place], fields[place])
    for place, count in zip(fast or (), num_whole, strict=True):
        kinds[place].num_known += num_fast
        kinds[place].num_numbers += num_fast
        kinds[place].num_whole += int(count)
    return kinds


def _count(kind: _Kind, cell: str) -> None:
    if is_missing_value(cell):
        return
    kind.num_known += 1
    if is_number(cell):
        kind.num_numbers += 1
        kind.num_whole += _WHOLE.fullmatch(cell) is not None
