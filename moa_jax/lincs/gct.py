"""GCT files, versions 1.2 and 1.3: text with one line per gene and one column per profile."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from io import BufferedIOBase

import numpy as np
import pandas as pd
from jaxtyping import Float32, Int

from moa_jax.lincs.releases import MATRIX_ID, is_missing
from moa_jax.lincs.text_files import decode, open_bytes
from moa_jax.schemas import InputError


@dataclasses.dataclass(frozen=True)
class _Header:
    """What stands above the values, and how many of them follow."""

    num_genes: int
    gene_fields: tuple[str, ...]
    profile_ids: tuple[str, ...]
    profile_fields: dict[str, tuple[str, ...]]

    @property
    def num_leading(self) -> int:
        """Fields of a line before its first value: the gene's id and metadata."""
        return 1 + len(self.gene_fields)


def read_tables(path: str | os.PathLike[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Metadata of the profiles and of the genes as strings, the ids as index.

    Raises:
      InputError: the file is no whole GCT file, or repeats an id or a field name.
    """
    with open_bytes(path) as file:
        header = _read_header(file, path)
        leading = [fields[: header.num_leading] for fields in _gene_lines(file, header, path)]
    gene_ids = tuple(fields[0] for fields in leading)
    gene_columns = {
        name: tuple(fields[1 + index] for fields in leading)
        for index, name in enumerate(header.gene_fields)
    }
    return (
        _table(header.profile_ids, header.profile_fields, "profile", path),
        _table(gene_ids, gene_columns, "gene", path),
    )


def read_values(
    path: str | os.PathLike[str],
    profiles: Int[np.ndarray, " profile"],
    genes: Int[np.ndarray, " gene"],
) -> Float32[np.ndarray, "profile gene"]:
    """The columns `profiles` and lines `genes` of the file, as [profile, gene].

    Raises:
      InputError: the file is no whole GCT file, or a value is not a number.
    """
    values = np.empty((len(profiles), len(genes)), dtype=np.float32)
    column_of = {int(line): column for column, line in enumerate(genes)}
    with open_bytes(path) as file:
        header = _read_header(file, path)
        for line, fields in enumerate(_gene_lines(file, header, path)):
            if line in column_of:
                wanted = [fields[header.num_leading + profile] for profile in profiles]
                values[:, column_of[line]] = _numbers(wanted, fields[0], path)
    return values


def _read_header(file: BufferedIOBase, path: str | os.PathLike[str]) -> _Header:
    version = _next_fields(file)[0].strip()
    if version not in ("#1.2", "#1.3"):
        raise InputError(
            f"{path} starts with {version[:20]!r}; a GCT file starts with #1.2 or #1.3."
        )
    sizes = [size for size in _next_fields(file) if size.strip()]
    if len(sizes) != {"#1.2": 2, "#1.3": 4}[version] or not all(map(str.isdecimal, sizes)):
        raise InputError(f"line 2 of {path} does not give the sizes of a {version} file.")
    num_genes, num_profiles = int(sizes[0]), int(sizes[1])
    num_gene_fields, num_profile_fields = map(int, sizes[2:] or ("1", "0"))
    names = _next_fields(file)
    _check_length(names, 1 + num_gene_fields + num_profiles, "line 3", path)
    profile_fields: dict[str, tuple[str, ...]] = {}
    for _ in range(num_profile_fields):
        fields = _next_fields(file)
        _check_length(fields, len(names), f"the profile field {fields[0]!r}", path)
        if fields[0] in profile_fields:
            raise InputError(f"{path} repeats the profile field {fields[0]}.")
        profile_fields[fields[0]] = tuple(fields[1 + num_gene_fields :])
    gene_fields = tuple(names[1 : 1 + num_gene_fields])
    if len(set(gene_fields)) < len(gene_fields):
        raise InputError(f"{path} repeats a gene field in line 3.")
    return _Header(num_genes, gene_fields, tuple(names[1 + num_gene_fields :]), profile_fields)


def _gene_lines(
    file: BufferedIOBase, header: _Header, path: str | os.PathLike[str]
) -> Iterator[list[str]]:
    """The fields of each gene's line; raises InputError where the file and its sizes differ."""
    num_fields = header.num_leading + len(header.profile_ids)
    for line in range(header.num_genes):
        fields = _next_fields(file)
        if fields == [""]:
            raise InputError(
                f"{path} is truncated: it has {line} of the {header.num_genes} genes "
                "that its second line announces."
            )
        _check_length(fields, num_fields, f"the line of gene {fields[0]}", path)
        yield fields
    if any(line.strip() for line in file):
        raise InputError(
            f"{path} has more lines than the {header.num_genes} genes its second line announces."
        )


def _next_fields(file: BufferedIOBase) -> list[str]:
    return decode(file.readline()).rstrip("\r\n").split("\t")


def _check_length(
    fields: list[str], expected: int, what: str, path: str | os.PathLike[str]
) -> None:
    if len(fields) != expected:
        raise InputError(
            f"{what} of {path} has {len(fields)} fields instead of {expected}; "
            "the file is truncated or its second line is wrong."
        )


def _numbers(texts: list[str], gene: str, path: str | os.PathLike[str]) -> np.ndarray:
    try:
        return np.array(texts, dtype=np.float64)
    except ValueError:
        return np.array([_number(text, gene, path) for text in texts])


def _number(text: str, gene: str, path: str | os.PathLike[str]) -> float:
    try:
        return float(text)
    except ValueError:
        if is_missing(text):
            return np.nan
    raise InputError(f"{path} has {text!r} as a value of gene {gene}; a number was expected.")


def _table(
    ids: tuple[str, ...],
    columns: dict[str, tuple[str, ...]],
    kind: str,
    path: str | os.PathLike[str],
) -> pd.DataFrame:
    index = pd.Index(ids, name=MATRIX_ID, dtype=object)
    if index.has_duplicates:
        raise InputError(f"{path} repeats the {kind} id {index[index.duplicated()][0]}.")
    # Some files give the ids a second time as metadata.
    if columns.get(MATRIX_ID) == ids:
        columns = {name: values for name, values in columns.items() if name != MATRIX_ID}
    if MATRIX_ID in columns:
        raise InputError(f"{path} has a {kind} field called {MATRIX_ID} that differs from the ids.")
    return pd.DataFrame(columns, index=index, dtype=object)
