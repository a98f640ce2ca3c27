"""Out-of-fold answers and test signatures in a run's folder, so that it can be used alone.

New predictions are calibrated on the answers; the signatures of the test part can be explained
without the prepared data.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from moa_jax.data.examples.labels import label_matrix
from moa_jax.data.examples.pooling import median_by_compound, pool_by_compound, signature_strength
from moa_jax.data.storage.parquet_tables import read_table, write_table
from moa_jax.files import atomic_path
from moa_jax.schemas import SIGNATURE_COLUMNS, Examples, InputError
from moa_jax.training.fusion_fit import OutOfFoldAnswers

CALIBRATION_FILE = "calibration_answers.parquet"
HELD_OUT_FILE = "held_out.parquet"

_CALIBRATION_COLUMNS = ("view", "compound_group", "moas", "is_learnable", "strength", "probs")
_HELD_OUT_COLUMNS = (
    *SIGNATURE_COLUMNS,
    "smiles",
    "compound_group",
    "moas",
    "other_moas",
    "targets",
    "expression",
)


@dataclasses.dataclass(frozen=True)
class CalibrationAnswers:
    """Out-of-fold answers of a model in one view, pooled by compound.

    Attributes:
      groups: compound group of each row, sorted.
      labels: 1 where the compound has the MoA, else 0; all zeros if its mechanisms are outside the
        vocabulary.
      is_learnable: whether another training compound shares one of its mechanisms.
      strength: median strength of its signatures (`pooling.signature_strength`).
      probs: pooled probabilities.
    """

    groups: tuple[str, ...]
    labels: Float[np.ndarray, "compound moa"]
    is_learnable: Bool[np.ndarray, " compound"]
    strength: Float[np.ndarray, " compound"]
    probs: Float[np.ndarray, "compound moa"]


def write_calibration_store(
    workdir: pathlib.Path, out_of_fold: Mapping[str, OutOfFoldAnswers]
) -> None:
    """Pools out-of-fold answers by compound, view by view, and writes them into a run's folder."""
    tables = []
    for view, answers in out_of_fold.items():
        examples = answers.examples
        pooled, labels, groups = pool_by_compound(answers.probs, examples.labels, examples.groups)
        learnable = pool_by_compound(answers.probs, answers.learnable, examples.groups)[1]
        columns = {
            "view": view,
            "compound_group": groups,
            "moas": [tuple(examples.moas[moa] for moa in np.flatnonzero(row)) for row in labels],
            "is_learnable": learnable.any(axis=1),
            "strength": median_by_compound(signature_strength(examples), examples.groups),
            "probs": list(pooled.astype(np.float32)),
        }
        tables.append(pd.DataFrame(columns))
    with atomic_path(workdir / CALIBRATION_FILE) as temporary:
        write_table(temporary, pd.concat(tables, ignore_index=True), _CALIBRATION_COLUMNS)


def read_calibration_store(
    workdir: pathlib.Path, moas: tuple[str, ...]
) -> dict[str, CalibrationAnswers]:
    """Reads the store of a run with these MoAs, view by view.

    Raises:
      InputError: the run has none, the file is damaged, or it has other MoAs.
    """
    path = workdir / CALIBRATION_FILE
    if not path.exists():
        raise InputError(
            f"{workdir} has no out-of-fold answers, so its confidence cannot be calibrated; train "
            "it again with split.validation_fraction above 0."
        )
    table = read_table(path, _CALIBRATION_COLUMNS)
    if any(len(probs) != len(moas) for probs in table["probs"]):
        raise InputError(f"{path} is not about the {len(moas)} MoAs of this run's model.")
    return {
        view: CalibrationAnswers(
            groups=tuple(rows["compound_group"]),
            labels=label_matrix(list(rows["moas"]), moas).astype(np.float64),
            is_learnable=rows["is_learnable"].to_numpy(bool),
            strength=rows["strength"].to_numpy(np.float64),
            probs=np.array(rows["probs"].tolist(), np.float64).reshape(len(rows), len(moas)),
        )
        for view, rows in table.groupby("view", sort=False)
    }


def write_held_out(workdir: pathlib.Path, test: Examples) -> None:
    """Writes the signatures of the test part, with structures and labels."""
    labels = [tuple(test.moas[moa] for moa in np.flatnonzero(row)) for row in test.labels]
    table = test.table.assign(
        smiles=list(test.smiles),
        compound_group=list(test.groups),
        moas=labels,
        other_moas=list(test.other_moas or ((),) * test.num_examples),
        targets=list(test.targets),
        expression=list(test.expression),
    )
    with atomic_path(workdir / HELD_OUT_FILE) as temporary:
        write_table(temporary, table[test.has_expression], _HELD_OUT_COLUMNS)


def read_held_out(workdir: pathlib.Path, moas: tuple[str, ...]) -> Examples:
    """Reads the test signatures of a run with these MoAs.

    Raises:
      InputError: the run has none, or the file is damaged.
    """
    path = workdir / HELD_OUT_FILE
    if not path.exists():
        raise InputError(f"{workdir} has no signatures of a test part; use --signatures instead.")
    table = read_table(path, _HELD_OUT_COLUMNS)
    expression = np.array(table["expression"].tolist(), np.float32)
    return Examples.of_signatures(
        expression,
        table[list(SIGNATURE_COLUMNS)],
        groups=table["compound_group"],
        moas=moas,
        smiles=table["smiles"],
        targets=table["targets"],
        labels=label_matrix(list(table["moas"]), moas),
        other_moas=tuple(table["other_moas"]),
    )
