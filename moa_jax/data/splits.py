"""Splits into training, validation and test parts, their manifests, and the search for leaks.

A rule names the unit that must stay whole (for `compound` the compound group) and
`split_by_unit` does the rest: stratified folds of units, one fold as the test part, and a
validation part carved from the others in the same way.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Int
from sklearn.model_selection import StratifiedGroupKFold

from moa_jax.compounds.structures import Structure, standardise
from moa_jax.data.examples import Examples, strata
from moa_jax.files import read_json, write_json
from moa_jax.schemas import PARTS, InputError, Split


def grouped_folds(
    stratum: Int[np.ndarray, " example"],
    units: Sequence[str],
    *,
    num_folds: int,
    seed: int,
) -> Int[np.ndarray, " example"]:
    """Fold of each example: units whole, strata spread evenly (scikit-learn's rule).

    Args:
      stratum: class that is spread over the folds.
      units: what must not be divided.
      num_folds: number of folds.
      seed: seed of the shuffle.

    Raises:
      InputError: there are fewer units, or fewer examples of every stratum, than folds.
    """
    num_units = len(set(units))
    if not 2 <= num_folds <= num_units:
        raise InputError(
            f"{num_units} units cannot make {num_folds} folds; 2 or more, at most one a unit."
        )
    if np.bincount(stratum).max() < num_folds:
        raise InputError(
            f"no class has {num_folds} examples, so {num_folds} stratified folds cannot be made."
        )
    folder = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
    folds = np.full(len(stratum), -1)
    with warnings.catch_warnings():
        # A class with fewer examples than folds is legal here: some folds then lack it, and the
        # metrics are computed over the predictions of all folds together.
        warnings.filterwarnings("ignore", message="The least populated class in y has only")
        parts = folder.split(np.zeros((len(stratum), 1)), stratum, np.asarray(units, dtype=str))
        for fold, (_, rows) in enumerate(parts):
            folds[rows] = fold
    return folds


def compound_folds(
    examples: Examples, *, num_folds: int = 5, seed: int = 0
) -> Int[np.ndarray, " example"]:
    """Fold of each example under the `compound` rule: compound groups whole, MoAs spread.

    Raises:
      InputError: there are too few compounds for so many folds.
    """
    return grouped_folds(strata(examples), examples.groups, num_folds=num_folds, seed=seed)


def compound_split(
    examples: Examples,
    *,
    fold: int,
    num_folds: int = 5,
    seed: int = 0,
    validation_fraction: float = 0.1,
) -> Split:
    """Split whose test part is one fold of `compound_folds`.

    Args:
      examples: what is split.
      fold: which fold is the test part.
      num_folds: number of folds.
      seed: seed of the folds and of the validation part.
      validation_fraction: share of the other folds that becomes the validation part; 0 for none.

    Raises:
      InputError: an argument is out of range or there are too few compounds.
    """
    return split_by_unit(
        "compound",
        examples,
        examples.groups,
        fold=fold,
        num_folds=num_folds,
        seed=seed,
        validation_fraction=validation_fraction,
    )


def split_by_unit(
    rule: str,
    examples: Examples,
    units: Sequence[str],
    *,
    fold: int,
    num_folds: int,
    seed: int,
    validation_fraction: float,
) -> Split:
    """Split of a rule that keeps `units` (one per example, each `pert_id` within one) whole.

    The validation part is the first of `round(1 / validation_fraction)` inner folds.

    Raises:
      InputError: an argument is out of range or there are too few units.
    """
    if not 0 <= fold < num_folds:
        raise InputError(f"fold is {fold}, expected 0 to {num_folds - 1}.")
    if not 0 <= validation_fraction <= 0.5:
        raise InputError(f"validation_fraction is {validation_fraction}, expected 0 to 0.5.")
    stratum = strata(examples)
    folds = grouped_folds(stratum, units, num_folds=num_folds, seed=seed)
    part = np.where(folds == fold, "test", "train").astype(object)
    if validation_fraction > 0:
        rows = np.flatnonzero(folds != fold)
        inner = grouped_folds(
            stratum[rows],
            [units[row] for row in rows],
            num_folds=round(1 / validation_fraction),
            seed=seed,
        )
        part[rows[inner == 0]] = "validation"
    parts = dict(zip(examples.table["pert_id"], part, strict=True))
    return Split(rule=rule, seed=seed, fold=fold, num_folds=num_folds, parts=parts)


def split_rows(split: Split, examples: Examples) -> dict[str, Int[np.ndarray, " row"]]:
    """Rows of `examples` in each part, ascending.

    Raises:
      InputError: the split gives an example's `pert_id` no part.
    """
    pert_ids = examples.table["pert_id"]
    _refuse(split, _without_part(split, pert_ids))
    part = pert_ids.map(dict(split.parts)).to_numpy(dtype=object)
    return {name: np.flatnonzero(part == name) for name in PARTS}


def check_no_crossing(split: Split, examples: Examples) -> None:
    """Refuses a split that puts one compound on two sides.

    One compound means one compound group, or structures with the same first InChIKey block.

    Raises:
      InputError: names every group or block that crosses with its `pert_id`s, and every
        `pert_id` that has no part.
    """
    pert_ids = examples.table["pert_id"]
    identities = {
        "compound group": examples.groups,
        "InChIKey block": [_structure_block(smiles) for smiles in examples.smiles],
    }
    findings = _without_part(split, pert_ids)
    for kind, values in identities.items():
        findings += _crossings(split, kind, zip(values, pert_ids, strict=True))
    _refuse(split, findings)


def _structure_block(smiles: str | None) -> str | None:
    structure = standardise(smiles)
    return structure.inchi_block if isinstance(structure, Structure) else None


def _without_part(split: Split, pert_ids: Iterable[str]) -> list[str]:
    missing = sorted({str(pert_id) for pert_id in pert_ids if pert_id not in split.parts})
    return [f"no part for {', '.join(missing)}"] if missing else []


def _crossings(split: Split, kind: str, pairs: Iterable[tuple[str | None, str]]) -> list[str]:
    """One line per value of an identity that occurs in more than one part."""
    members = collections.defaultdict(set)
    for value, pert_id in pairs:
        if value is not None and pert_id in split.parts:
            members[value].add(pert_id)
    findings = []
    for value in sorted(members):
        pert_ids = sorted(members[value])
        if len({split.parts[pert_id] for pert_id in pert_ids}) > 1:
            where = ", ".join(f"{pert_id} in {split.parts[pert_id]}" for pert_id in pert_ids)
            findings.append(f"{kind} {value} crosses ({where})")
    return findings


def _refuse(split: Split, findings: list[str]) -> None:
    if findings:
        raise InputError(
            f"the {split.rule} split (fold {split.fold} of {split.num_folds}) does not fit the "
            f"data: {'; '.join(findings)}."
        )


def write_split(path: str | os.PathLike[str], split: Split) -> None:
    """Writes a split as a JSON manifest, whole or not at all."""
    write_json(path, {**dataclasses.asdict(split), "parts": dict(split.parts)})


def read_split(path: str | os.PathLike[str]) -> Split:
    """Reads a manifest that `write_split` wrote.

    Raises:
      InputError: there is no such file, it is not a split's manifest, or it names a part that
        does not exist.
    """
    kinds = {"rule": str, "seed": int, "fold": int, "num_folds": int, "parts": dict}
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
    unknown = sorted({str(part) for part in found["parts"].values()} - set(PARTS))
    if unknown:
        raise InputError(f"{path} names the part {unknown[0]}; parts are {', '.join(PARTS)}.")
    return Split(**found)
