"""Row filters: what is kept of a release, and what is dropped for which reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool

from moa_jax.data.preparation.settings import SignatureFilters

# (pert_id, name) -> whether the compound is excluded.
IsExcluded = Callable[[str | None, str | None], bool]


class RowFilter:
    """Rows of a table that are still kept, and how many were dropped for which reason.

    Attributes:
      table: the rows that are kept, index 0..n-1.
      num_found: how many there were.
      dropped: how many were dropped, by reason.
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
        """Counts rows that `table` does not have."""
        if number:
            self.dropped[reason] = self.dropped.get(reason, 0) + number

    def keep_known(
        self, column: str, test: Callable[[pd.Series], Any], reason: str, *, keep_missing: bool
    ) -> None:
        """Keeps rows whose `column` passes `test`; a missing value is a reason of its own."""
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
    """Keeps perturbations of the wanted kinds whose compound is not excluded.

    Args:
      filters: which kinds are wanted.
      is_excluded: whether a compound is excluded.
      row_filter: of a table with `pert_type`, `pert_id` and `compound`.
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
    aside = {pair for pair in set(pairs) if is_excluded(*pair)}
    stays = [pair not in aside for pair in pairs]
    row_filter.keep(stays, "compound is excluded")


def filter_quality(filters: SignatureFilters, row_filter: RowFilter) -> None:
    """Keeps what is good enough.

    Args:
      filters: what is asked for.
      row_filter: of a table with the columns that `filters` ask about.
    """
    smallest = {"tas": filters.min_tas, "cc_q75": filters.min_cc_q75}
    if filters.min_replicates > 1:
        smallest["n_replicates"] = filters.min_replicates
    for column, limit in smallest.items():
        if limit > 0:
            row_filter.keep_known(
                column,
                # Bound now: the loop's name would be read when it is called.
                lambda known, limit=limit: known >= limit,
                f"{column} is below {limit:g}",
                keep_missing=filters.keep_missing,
            )
    if filters.require_hiq:
        filter_mark(filters, row_filter, "is_hiq")
    if filters.require_qc_pass:
        filter_mark(filters, row_filter, "qc_pass")


def filter_mark(filters: SignatureFilters, row_filter: RowFilter, column: str) -> None:
    """Keeps rows whose mark of quality is true; `column` holds nullable booleans."""
    row_filter.keep_known(
        column, lambda known: known, f"{column} is false", keep_missing=filters.keep_missing
    )
