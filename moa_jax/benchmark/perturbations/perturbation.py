"""What input and training perturbations have in common: kind, level, name, configuration."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeVar

from moa_jax.schemas import InputError

CLEAN = "clean"


@dataclasses.dataclass(frozen=True)
class Perturbation:
    """A kind of perturbation at one level.

    Attributes:
      kind: a key of `MAX_LEVELS`.
      level: its strength, above 0; exactly 0 for a kind without levels.
    """

    kind: str
    level: float = 0.0

    # Name of the perturbation in messages.
    NOUN: ClassVar[str] = "perturbation"
    # Kind -> its largest possible level; None for a kind without levels.
    MAX_LEVELS: ClassVar[Mapping[str, float | None]] = {CLEAN: None}

    def __post_init__(self) -> None:
        if self.kind not in self.MAX_LEVELS:
            raise InputError(
                f"there is no {self.NOUN} {self.kind!r}; the kinds are "
                f"{', '.join(self.MAX_LEVELS)}."
            )
        limit = self.MAX_LEVELS[self.kind]
        if limit is None:
            if self.level != 0:
                raise InputError(
                    f"the {self.NOUN} {self.kind} has the level {self.level}, "
                    "but this kind has no levels."
                )
        elif not (0 < self.level <= limit and math.isfinite(self.level)):
            expected = "above 0" if math.isinf(limit) else f"above 0 and at most {limit:g}"
            raise InputError(
                f"the {self.NOUN} {self.kind} has the level {self.level}, "
                f"expected a number {expected}."
            )

    @property
    def name(self) -> str:
        """Name for tables and files: `clean`, `gaussian_0.5`."""
        return self.kind if self.MAX_LEVELS[self.kind] is None else f"{self.kind}_{self.level:g}"


AnyPerturbation = TypeVar("AnyPerturbation", bound=Perturbation)


def perturbations_from_config(
    cls: type[AnyPerturbation], config: Mapping[str, Sequence[float | int]]
) -> tuple[AnyPerturbation, ...]:
    """The perturbations of a config, in the order of its kinds and by ascending level.

    Args:
      cls: class of the perturbations.
      config: kind -> its levels; empty for a kind without levels.

    Raises:
      InputError: a kind does not exist, a level is out of range or given twice, or a kind with
        levels has none.
    """
    found: list[AnyPerturbation] = []
    for kind, levels in config.items():
        if cls.MAX_LEVELS.get(kind) is not None and not len(levels):
            raise InputError(f"the {cls.NOUN} {kind} is given no level, expected at least one.")
        of_kind = [cls(kind, _number(cls.NOUN, kind, level)) for level in levels or (0.0,)]
        found += sorted(of_kind, key=lambda perturbation: perturbation.level)
    names = [perturbation.name for perturbation in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"the {cls.NOUN} {name} is given {names.count(name)} times.")
    return tuple(found)


def _number(noun: str, kind: str, level: float | int) -> float:
    if not isinstance(level, int | float) or isinstance(level, bool):
        raise InputError(f"the {noun} {kind} has the level {level!r}, expected a number.")
    return float(level)
