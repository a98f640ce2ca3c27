"""GCT files, versions 1.2 and 1.3: text with one line per gene and one column per profile.

Padding, quotes and commas instead of tabs, as spreadsheets write them, are accepted.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from io import TextIOWrapper

import numpy as np
import pandas as pd
from jaxtyping import Float32

from moa_jax.lincs.files.number_cells import read_numbers
from moa_jax.lincs.metadata.releases import MATRIX_ID
from moa_jax.schemas import InputError
from moa_jax.text.files import open_text
from moa_jax.text.records import cells_of_line

_SEPARATORS = "\t;,"


@dataclasses.dataclass(frozen=True)
class _Header:
    """The lines above the values, and the numbers of genes and profiles."""

    separator: str
    num_genes: int
    gene_fields: tuple[str, ...]
    profile_ids: tuple[str, ...]
    profile_fields: dict[str, tuple[str, ...]]
    num_lines: int

    @property
    def num_leading(self) -> int:
        """Fields of a line before its first value: the gene's id and metadata."""
        return 1 + len(self.gene_fields)


def is_gct(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins like a GCT file.

    Raises:
      InputError: the file is missing or unreadable.
    """
    with open_text(path) as file:
        return file.readline(20).lstrip('" ').startswith("#1.")


def read_whole(
    path: str | os.PathLike[str],
) -> tuple[Float32[np.ndarray, "profile gene"], pd.DataFrame, pd.DataFrame]:
    """Values, and metadata of the profiles and of the genes as strings.

    Returns:
      Values, NaN where missing; the two tables have the ids as index, which may repeat.

    Raises:
      InputError: the file is not a complete GCT file, repeats a field, or a value is not a number.
    """
    with open_text(path) as file:
        header = _read_header(file, path)
    leading = [fields[: header.num_leading] for _, fields in _gene_lines(header, path)]

    def rows() -> Iterator[tuple[int, list[str]]]:
        for line, fields in _gene_lines(header, path):
            yield line, fields[header.num_leading :]

    values = read_numbers(rows, header.profile_ids, header.num_genes, path)
    gene_columns = {
        name: [fields[place] for fields in leading]
        for place, name in enumerate(header.gene_fields, start=1)
    }
    return (
        np.ascontiguousarray(values.T, np.float32),
        _table(header.profile_ids, header.profile_fields),
        _table([fields[0] for fields in leading], gene_columns),
    )


def _read_header(file: TextIOWrapper, path: str | os.PathLike[str]) -> _Header:
    lines = [file.readline() for _ in range(3)]
    separator = next((sign for sign in _SEPARATORS if sign in lines[1]), "\t")
    version = cells_of_line(lines[0], separator)[0]
    if version not in ("#1.2", "#1.3"):
        raise InputError(
            f"{path} starts with {version[:20]!r}; a GCT file starts with #1.2 or #1.3."
        )
    sizes = [size for size in cells_of_line(lines[1], separator) if size]
    if len(sizes) != {"#1.2": 2, "#1.3": 4}[version] or not all(map(str.isdecimal, sizes)):
        raise InputError(f"line 2 of {path} does not give the sizes of a {version} file.")
    num_genes, num_profiles = int(sizes[0]), int(sizes[1])
    num_gene_fields, num_profile_fields = map(int, sizes[2:] or ("1", "0"))
    num_fields = 1 + num_gene_fields + num_profiles
    names = _fitted(cells_of_line(lines[2], separator), num_fields, "line 3", path)
    profile_fields: dict[str, tuple[str, ...]] = {}
    for _ in range(num_profile_fields):
        fields = cells_of_line(file.readline(), separator)
        fields = _fitted(fields, num_fields, f"the profile field {fields[0]!r}", path)
        if fields[0] in profile_fields:
            raise InputError(f"{path} repeats the profile field {fields[0]}.")
        profile_fields[fields[0]] = tuple(fields[1 + num_gene_fields :])
    gene_fields = tuple(names[1 : 1 + num_gene_fields])
    if len(set(gene_fields)) < len(gene_fields):
        raise InputError(f"{path} repeats a gene field in line 3.")
    return _Header(
        separator=separator,
        num_genes=num_genes,
        gene_fields=gene_fields,
        profile_ids=tuple(names[1 + num_gene_fields :]),
        profile_fields=profile_fields,
        num_lines=3 + num_profile_fields,
    )


def _gene_lines(header: _Header, path: str | os.PathLike[str]) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each gene; InputError if their number is not that of the header."""
    num_fields = header.num_leading + len(header.profile_ids)
    with open_text(path) as file:
        for _ in range(header.num_lines):
            file.readline()
        for number in range(header.num_genes):
            fields = cells_of_line(file.readline(), header.separator)
            if not any(fields):
                raise InputError(
                    f"{path} is truncated: it has {number} of the {header.num_genes} genes "
                    "that its second line announces."
                )
            fields = _fitted(fields, num_fields, f"the line of gene {fields[0]}", path)
            yield header.num_lines + number + 1, fields
        if any(line.strip(" \n\t;,") for line in file):
            raise InputError(
                f"{path} has more lines than the {header.num_genes} genes its second line "
                "announces."
            )


def _fitted(fields: list[str], expected: int, what: str, path: str | os.PathLike[str]) -> list[str]:
    """The fields without padding."""
    if len(fields) < expected or any(fields[expected:]):
        raise InputError(
            f"{what} of {path} has {len(fields)} fields instead of {expected}; "
            "the file is truncated or its second line is wrong."
        )
    return fields[:expected]


def _table(ids: Sequence[str], fields: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    index = pd.Index(list(ids), name=MATRIX_ID, dtype=object)
    return pd.DataFrame(dict(fields), index=index, dtype=object)
