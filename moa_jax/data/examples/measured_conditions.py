"""Text summaries of a compound's conditions, and of their contributions to an answer."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from jaxtyping import Float

# Columns of `measured`.
MEASURED_COLUMNS = ("cell_lines", "doses_um", "times_h")
# Column of an amount -> column of its text, for unknown units.
WRITTEN = {"dose_um": "dose_text", "time_h": "time_text"}
# Conditions shown of a longer list.
_NUM_NAMED = 6
_UNITS = {"cell_line": "", "dose_um": " uM", "time_h": " h"}


def measured(table: pd.DataFrame) -> dict[str, str]:
    """Distinct cell lines, doses and times of signatures, each joined by `|`; empty if unknown.

    Amounts of unknown unit follow the numbers, as text.

    Args:
      table: `SIGNATURE_COLUMNS` of one compound's signatures, and columns of `WRITTEN`, if any.
    """
    return {
        "cell_lines": "|".join(sorted(set(map(str, table["cell_line"].dropna())))),
        "doses_um": "|".join([*_numbers(table["dose_um"]), *_written(table, "dose_um")]),
        "times_h": "|".join([*_numbers(table["time_h"]), *_written(table, "time_h")]),
    }


def carried_by(table: pd.DataFrame, shares: Float[np.ndarray, " signature"]) -> str:
    """Contributions of the conditions to an answer, the largest first: `10 uM (0.58), ...`.

    Only fields that differ between the signatures are shown, or all if none does.

    Args:
      table: `SIGNATURE_COLUMNS` of the pooled signatures.
      shares: contribution of each to the answer; sums to 1.
    """
    conditions = pd.DataFrame({name: with_written(table, name) for name in _UNITS})
    differing = [name for name in _UNITS if conditions[name].nunique(dropna=False) > 1]
    shown = differing or list(_UNITS)
    names = [
        " ".join(text for name in shown if (text := _text(name, getattr(row, name))))
        for row in conditions.itertuples(index=False)
    ]
    named = pd.Series(shares).groupby([name or "not given" for name in names], sort=True).sum()
    ordered = named.sort_values(ascending=False, kind="stable")
    parts = [f"{name} ({share:.2f})" for name, share in ordered.head(_NUM_NAMED).items()]
    if len(ordered) > _NUM_NAMED:
        rest = ordered.iloc[_NUM_NAMED:]
        parts.append(f"{len(rest)} more ({rest.sum():.2f})")
    return ", ".join(parts)


def with_written(table: pd.DataFrame, name: str) -> pd.Series:
    """A condition of each signature; an amount of unknown unit as text.

    Args:
      table: `SIGNATURE_COLUMNS`, and columns of `WRITTEN`, if any.
      name: one of its columns.
    """
    written = WRITTEN.get(name)
    values = table[name].astype(object)
    return values if written not in table else values.where(table[name].notna(), table[written])


def _written(table: pd.DataFrame, name: str) -> list[str]:
    texts = with_written(table, name)[table[name].isna()]
    return sorted(set(map(str, texts.dropna())))


def _text(name: str, value: object) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.3g}{_UNITS[name]}" if isinstance(value, float | int) else str(value)


def _numbers(values: Iterable[float]) -> list[str]:
    known = sorted({float(value) for value in values if not pd.isna(value)})
    return list(dict.fromkeys(f"{value:.3g}" for value in known))
