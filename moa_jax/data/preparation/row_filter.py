"""Row filters, which count what is dropped, by reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from moa_jax.compounds.assemble import EXCLUDED_REASON
from moa_jax.data.preparation.settings import SignatureFilters

# (pert_id, name) -> whether the compound is excluded.
IsExcluded = Callable[[str | None, str | None], bool]


class RowFilter:
    """The rows of a table that are kept, and the number dropped by reason.

    Attributes:
      table: the kept rows, index 0..n-1.
      num_found: number of rows before filtering.
      dropped: number of dropped rows by reason.
    """

    def __init__(self, table: pd.DataFrame) -> None:
        self.table = table.reset_index(drop=True)
        self.num_found = len(table)
        self.dropped: dict[str, int] = {}

    def keep(self, kept: Sequence[bool] | Bool[np.ndarray, " row"], reason: str) -> None:
        """Keeps the rows where `kept`; the others are dropped for `reason`."""
        kept = np.asarray(kept, dtype=bool)
        self.count(int((~kept).sum()), reason)
        self.table = self.table[kept].reset_index(drop=True)

    def count(self, number: int, reason: str) -> None:
        """Counts dropped rows that are not in `table`."""
        if number:
            self.dropped[reason] = self.dropped.get(reason, 0) + number

    def keep_known(
        self, column: str, test: Callable[[pd.Series], Any], reason: str, *, keep_missing: bool
    ) -> None:
        """Keeps rows whose `column` passes `test`; missing values are a separate reason."""
        known = self.table[column].notna().to_numpy(bool)
        passes = np.ones(len(self.table), dtype=bool)
        passes[known] = np.asarray(test(self.table[column][known]), dtype=bool)
        self.keep(passes, reason)
        if not keep_missing:
            self.keep(self.table[column].notna().to_numpy(bool), f"{column} is missing")

    def report(self) -> dict[str, Any]:
        """Counts as JSON values."""
        dropped = dict(sorted(self.dropped.items()))
        return {"found": self.num_found, "kept": len(self.table), "dropped": dropped}


def filter_perturbations(
    filters: SignatureFilters, is_excluded: IsExcluded, row_filter: RowFilter
) -> None:
    """Keeps perturbations of the wanted types whose compound is not excluded.

    Args:
      filters: has the wanted types.
      is_excluded: whether a compound is excluded.
      row_filter: filter of a table with `pert_type`, `pert_id` and `compound`.
    """
    kinds = row_filter.table["pert_type"].dropna()
    for kind in sorted(set(kinds) - set(filters.pert_types)):
        row_filter.keep(
            (row_filter.table["pert_type"] != kind).to_numpy(bool), f"pert_type is {kind}"
        )
    if not filters.keep_missing:
        row_filter.keep(
            row_filter.table["pert_type"].notna().to_numpy(bool), "pert_type is missing"
        )
    pairs = [
        tuple(text if isinstance(text, str) else None for text in pair)
        for pair in zip(row_filter.table["pert_id"], row_filter.table["compound"], strict=True)
    ]
    excluded = {pair for pair in set(pairs) if is_excluded(*pair)}
    row_filter.keep([pair not in excluded for pair in pairs], EXCLUDED_REASON)


def filter_quality(filters: SignatureFilters, row_filter: RowFilter) -> None:
    """Keeps signatures of sufficient quality.

    Args:
      filters: thresholds and required marks.
      row_filter: filter of a table with the columns that `filters` need.
    """
    smallest = {"tas": filters.min_tas, "cc_q75": filters.min_cc_q75}
    if filters.min_replicates > 1:
        smallest["n_replicates"] = filters.min_replicates
    for column, limit in smallest.items():
        if limit > 0:
            row_filter.keep_known(
                column,
                # A default argument, because closures would use the last value of the loop.
                lambda known, limit=limit: known >= limit,
                f"{column} is below {limit:g}",
                keep_missing=filters.keep_missing,
            )
    if filters.require_hiq:
        filter_mark(filters, row_filter, "is_hiq")
    if filters.require_qc_pass:
        filter_mark(filters, row_filter, "qc_pass")


def filter_mark(filters: SignatureFilters, row_filter: RowFilter, column: str) -> None:
    """Keeps rows whose quality mark is true; `column` has nullable booleans."""
    row_filter.keep_known(
        column, lambda known: known, f"{column} is false", keep_missing=filters.keep_missing
    )
