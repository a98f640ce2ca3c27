"""The search for leaks: what a split's rule promises not to cross, and what crosses all the same.

An identity crosses where one of its values, such as a compound group or a plate, occurs in two
parts. What a rule promises to keep apart is refused with its rows; the rest is counted, so that
a result can say what it allows. Labelled structures without expression that are trained on
count as training compounds.
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

# MoAs of `unseen_moa` that the training must not know; others are in all parts on purpose.
HELD_OUT_MOA = "held-out MoA"
_NEW_COMPOUNDS = (*COMPOUND_IDENTITIES, "replicate")
# Rule -> identities that it promises to keep within one part.
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
# Identities that a rule keeps out of the test part alone: its validation part holds out less.
_TEST_ALONE = {"dose": ("dose",), "time": ("time",)}
# Rows that are named for each part of one value that crosses.
_MAX_ROWS = 3


def check_no_leaks(split: Split, examples: Examples) -> dict[str, int]:
    """Refuses a split that does not fit the data or breaks a promise of its rule.

    Args:
      split: the parts.
      examples: what was split; for `phase` both releases, joined.

    Returns:
      Identities that the rule does not promise and that cross, with how many values of each do.
      MoAs are not among them where they have to be known.

    Raises:
      InputError: names what crosses, with the rows and their parts; or what does not fit.
    """
    check_split_fits(split, examples)
    scene = _scene(split, examples, None)
    promised = _disjoint_identities(split)
    findings = []
    for identity in promised:
        findings += scene.findings(identity)
    if findings:
        raise InputError(f"{describe_split(split)} leaks: {'; '.join(findings)}.")
    rest = [name for name in IDENTITIES if name not in promised and name != "MoA"]
    counts = {identity: len(scene.crossing(identity)[1]) for identity in rest}
    return {identity: count for identity, count in counts.items() if count}


def without_leaks(split: Split, examples: Examples, further: Examples) -> Examples:
    """Those of `further` that may be trained on: they share nothing promised with other parts.

    Args:
      split: the parts.
      examples: what was split; for `phase` both releases, joined.
      further: labelled structures without expression.

    Raises:
      InputError: the split does not fit the examples.
    """
    check_split_fits(split, examples)
    scene = _scene(split, examples, further)
    num_measured = len(scene.part) - further.num_examples
    leaks = np.zeros(len(scene.part), bool)
    for identity in _disjoint_identities(split):
        found, crossing = scene.crossing(identity)
        leaks[found["row"][found["value"].isin(crossing)]] = True
    return further.take(np.flatnonzero(~leaks[num_measured:]))


def _disjoint_identities(split: Split) -> tuple[str, ...]:
    if split.rule not in DISJOINT_IDENTITIES:
        raise InputError(
            f"there is no split rule {split.rule!r}; the rules are "
            f"{', '.join(DISJOINT_IDENTITIES)}."
        )
    return DISJOINT_IDENTITIES[split.rule]


@dataclasses.dataclass(frozen=True)
class _Scene:
    """All rows that take part, measured ones first, with their parts and names."""

    split: Split
    rows: IdentityRows
    part: np.ndarray
    names: np.ndarray

    def crossing(self, identity: str) -> tuple[pd.DataFrame, list[str]]:
        """Every (row, value, part) of an identity outside `unused`, and the values that cross."""
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
        """One text per value that crosses, with its rows; the last one counts what was cut."""
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


def _scene(split: Split, examples: Examples, further: Examples | None) -> _Scene:
    names = list(examples.table[split.unit])
    part = parts_of(split, examples.table)
    if further is not None:
        names += [f"{pert_id} (structure alone)" for pert_id in further.table["pert_id"]]
        part += ["train"] * further.num_examples
    return _Scene(
        split=split,
        rows=identity_rows(examples) if further is None else identity_rows(examples, further),
        part=np.array(part, dtype=object),
        names=np.array(names, dtype=object),
    )
