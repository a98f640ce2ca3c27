"""A user's matrix in any of the formats that are read, opened once and asked for parts."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

import pandas as pd

from moa_jax.knowledge.gene_identifiers import GeneIdentifiers
from moa_jax.lincs.delimited import read_delimited
from moa_jax.lincs.matrix import ExpressionMatrix, is_matrix_file, read_matrix


@dataclasses.dataclass(frozen=True)
class NewMatrix:
    """An opened file.

    Attributes:
      path: the file.
      profile_table: metadata of the profiles, their ids as index.
      gene_table: the same for the genes.
      whole: the matrix, where the format has to be read at once.
    """

    path: pathlib.Path
    profile_table: pd.DataFrame
    gene_table: pd.DataFrame
    whole: ExpressionMatrix | None

    def read(self, *, profile_ids: Sequence[str], gene_ids: Sequence[str]) -> ExpressionMatrix:
        """Some profiles over some genes, in the order asked for.

        Raises:
          InputError: the file is truncated or corrupt, or lacks an id.
        """
        if self.whole is not None:
            return self.whole.take(self.path, profile_ids=profile_ids, gene_ids=gene_ids)
        return read_matrix(self.path, profile_ids=profile_ids, gene_ids=gene_ids)


def open_new_matrix(path: pathlib.Path, identifiers: GeneIdentifiers) -> NewMatrix:
    """Opens a GCTX, GCT or h5ad file, or a table separated by tabs or commas.

    Args:
      path: the file; its content tells the format.
      identifiers: names of the genes that are looked for: they tell which axis of a table is
        which.

    Raises:
      InputError: the file cannot be read, or a table has none of the genes.
    """
    if is_matrix_file(path):
        # No gene, then no profile is asked for, so no value is read.
        profile_table = read_matrix(path, gene_ids=()).profile_table
        gene_table = read_matrix(path, profile_ids=()).gene_table
        return NewMatrix(path, profile_table, gene_table, None)

    def count_genes(names: Sequence[str]) -> int:
        return len(set(identifiers.resolve(names)) - {None})

    whole = read_delimited(path, count_genes)
    return NewMatrix(path, whole.profile_table, whole.gene_table, whole)
