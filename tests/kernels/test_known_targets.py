"""The known targets of training compounds in a run's folder."""

import dataclasses

import pytest

from moa_jax.data.storage.parquet_tables import write_table
from moa_jax.kernels.known_targets import (
    KNOWN_TARGET_COLUMNS,
    KNOWN_TARGETS_FILE,
    count_ligands,
    known_target_table,
    read_known_targets,
    write_known_targets,
)
from moa_jax.schemas import ACTIVATES, INHIBITS, InputError
from tests.small_sets import examples


def compounds():
    raw = examples(
        [[1], [1], [0], [0], [1]],
        ["B", "B", "A", "A", "C"],
        targets=[("EGFR", "KIT"), ("KIT",), ("KIT",), ("ABL1", "KIT"), ()],
    )
    actions = ((INHIBITS, ""), (ACTIVATES,), (INHIBITS,), ("", ACTIVATES), ())
    return dataclasses.replace(raw, actions=actions)


def test_each_compound_has_the_targets_of_all_its_examples():
    table = known_target_table(compounds())
    assert table["group"].tolist() == ["A", "B"]
    assert table["targets"].tolist() == [("ABL1", "KIT"), ("EGFR", "KIT")]
    # The examples of A contradict each other about KIT.
    assert table["actions"].tolist() == [("", ""), (INHIBITS, ACTIVATES)]
    assert count_ligands(table, ["KIT", "MTOR", "EGFR"]).tolist() == [2, 0, 1]


def test_the_table_survives_its_file(tmp_path):
    table = known_target_table(compounds())
    write_known_targets(tmp_path, table)
    assert read_known_targets(tmp_path).equals(table)


def test_a_damaged_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=KNOWN_TARGETS_FILE):
        read_known_targets(tmp_path)
    table = known_target_table(compounds())
    table.at[1, "actions"] = (INHIBITS,)
    write_table(tmp_path / KNOWN_TARGETS_FILE, table, KNOWN_TARGET_COLUMNS)
    with pytest.raises(InputError, match="2 targets and 1 actions of the compound B"):
        read_known_targets(tmp_path)
