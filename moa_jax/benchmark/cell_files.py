"""The file of a finished cell: an archive of arrays, read without pickle."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from moa_jax.files import atomic_path
from moa_jax.schemas import InputError

_PROBS = "probs/"


@dataclasses.dataclass(frozen=True)
class Answers:
    """The predictions of one trained model.

    Attributes:
      test_ids: `sig_id` of each test example.
      probs: name of the input perturbation -> probabilities.
      validation_ids: `sig_id` of each validation example.
      validation_probs: probabilities by a model that was not trained on the validation examples.
      report: how the settings were chosen.
      fit_s: training time in seconds.
    """

    test_ids: tuple[str, ...]
    probs: Mapping[str, Float[np.ndarray, "test moa"]]
    validation_ids: tuple[str, ...]
    validation_probs: Float[np.ndarray, "validation moa"]
    report: Mapping[str, Any]
    fit_s: float


def write_answers(path: pathlib.Path, answers: Answers) -> None:
    """Writes a cell's file atomically; probabilities in single precision."""
    about = json.dumps({"report": dict(answers.report), "fit_s": answers.fit_s}, allow_nan=True)
    arrays = {
        "test_ids": np.array(answers.test_ids, dtype=np.str_),
        "validation_ids": np.array(answers.validation_ids, dtype=np.str_),
        "validation_probs": answers.validation_probs.astype(np.float32),
        "about": np.array(about),
        **{f"{_PROBS}{name}": probs.astype(np.float32) for name, probs in answers.probs.items()},
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def read_answers(path: pathlib.Path) -> Answers:
    """Reads a cell's file.

    Raises:
      InputError: the file was not written by `write_answers`.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            return Answers(
                test_ids=tuple(arrays["test_ids"].tolist()),
                probs={
                    name.removeprefix(_PROBS): arrays[name].astype(np.float64)
                    for name in arrays.files
                    if name.startswith(_PROBS)
                },
                validation_ids=tuple(arrays["validation_ids"].tolist()),
                validation_probs=arrays["validation_probs"].astype(np.float64),
                report=about["report"],
                fit_s=about["fit_s"],
            )
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not the file of a benchmark cell: {error}.") from error


def perturbations_in(path: pathlib.Path) -> frozenset[str]:
    """Names of the input perturbations in a cell's file; none if there is no file."""
    return frozenset(read_answers(path).probs) if path.exists() else frozenset()
