"""The error for unusable input, and the check for missing columns."""

from __future__ import annotations

import pandas as pd


class InputError(ValueError):
    """Input that cannot be used; the message is one sentence that names the culprit.

    The programs print it without a traceback and exit with status 2.
    """


def require_columns(table: pd.DataFrame, columns: tuple[str, ...], source: str) -> None:
    """Raises InputError, naming `source` and the missing columns, if `table` lacks any."""
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise InputError(
            f"{source} lacks the column{'s' if len(missing) > 1 else ''} "
            f"{', '.join(missing)}; it has {', '.join(map(str, table.columns))}."
        )
