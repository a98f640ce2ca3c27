"""Doses in micromolar and times in hours, from the texts in which releases give them."""

from __future__ import annotations

import math
import re

_AMOUNT = re.compile(r"\+?((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(.*)", re.IGNORECASE | re.ASCII)

# Micromolar per unit. The two micro signs of Unicode and `u` are one. Units that are no molar
# concentration (%, ng/mL, uL of a virus) are not here: such a dose has no value in micromolar.
MICROMOLAR = {"pm": 1e-6, "nm": 1e-3, "um": 1.0, "mm": 1e3, "m": 1e6}
HOURS = {
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 1.0),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 1 / 60),
    **dict.fromkeys(("d", "day", "days"), 24.0),
}
_MICRO_SIGNS = str.maketrans({"\u00b5": "u", "\u03bc": "u"})


def parse_dose_um(text: str) -> float:
    """Dose in micromolar, such as 0.5 of `500 nM`; a number without unit is micromolar.

    Several doses joined by `|` (replicates of one signature) count as one where they agree.
    A dose in a unit that is no molar concentration, and doses that disagree, are NaN.

    Raises:
      ValueError: the text does not start with a number that is zero or more.
    """
    return _parse(text, MICROMOLAR, "uM")


def parse_time_h(text: str) -> float:
    """Time in hours, such as 24 of `24 h`; a number without unit is hours.

    Joined times are treated as `parse_dose_um` treats doses; an unknown unit is NaN.

    Raises:
      ValueError: the text does not start with a number that is zero or more.
    """
    return _parse(text, HOURS, "h")


def _parse(text: str, factors: dict[str, float], default_unit: str) -> float:
    values = {_parse_one(part.strip(), factors, default_unit) for part in text.split("|")}
    return values.pop() if len(values) == 1 else math.nan


def _parse_one(text: str, factors: dict[str, float], default_unit: str) -> float:
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} does not start with a number that is zero or more")
    number, unit = match.groups()
    factor = factors.get((unit.strip() or default_unit).translate(_MICRO_SIGNS).lower(), math.nan)
    # Division keeps 500 nM at exactly 0.5, which multiplying by 0.001 does not.
    value = float(number) / (1 / factor) if factor < 1 else float(number) * factor
    if math.isinf(value):
        raise ValueError(f"{text!r} is larger than any dose or time")
    return value
