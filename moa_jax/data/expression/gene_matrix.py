"""A matrix of any format with the landmark genes found in it: what `prepare` and `predict` open."""

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
        """Some profiles, in the order asked for, over the genes of `columns`.

        Returns:
          The values; its `gene_ids` are the file's own names.

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
      path: the file; its content tells the format, gzipped or not.
      landmarks: `GENE_COLUMNS` of the genes that are looked for.
      identifiers: names of genes.
      gene_ids: how the file names its genes: `entrez`, `symbol`, or the name of a column; empty
        to find out.
      options: what to call the option that decides.

    Raises:
      InputError: the file cannot be read, has none of the genes, has one of them twice with
        different values, or names genes in ways that disagree.
    """
    finder = LandmarkFinder(landmarks, identifiers, str(path), gene_ids, options)
    opened = open_matrix(path, finder.count, finder.column)
    columns = finder.find(namings(opened.gene_table), namings(opened.profile_table))
    _refuse_differing_repeats(opened, columns)
    return GeneMatrix(opened, columns)


def _refuse_differing_repeats(opened: OpenedMatrix, columns: LandmarkColumns) -> None:
    """Rows of one gene must hold the same values; then it does not matter which is read."""
    if not columns.repeats:
        return
    first = np.array([rows[0] for rows in columns.repeats.values() for _ in rows[1:]])
    further = np.array([row for rows in columns.repeats.values() for row in rows[1:]])
    genes = [gene for gene, rows in columns.repeats.items() for _ in rows[1:]]
    for start in range(0, len(opened.profile_table), _COMPARED_PROFILES):
        end = min(start + _COMPARED_PROFILES, len(opened.profile_table))
        profiles = np.arange(start, end)
        some, others = opened.values(profiles, first), opened.values(profiles, further)
        differs = ~((some == others) | (np.isnan(some) & np.isnan(others))).all(axis=0)
        if differs.any():
            place = int(np.argmax(differs))
            ids = opened.gene_table.index
            raise InputError(
                f"{opened.path} has the landmark {genes[place]} twice with different values, as "
                f"{ids[first[place]]} (row {first[place] + 1}) and as {ids[further[place]]} "
                f"(row {further[place] + 1}); expected one row per gene."
            )
