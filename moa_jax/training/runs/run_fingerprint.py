"""Checks that a folder holds the same run, so that it can be resumed."""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from moa_jax.schemas import Examples, InputError


def refuse_other_config(
    stored: dict[str, Any], current: dict[str, Any], workdir: pathlib.Path
) -> None:
    """Raises InputError naming the first setting in which a folder's run differs."""
    flat_old, flat_new = dict(_flat(stored)), dict(_flat(current))
    for key in sorted(flat_old.keys() | flat_new.keys()):
        if flat_old.get(key) != flat_new.get(key):
            raise InputError(
                f"{workdir} holds a run with {key}={flat_old.get(key)}, not "
                f"{flat_new.get(key)}; choose another --workdir."
            )


def refuse_other_run(
    stored: dict[str, Any], current: dict[str, Any], workdir: pathlib.Path
) -> None:
    """Raises InputError if a folder's run has another configuration or other examples.

    Args:
      stored: `predictor.describe_run` of the folder's run.
      current: that of the new run.
      workdir: the folder.
    """
    refuse_other_config(stored["config"], current["config"], workdir)
    if stored["examples"] != current["examples"]:
        raise InputError(f"{workdir} holds a run on other examples; choose another --workdir.")


def digest(examples: Examples) -> str:
    """SHA-256 of the examples' signature ids, targets, labels and expression."""
    sha256 = hashlib.sha256("\n".join(map(str, examples.table["sig_id"])).encode())
    sha256.update(repr(examples.targets).encode())
    sha256.update(repr(examples.actions).encode())
    for array in (examples.labels, examples.expression):
        sha256.update(np.ascontiguousarray(array).tobytes())
    return sha256.hexdigest()


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", list(value) if isinstance(value, tuple) else value
