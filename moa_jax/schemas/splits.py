"""Splits of the compounds, or of their signatures, into parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from moa_jax.schemas.errors import InputError

PARTS = ("train", "validation", "test")
# The part of what a split's rule leaves out on purpose; no method sees it.
UNUSED = "unused"
# What a split's parts may be keyed by.
SPLIT_UNITS = ("pert_id", "sig_id")


@dataclasses.dataclass(frozen=True)
class Split:
    """Which part each compound or signature belongs to, with the rule that made it.

    Attributes:
      rule: name of the rule, such as `compound`.
      seed: seed of the rule.
      fold: which fold is the test part.
      num_folds: how many folds the rule made.
      parts: key -> one of `PARTS`, or `UNUSED` for what the rule leaves out on purpose.
      unit: what the keys of `parts` are: `pert_id` where a compound has one part, `sig_id` where
        its signatures may have several.
      held_out: what the rule keeps for the test part beside compounds: cell lines, doses, times
        or MoAs; empty for other rules.
    """

    rule: str
    seed: int
    fold: int
    num_folds: int
    parts: Mapping[str, str]
    unit: str = "pert_id"
    held_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        legal = (*PARTS, UNUSED)
        unknown = sorted(set(self.parts.values()) - set(legal))
        if unknown:
            raise InputError(
                f"the split names the part {unknown[0]}; parts are {', '.join(legal)}."
            )
        if self.unit not in SPLIT_UNITS:
            raise InputError(
                f"the split has unit = {self.unit!r}, expected {' or '.join(SPLIT_UNITS)}."
            )
