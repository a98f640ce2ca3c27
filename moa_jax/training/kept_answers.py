"""What a run keeps of its validation and test parts, so that it can judge and explain alone.

The answers for validation compounds say how far new answers can be trusted; the test part can be
explained without the data that the run was made from.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from moa_jax.data.contract_tables import read_table, write_table
from moa_jax.data.examples import Examples
from moa_jax.data.labels import label_matrix
from moa_jax.evaluation.pooling import median_by_compound, pool_by_compound, signature_strength
from moa_jax.files import atomic_path
from moa_jax.schemas import SIGNATURE_COLUMNS, InputError

VALIDATION_FILE = "validation_answers.parquet"
HELD_OUT_FILE = "held_out.parquet"

_VALIDATION_COLUMNS = ("view", "compound_group", "moas", "strength", "probs")
_HELD_OUT_COLUMNS = (
    *SIGNATURE_COLUMNS,
    "smiles",
    "compound_group",
    "moas",
    "targets",
    "expression",
)


@dataclasses.dataclass(frozen=True)
class ValidationAnswers:
    """Answers of a model for compounds that it has never seen.

    Attributes:
      groups: compound group of each row, sorted.
      labels: 1 where the compound has the MoA, else 0.
      strength: median strength of its signatures (`pooling.signature_strength`).
      probs: view of the model -> pooled probabilities.
    """

    groups: tuple[str, ...]
    labels: Float[np.ndarray, "compound moa"]
    strength: Float[np.ndarray, " compound"]
    probs: Mapping[str, Float[np.ndarray, "compound moa"]]


def write_validation_answers(
    workdir: pathlib.Path,
    validation: Examples,
    probs: Mapping[str, Float[np.ndarray, "example moa"]],
) -> None:
    """Pools a model's answers for the validation part and writes them into the run's folder.

    Args:
      workdir: folder of the run.
      validation: the validation examples.
      probs: view -> probabilities, of a model that never saw them.
    """
    strength = median_by_compound(signature_strength(validation), validation.groups)
    tables = []
    for view, of_view in probs.items():
        pooled, labels, groups = pool_by_compound(of_view, validation.labels, validation.groups)
        moas = [tuple(validation.moas[moa] for moa in np.flatnonzero(row)) for row in labels]
        columns = {"view": view, "compound_group": groups, "moas": moas, "strength": strength}
        tables.append(pd.DataFrame({**columns, "probs": list(pooled)}))
    with atomic_path(workdir / VALIDATION_FILE) as temporary:
        write_table(temporary, pd.concat(tables, ignore_index=True), _VALIDATION_COLUMNS)


def read_validation_answers(workdir: pathlib.Path, moas: tuple[str, ...]) -> ValidationAnswers:
    """Reads what `write_validation_answers` wrote.

    Args:
      workdir: folder of the run.
      moas: the model's MoAs.

    Raises:
      InputError: the run kept none, the file is damaged, or it is of other MoAs.
    """
    path = workdir / VALIDATION_FILE
    if not path.exists():
        raise InputError(
            f"{workdir} keeps no answers for validation compounds, so nothing says how far it can "
            "be trusted; train it again with split.validation_fraction above 0."
        )
    table = read_table(path, _VALIDATION_COLUMNS)
    if any(len(probs) != len(moas) for probs in table["probs"]):
        raise InputError(f"{path} is not about the {len(moas)} MoAs of this run's model.")
    of_view = {view: rows for view, rows in table.groupby("view", sort=False)}
    first = next(iter(of_view.values()), table)
    return ValidationAnswers(
        groups=tuple(first["compound_group"]),
        labels=label_matrix(list(first["moas"]), moas).astype(np.float64),
        strength=first["strength"].to_numpy(np.float64),
        probs={view: np.array(rows["probs"].tolist()) for view, rows in of_view.items()},
    )


def write_held_out(workdir: pathlib.Path, test: Examples) -> None:
    """Writes the signatures of the test part, with structures and labels."""
    labels = [tuple(test.moas[moa] for moa in np.flatnonzero(row)) for row in test.labels]
    table = test.table.assign(
        smiles=list(test.smiles),
        compound_group=list(test.groups),
        moas=labels,
        targets=list(test.targets),
        expression=list(test.expression),
    )
    with atomic_path(workdir / HELD_OUT_FILE) as temporary:
        write_table(temporary, table[test.has_expression], _HELD_OUT_COLUMNS)


def read_held_out(workdir: pathlib.Path, moas: tuple[str, ...]) -> Examples:
    """Reads what `write_held_out` wrote.

    Args:
      workdir: folder of the run.
      moas: the model's MoAs.

    Raises:
      InputError: the run kept no signatures, or the file is damaged.
    """
    path = workdir / HELD_OUT_FILE
    if not path.exists():
        raise InputError(
            f"{workdir} keeps no signatures that it was tested on; give --signatures instead."
        )
    table = read_table(path, _HELD_OUT_COLUMNS)
    expression = np.array(table["expression"].tolist(), np.float32)
    return Examples(
        expression=expression,
        has_expression=np.ones(len(table), bool),
        gene_mask=np.ones(expression.shape[1], bool),
        table=table[list(SIGNATURE_COLUMNS)],
        smiles=tuple(None if pd.isna(smiles) else smiles for smiles in table["smiles"]),
        groups=tuple(table["compound_group"]),
        targets=tuple(table["targets"]),
        moas=moas,
        labels=label_matrix(list(table["moas"]), moas),
    )
