"""Expression matrices as spreadsheets save them: CSV or TSV, genes in rows or in columns.

Beside the values there may be columns of metadata. They are told by their names
(`field_names.is_field_name`), by holding text, or by holding the whole numbers that name genes;
every cell of a column is looked at, not the first few.
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

# How many genes some namings of the same rows or columns name, by the best of them.
CountGenes = Callable[[Mapping[str, Sequence[str]]], int]

# Columns that name a profile, the first that a table has; else its first column does.
_PROFILE_NAMES = (*ALIASES["inst_id"][:2], "sig_id", MATRIX_ID)
# A column whose cells are numbers in this share of what is known holds values: what is no number
# in it is refused. Below, it holds text.
_MIN_NUMBERS = 0.25
# Whole numbers that name genes rarely repeat.
_MIN_DISTINCT = 0.9
# So many whole numbers in order number the rows; fewer may be values.
_MIN_NUMBERED = 10
# Numbers that gene tables hold beside names; LINCS tables put `pr_` before all of their fields.
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
        # What comparisons tell of genes beside the values themselves.
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
      count_genes: how many genes that are looked for some namings name.
      gene_column: a column that names genes, whatever it holds; empty where not known.

    Returns:
      Values as [row, column], NaN where missing; the columns of metadata as text, the first
      column as index; and a table without columns, the names of the columns of values as index.
      Names of rows and columns may repeat.

    Raises:
      InputError: the file is missing or empty, a row has another number of fields than the
        header, a column of metadata is there twice, or a value is not a number.
    """
    table = open_text_table(path, row_names=MATRIX_ID)
    if len(table.header) == 1:
        raise InputError(
            f"{path} is no GCTX, GCT or h5ad file, and its first line has neither tabs nor commas "
            "between columns."
        )
    first = table.header[0]
    if count_genes({first: [first]}) and all(is_number(fields[0]) for _, fields in table.rows()):
        # The first column is a gene's: no column names the profiles.
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
    """A table of ids without any metadata."""
    return pd.DataFrame(index=pd.Index(list(ids), name=MATRIX_ID, dtype=object))


def with_profile_ids(table: pd.DataFrame) -> pd.DataFrame:
    """The metadata of profiles under the column that names them, where one does by its name.

    Of ids that are called so themselves the name stays, as a column: it tells wells from
    signatures.
    """
    name = _naming_column(table)
    own = str(table.index.name or MATRIX_ID)
    if name is None and own.lower() in _PROFILE_NAMES and own != MATRIX_ID:
        table = table.assign(**{own: table.index.to_numpy()})
    if name is None or own.lower() in _PROFILE_NAMES:
        return table.rename_axis(MATRIX_ID)
    ids = pd.Index(table[name], name=MATRIX_ID, dtype=object)
    # What was the first column stays known, unless it would be taken for the ids.
    first = {} if own == MATRIX_ID else {own: table.index.to_numpy()}
    return table.drop(columns=name).assign(**first).set_index(ids)


def with_named_ids(table: pd.DataFrame) -> pd.DataFrame:
    """The metadata of profiles that are numbered under the column that names each, if one does."""
    if not are_row_numbers(list(map(str, table.index))):
        return table
    name = _naming_column(table)
    if name is None or table[name].duplicated().any() or table[name].map(is_missing).any():
        return table
    return table.set_index(pd.Index(table[name], name=table.index.name, dtype=object))


def _naming_column(table: pd.DataFrame) -> str | None:
    """The column that is called the id of the profiles."""
    lower = {str(name).lower(): str(name) for name in reversed(table.columns)}
    return next((lower[name] for name in _PROFILE_NAMES if name in lower), None)


def _metadata_columns(
    table: TextTable, count_genes: CountGenes, gene_column: str
) -> tuple[list[int], dict[int, list[str]]]:
    """Places of the columns that hold no values, the first among them, and their cells."""
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
        # Gene ids beside other names of the genes, or the numbers of the rows: no profile.
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
    """What the cells of a column are, counted."""

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
    # Columns whose first cell is a number mostly hold numbers, which numpy reads in one go.
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
