"""Level 5 from level 3 or 4: z-scores by plate, then collapsed replicates, in chunks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from jaxtyping import Float32

from moa_jax.data.expression.level_and_scale import LINEAR, log2_expression
from moa_jax.data.expression.plate_zscores import zscores_of_plates
from moa_jax.lincs.replicates import collapse_replicates
from moa_jax.progress import track
from moa_jax.schemas import SIGNATURE_COLUMNS

# Values in memory at a time.
_VALUES_IN_MEMORY = 2**24


@dataclasses.dataclass(frozen=True)
class Wells:
    """Wells that are collapsed into signatures.

    Attributes:
      table: output of `harmonise_instinfo`; at level 3 for all wells of the plates.
      read: inst_ids -> their values over `num_genes` genes, row by row.
      num_genes: number of genes.
      level: 3 (expression) or 4 (z-scores).
      scale: scale of the values, one of `level_and_scale.SCALES`.
      zscore_reference: reference wells of level 3, one of `plate_zscores.REFERENCES`.
    """

    table: pd.DataFrame
    read: Callable[[list[str]], Float32[np.ndarray, "profile gene"]]
    num_genes: int
    level: int
    scale: str
    zscore_reference: str

    def signatures(
        self, members: pd.DataFrame
    ) -> tuple[Float32[np.ndarray, "signature gene"], pd.DataFrame, set[str]]:
        """Collapses the replicates of each signature.

        Args:
          members: rows of `table` with their `sig_id`; a well may be in several signatures.

        Returns:
          Signatures sorted by sig_id; the table of `collapse_replicates`; and the inst_ids of
          wells that were left out because a value is not finite.

        Raises:
          InputError: a plate has too few reference wells, or wells cannot be grouped.
        """
        values = [np.empty((0, self.num_genes), np.float32)]
        tables: list[pd.DataFrame] = []
        not_finite: set[str] = set()
        chunks = list(self._chunks(members))
        for chunk, wells in track(chunks, "making signatures") if len(chunks) > 1 else chunks:
            zscores, ids, bad = self._zscores(wells)
            not_finite.update(bad)
            rows = pd.Index(ids).get_indexer(chunk["inst_id"])
            if (rows >= 0).any():
                collapsed, table = collapse_replicates(zscores[rows[rows >= 0]], chunk[rows >= 0])
                values.append(collapsed)
                tables.append(table)
        if not tables:
            return values[0], pd.DataFrame(columns=list(SIGNATURE_COLUMNS)), not_finite
        joined = pd.concat(tables, ignore_index=True)
        order = np.argsort(joined["sig_id"].to_numpy(str), kind="stable")
        return np.concatenate(values)[order], joined.iloc[order].reset_index(drop=True), not_finite

    def _chunks(self, members: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        """Complete signatures, as many as fit in memory, and the wells to read for them.

        Reads whole plates at level 3, single wells at level 4. Signatures are in the order of their
        first wells in the file, so that plates are rarely read twice.
        """
        limit = max(1, _VALUES_IN_MEMORY // self.num_genes)
        unit_of_well = self.table["plate" if self.level == 3 else "inst_id"]
        unit_of = dict(zip(self.table["inst_id"], unit_of_well, strict=True))
        size_of = unit_of_well.value_counts().to_dict()
        unit_of_row = [unit_of[name] for name in members["inst_id"]]
        rows: list[int] = []
        units: set[str] = set()
        num_wells = 0
        groups = members.groupby("sig_id", sort=False).indices
        for own in sorted(groups.values(), key=lambda own: int(own[0])):
            needed = {unit_of_row[row] for row in own}
            num_added = sum(size_of[unit] for unit in needed - units)
            if rows and num_wells + num_added > limit:
                yield members.iloc[rows], self.table[unit_of_well.isin(units)]
                rows, units, num_wells = [], set(), 0
                num_added = sum(size_of[unit] for unit in needed)
            rows.extend(own.tolist())
            units |= needed
            num_wells += num_added
        yield members.iloc[rows], self.table[unit_of_well.isin(units)]

    def _zscores(
        self, wells: pd.DataFrame
    ) -> tuple[Float32[np.ndarray, "profile gene"], list[str], list[str]]:
        """Z-scores of wells, their ids, and the ids of wells left out as not finite."""
        ids = wells["inst_id"].tolist()
        values = self.read(ids)
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            values, wells = values[finite], wells[finite]
        bad = [name for name, whole in zip(ids, finite, strict=True) if not whole]
        if self.scale == LINEAR:
            values = log2_expression(values)
        if self.level == 3:
            values = zscores_of_plates(values, wells, self.zscore_reference)
        return values, wells["inst_id"].tolist(), bad
