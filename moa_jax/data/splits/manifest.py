"""Uses of a split: rows of its parts, its manifest file, and checks that it fits the data."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Int

from moa_jax.files import read_json, write_json
from moa_jax.schemas import PARTS, UNUSED, Examples, InputError, Split

# Longer lists in messages are truncated.
MAX_NAMED = 5


def split_rows(split: Split, examples: Examples) -> dict[str, Int[np.ndarray, " row"]]:
    """Rows of `examples` in each of `PARTS`, ascending; unused rows are left out.

    Raises:
      InputError: the split has no part for an example.
    """
    part = np.array(parts_of(split, examples.table), dtype=object)
    return {name: np.flatnonzero(part == name) for name in PARTS}


def scored_part(parts: Mapping[str, Examples]) -> str:
    """The part that a model is scored on: the test part, or validation if there is none.

    Raises:
      InputError: neither has an example.
    """
    for name in ("test", "validation"):
        if parts[name].num_examples:
            return name
    raise InputError(
        "the split has no part to score the model on: no test part, and "
        "split.validation_fraction is 0."
    )


def parts_of(split: Split, table: pd.DataFrame) -> list[str]:
    """Part of every row of a table of signatures.

    Raises:
      InputError: the split has no part for a row.
    """
    keys = table[split.unit]
    _refuse(split, _without_part(split, keys))
    return [split.parts[key] for key in keys]


def check_split_fits(split: Split, examples: Examples) -> None:
    """Refuses a split of other examples.

    Args:
      split: the parts.
      examples: all examples of the split; for `phase` both releases, joined.

    Raises:
      InputError: an example has no part, a key of the split is not among the examples, or a key
        means several signatures.
    """
    keys = examples.table[split.unit]
    findings = _without_part(split, keys)
    absent = sorted(set(split.parts) - set(keys))
    if absent:
        findings.append(f"the data lack {name_some(absent)}")
    if split.unit == "sig_id":
        repeated = sorted(set(keys[keys.duplicated()]))
        if repeated:
            findings.append(f"several signatures have the id {name_some(repeated)}")
    _refuse(split, findings)


def name_some(names: Sequence[str], limit: int = MAX_NAMED) -> str:
    """The first names of a list, and how many more there are."""
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


def describe_split(split: Split) -> str:
    """Name of the split in messages."""
    return f"the {split.rule} split (fold {split.fold} of {split.num_folds})"


def _without_part(split: Split, keys: Iterable[str]) -> list[str]:
    missing = sorted({str(key) for key in keys if key not in split.parts})
    return [f"no part for {name_some(missing)}"] if missing else []


def _refuse(split: Split, findings: list[str]) -> None:
    if findings:
        raise InputError(f"{describe_split(split)} does not fit the data: {'; '.join(findings)}.")


def write_split(path: str | os.PathLike[str], split: Split) -> None:
    """Writes a split atomically as a JSON manifest."""
    value = {**dataclasses.asdict(split), "parts": dict(split.parts)}
    write_json(path, {**value, "held_out": list(split.held_out)})


def read_split(path: str | os.PathLike[str]) -> Split:
    """Reads a manifest written by `write_split`.

    Raises:
      InputError: there is no such file, it is not a split's manifest, or it has an unknown part.
    """
    kinds = {
        "rule": str,
        "seed": int,
        "fold": int,
        "num_folds": int,
        "parts": dict,
        "unit": str,
        "held_out": list,
    }
    value = read_json(path)
    found = value if isinstance(value, Mapping) else {}
    if set(found) != set(kinds):
        raise InputError(
            f"{path} is not a split's manifest: it has the fields {sorted(found)}, "
            f"expected {sorted(kinds)}."
        )
    for name, kind in kinds.items():
        if not isinstance(found[name], kind) or isinstance(found[name], bool):
            raise InputError(f"{path} has {name} = {found[name]!r}, expected {kind.__name__}.")
    unknown = sorted({str(part) for part in found["parts"].values()} - {*PARTS, UNUSED})
    if unknown:
        raise InputError(
            f"{path} names the part {unknown[0]}; parts are {', '.join((*PARTS, UNUSED))}."
        )
    try:
        return Split(**{**found, "held_out": tuple(map(str, found["held_out"]))})
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
