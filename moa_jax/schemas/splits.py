"""Splits of the compounds, or of their signatures, into parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from moa_jax.schemas.errors import InputError

PARTS = ("train", "validation", "test")
# The part for rows that a split rule leaves out on purpose; no method sees it.
UNUSED = "unused"
# Columns that a split's parts may be keyed by.
SPLIT_UNITS = ("pert_id", "sig_id")


@dataclasses.dataclass(frozen=True)
class Split:
    """The part of each compound or signature, and the rule that assigned it.

    Attributes:
      rule: name of the rule, such as `compound`.
      seed: seed of the rule.
      fold: which fold is the test part.
      num_folds: how many folds the rule made.
      parts: key -> one of `PARTS`, or `UNUSED`.
      unit: kind of the keys of `parts`: `pert_id`, or `sig_id` if a compound's signatures may be
        in several parts.
      held_out: cell lines, doses, times or MoAs kept for the test part; empty for other rules.
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
