"""Splits that others published, read into ours.

leak-proof-cmap (GSK.ai) publishes JSON files with cell lines and MoAs of each part. Whole MoAs
are held out there, so these splits ask whether profiles of an unseen mechanism find each other,
and not for a known label.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from moa_jax.data.identities import (
    COMPOUND_IDENTITIES,
    identity_rows,
    joined_units,
)
from moa_jax.data.leaks import check_no_leaks
from moa_jax.files import read_json
from moa_jax.schemas import UNUSED, Examples, InputError, Split

# Their names of our parts. Each holds one entry per inner fold, the test part one for all.
_PARTS = {"train": "train", "val": "validation", "test": "test"}
_FIELDS = ("cell_lines", "moas")


def read_leak_proof_cmap(
    path: str | os.PathLike[str], examples: Examples, *, inner_fold: int = 0
) -> Split:
    """A published leak-proof-cmap split for these examples.

    A signature belongs to a part when its cell line and all MoAs of its compound do; every
    other one is `unused`: compounds whose MoAs are of two parts, known compounds in new cell
    lines, and what the file does not name. MoAs are compared without regard to case.

    Args:
      path: a file of the project, such as `cmap_split_cellidsplit1_moasplit1.json`.
      examples: what is split; their vocabulary is all that is known of a compound's MoAs.
      inner_fold: which of the file's pairs of training and validation parts.

    Returns:
      A split by `sig_id` with rule `leak_proof_cmap`; `fold` is the inner fold and `held_out`
      the test part's MoAs in the examples' vocabulary.

    Raises:
      InputError: the file is not such a split, has no such inner fold, or breaks its promise
        that cell lines and MoAs do not cross.
    """
    value = read_json(path)
    num_folds = _check_file(path, value)
    if not 0 <= inner_fold < num_folds:
        raise InputError(f"inner_fold is {inner_fold}, expected 0 to {num_folds - 1} for {path}.")
    entries = {
        ours: value[theirs][0 if theirs == "test" else inner_fold]
        for theirs, ours in _PARTS.items()
    }
    moas = {part: {moa.casefold() for moa in entry["moas"]} for part, entry in entries.items()}
    lines = {part: set(entry["cell_lines"]) for part, entry in entries.items()}
    rows = identity_rows(examples)
    compounds = joined_units(rows, COMPOUND_IDENTITIES)
    moas_of: dict[str, set[str]] = {}
    for compound, names in zip(compounds, rows.moas, strict=True):
        moas_of.setdefault(compound, set()).update(name.casefold() for name in names)
    parts = {}
    for sig_id, compound, line in zip(
        examples.table["sig_id"], compounds, examples.table["cell_line"], strict=True
    ):
        fitting = [
            part
            for part in entries
            if line in lines[part] and set() < moas_of[compound] <= moas[part]
        ]
        parts[sig_id] = fitting[0] if fitting else UNUSED
    split = Split(
        rule="leak_proof_cmap",
        seed=0,
        fold=inner_fold,
        num_folds=num_folds,
        parts=parts,
        unit="sig_id",
        held_out=tuple(sorted(moa for moa in examples.moas if moa.casefold() in moas["test"])),
    )
    check_no_leaks(split, examples)
    return split


def _check_file(path: str | os.PathLike[str], value: Any) -> int:
    """Number of inner folds of a file that has the published form."""
    found = value if isinstance(value, Mapping) else {}
    for name in _PARTS:
        entries = found.get(name)
        if not isinstance(entries, list) or not entries:
            raise InputError(
                f"{path} is not a leak-proof-cmap split: {name} is {type(entries).__name__}, "
                "expected a list of cell_lines and moas."
            )
        for row, entry in enumerate(entries):
            for field in _FIELDS:
                names = entry.get(field) if isinstance(entry, Mapping) else None
                if not _is_list_of_names(names):
                    raise InputError(f"{path} has no list of names in {name}[{row}].{field}.")
    if len(found["train"]) != len(found["val"]):
        raise InputError(
            f"{path} has {len(found['train'])} training and {len(found['val'])} validation parts, "
            "expected as many of both."
        )
    return len(found["train"])


def _is_list_of_names(value: Any) -> bool:
    return isinstance(value, Sequence) and all(isinstance(name, str) for name in value)
