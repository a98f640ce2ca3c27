"""Finds leaks: values of identities, such as a compound group or plate, that cross parts.

A value crosses if it occurs in two parts. Crossings that the split rule forbids are an error that
lists the rows; others are counted, for reports. Structure-only compounds that are trained on are
training compounds.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from moa_jax.data.splits.identities import (
    COMPOUND_IDENTITIES,
    IDENTITIES,
    IdentityRows,
    Values,
    identity_rows,
    values_of,
)
from moa_jax.data.splits.manifest import (
    MAX_NAMED,
    check_split_fits,
    describe_split,
    name_some,
    parts_of,
)
from moa_jax.schemas import PARTS, UNUSED, Examples, InputError, Split

# MoAs of `unseen_moa` that must not be in training; other MoAs are in all parts.
HELD_OUT_MOA = "held-out MoA"
_NEW_COMPOUNDS = (*COMPOUND_IDENTITIES, "replicate")
# Rule -> identities that no two parts may share.
DISJOINT_IDENTITIES: dict[str, tuple[str, ...]] = {
    "random_signature": (),
    "compound": _NEW_COMPOUNDS,
    "scaffold": (*_NEW_COMPOUNDS, "scaffold"),
    "cell_line": (*_NEW_COMPOUNDS, "cell line"),
    "cell_line_same_compounds": ("cell line", "replicate"),
    "dose": (*_NEW_COMPOUNDS, "dose"),
    "time": (*_NEW_COMPOUNDS, "time"),
    "plate": (*_NEW_COMPOUNDS, "plate"),
    "unseen_moa": (*_NEW_COMPOUNDS, HELD_OUT_MOA),
    "everything": _NEW_COMPOUNDS,
    "phase": _NEW_COMPOUNDS,
}
# Identities that are held out in the test part but not in the validation part.
_TEST_ALONE = {"dose": ("dose",), "time": ("time",)}
# Rows listed per part and crossing value.
_MAX_ROWS = 3


def check_no_leaks(split: Split, examples: Examples) -> dict[str, int]:
    """Refuses a split that does not fit the data or breaks its rule.

    Args:
      split: the parts.
      examples: all examples of the split; for `phase` both releases, joined.

    Returns:
      Allowed identities that cross, except MoAs, with the number of crossing values.

    Raises:
      InputError: names the crossing values with their rows and parts, or what does not fit.
    """
    check_split_fits(split, examples)
    rows = _split_rows(split, examples, None)
    disjoint = _disjoint_identities(split)
    findings = []
    for identity in disjoint:
        findings += rows.findings(identity)
    if findings:
        raise InputError(f"{describe_split(split)} leaks: {'; '.join(findings)}.")
    rest = [name for name in IDENTITIES if name not in disjoint and name != "MoA"]
    counts = {identity: len(rows.crossing(identity)[1]) for identity in rest}
    return {identity: count for identity, count in counts.items() if count}


def without_leaks(split: Split, examples: Examples, additional: Examples) -> Examples:
    """The additional examples that may be trained on without breaking the split's rule.

    Args:
      split: the parts.
      examples: all examples of the split; for `phase` both releases, joined.
      additional: examples outside the split, such as structure-only compounds.

    Raises:
      InputError: the split does not fit the examples.
    """
    check_split_fits(split, examples)
    rows = _split_rows(split, examples, additional)
    num_measured = len(rows.part) - additional.num_examples
    leaks = np.zeros(len(rows.part), bool)
    for identity in _disjoint_identities(split):
        values, crossing = rows.crossing(identity)
        leaks[values["row"][values["value"].isin(crossing)]] = True
    return additional.take(np.flatnonzero(~leaks[num_measured:]))


def _disjoint_identities(split: Split) -> tuple[str, ...]:
    if split.rule not in DISJOINT_IDENTITIES:
        raise InputError(
            f"there is no split rule {split.rule!r}; the rules are "
            f"{', '.join(DISJOINT_IDENTITIES)}."
        )
    return DISJOINT_IDENTITIES[split.rule]


@dataclasses.dataclass(frozen=True)
class _SplitRows:
    """All rows, measured ones first, with their parts and names."""

    split: Split
    rows: IdentityRows
    part: np.ndarray
    names: np.ndarray

    def crossing(self, identity: str) -> tuple[pd.DataFrame, list[str]]:
        """All (row, value, part) of an identity outside `unused`, and the values that cross."""
        values = self._values(identity)
        lengths = [len(each) for each in values]
        row = np.repeat(np.arange(len(values)), lengths)
        found = pd.DataFrame(
            {
                "row": row,
                "value": np.array([value for each in values for value in each], dtype=object),
                "part": self.part[row],
            }
        )
        found = found[found["part"] != UNUSED]
        sides = found[["value", "part"]].drop_duplicates()
        if identity == HELD_OUT_MOA:
            return found, sorted(set(sides["value"][sides["part"] != "test"]))
        if identity in _TEST_ALONE.get(self.split.rule, ()):
            sides = sides.replace({"part": {"validation": "train"}}).drop_duplicates()
        return found, sorted(set(sides["value"][sides["value"].duplicated()]))

    def _values(self, identity: str) -> Values:
        if identity != HELD_OUT_MOA:
            return values_of(identity, self.rows)
        held_out = set(self.split.held_out)
        return [tuple(moa for moa in moas if moa in held_out) for moas in self.rows.moas]

    def findings(self, identity: str) -> list[str]:
        """One text per crossing value, with its rows; the last one counts omitted values."""
        found, values = self.crossing(identity)
        texts = []
        for value in values[:MAX_NAMED]:
            here = found[found["value"] == value]
            sides = []
            for part in PARTS:
                names = sorted(set(self.names[here["row"][here["part"] == part]]))
                sides += [f"{name_some(names, _MAX_ROWS)} in {part}"] if names else []
            texts.append(f"{identity} {value} crosses ({', '.join(sides)})")
        if len(values) > MAX_NAMED:
            texts.append(f"{len(values) - MAX_NAMED} more of {identity} cross")
        return texts


def _split_rows(split: Split, examples: Examples, additional: Examples | None) -> _SplitRows:
    names = list(examples.table[split.unit])
    part = parts_of(split, examples.table)
    if additional is not None:
        names += [f"{pert_id} (structure only)" for pert_id in additional.table["pert_id"]]
        part += ["train"] * additional.num_examples
    sets = (examples,) if additional is None else (examples, additional)
    return _SplitRows(
        split=split,
        rows=identity_rows(*sets),
        part=np.array(part, dtype=object),
        names=np.array(names, dtype=object),
    )
