"""The known targets of the training compounds, stored with a run.

A prediction for a protein can so be traced to the compounds that are known to act on it, its
ligands.
"""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Int

from moa_jax.compounds.actions import joined_actions
from moa_jax.data.storage.parquet_tables import read_table, write_table
from moa_jax.files import atomic_path
from moa_jax.schemas import Examples, InputError

KNOWN_TARGETS_FILE = "known_targets.parquet"
KNOWN_TARGET_COLUMNS = ("group", "targets", "actions")


def known_target_table(examples: Examples) -> pd.DataFrame:
    """The targets of each compound group that has any.

    Args:
      examples: training examples.

    Returns:
      `KNOWN_TARGET_COLUMNS`, sorted by group: its targets, sorted, and what it does to each; an
      action that two examples of the group contradict is unknown.
    """
    rows_of: dict[str, list[int]] = collections.defaultdict(list)
    for row, group in enumerate(examples.groups):
        rows_of[group].append(row)
    rows = []
    for group, own in sorted(rows_of.items()):
        known = joined_actions(
            [examples.targets[row] for row in own], [examples.actions[row] for row in own]
        )
        if known:
            rows.append((group, tuple(known), tuple(known.values())))
    return pd.DataFrame(rows, columns=list(KNOWN_TARGET_COLUMNS))


def count_ligands(table: pd.DataFrame, symbols: Sequence[str]) -> Int[np.ndarray, " symbol"]:
    """Number of compound groups that are known to act on each protein.

    Args:
      table: see `known_target_table`.
      symbols: gene symbols of the proteins.
    """
    counts = collections.Counter(name for targets in table["targets"] for name in targets)
    return np.array([counts[symbol] for symbol in symbols], int)


def write_known_targets(workdir: pathlib.Path, table: pd.DataFrame) -> None:
    """Writes the table into the folder of a run, whole or not at all."""
    with atomic_path(workdir / KNOWN_TARGETS_FILE) as temporary:
        write_table(temporary, table, KNOWN_TARGET_COLUMNS)


def read_known_targets(workdir: pathlib.Path) -> pd.DataFrame:
    """Reads what `write_known_targets` wrote.

    Raises:
      InputError: the file is missing or damaged.
    """
    table = read_table(workdir / KNOWN_TARGETS_FILE, KNOWN_TARGET_COLUMNS)
    for group, targets, actions in table.itertuples(index=False):
        if len(targets) != len(actions):
            raise InputError(
                f"{workdir / KNOWN_TARGETS_FILE} has {len(targets)} targets and {len(actions)} "
                f"actions of the compound {group}; expected as many."
            )
    return table
