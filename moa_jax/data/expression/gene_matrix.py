"""A matrix file of any format and its landmark genes, for `prepare`, `predict` and `explain`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

import numpy as np
import pandas as pd

from moa_jax.data.expression.landmark_columns import LandmarkColumns, LandmarkFinder
from moa_jax.data.expression.option_names import OptionNames
from moa_jax.knowledge.gene_identifiers import GeneIdentifiers
from moa_jax.lincs.files.matrix import ExpressionMatrix, OpenedMatrix, namings, open_matrix
from moa_jax.schemas import InputError

# Profiles whose repeated genes are compared at a time.
_COMPARED_PROFILES = 4096


@dataclasses.dataclass(frozen=True)
class GeneMatrix:
    """An opened file.

    Attributes:
      opened: the file.
      columns: its landmark genes.
    """

    opened: OpenedMatrix
    columns: LandmarkColumns

    @property
    def path(self) -> str | os.PathLike[str]:
        """The file."""
        return self.opened.path

    @property
    def profile_table(self) -> pd.DataFrame:
        """Metadata of the profiles, their ids as index."""
        return self.opened.profile_table

    def read(self, *, profile_ids: Sequence[str]) -> ExpressionMatrix:
        """Reads profiles, in the given order, over the genes of `columns`.

        Returns:
          The matrix; its `gene_ids` are the file's own names.

        Raises:
          InputError: the file is truncated or corrupt, or lacks an id.
        """
        profiles = self.opened.profile_places(profile_ids)
        names = pd.Index(self.columns.file_ids, name="id")
        table = self.profile_table.iloc[profiles]
        return ExpressionMatrix(
            values=self.opened.values(profiles, self.columns.places),
            profile_ids=tuple(table.index),
            gene_ids=tuple(names),
            profile_table=table,
            gene_table=pd.DataFrame(index=names),
        )


def open_gene_matrix(
    path: str | os.PathLike[str],
    landmarks: pd.DataFrame,
    identifiers: GeneIdentifiers,
    gene_ids: str = "",
    options: OptionNames | None = None,
) -> GeneMatrix:
    """Opens a GCTX, GCT or h5ad file, or a table separated by tabs, semicolons or commas.

    Args:
      path: the file; its format is recognised by content, gzipped or not.
      landmarks: `GENE_COLUMNS` of the wanted genes.
      identifiers: names of genes.
      gene_ids: how the file names its genes: `entrez`, `symbol`, or the name of a column; empty
        for automatic.
      options: option names in messages.

    Raises:
      InputError: the file cannot be read, has none of the genes, has one of them twice with
        different values, or contains contradicting gene names.
    """
    finder = LandmarkFinder(landmarks, identifiers, str(path), gene_ids, options)
    opened = open_matrix(path, finder.count, finder.column)
    columns = finder.find(namings(opened.gene_table), namings(opened.profile_table))
    _refuse_differing_repeats(opened, columns)
    return GeneMatrix(opened, columns)


def _refuse_differing_repeats(opened: OpenedMatrix, columns: LandmarkColumns) -> None:
    """Requires that rows of the same gene have the same values, since only one is read."""
    if not columns.repeats:
        return
    first = np.array([rows[0] for rows in columns.repeats.values() for _ in rows[1:]])
    second = np.array([row for rows in columns.repeats.values() for row in rows[1:]])
    genes = [gene for gene, rows in columns.repeats.items() for _ in rows[1:]]
    for start in range(0, len(opened.profile_table), _COMPARED_PROFILES):
        end = min(start + _COMPARED_PROFILES, len(opened.profile_table))
        profiles = np.arange(start, end)
        some, others = opened.values(profiles, first), opened.values(profiles, second)
        differs = ~((some == others) | (np.isnan(some) & np.isnan(others))).all(axis=0)
        if differs.any():
            place = int(np.argmax(differs))
            ids = opened.gene_table.index
            raise InputError(
                f"{opened.path} has the landmark {genes[place]} twice with different values, as "
                f"{ids[first[place]]} (row {first[place] + 1}) and as {ids[second[place]]} "
                f"(row {second[place] + 1}); expected one row per gene."
            )
