"""Parses doses (to micromolar) and times (to hours) from the texts in releases."""

from __future__ import annotations

import math
import re

# A number with a point or a comma before its decimals, or with commas between its thousands.
_NUMBER = r"\+?(?:\d[\d.,]*|[.,]\d+)(?:e[+-]?\d+)?"
_AMOUNT = re.compile(rf"({_NUMBER})\s*(.*)", re.IGNORECASE | re.ASCII | re.DOTALL)
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+")

# Micromolar per unit. Other units (%, ng/mL, uL of a virus) cannot be converted to micromolar.
_MOLAR = {"p": 1e-6, "n": 1e-3, "u": 1.0, "m": 1e3, "": 1e6}
_PREFIXES = {"p": "pico", "n": "nano", "u": "micro", "m": "milli", "": ""}
MICROMOLAR = {
    unit: factor
    for prefix, factor in _MOLAR.items()
    for unit in (
        f"{prefix}m",
        f"{prefix}mol/l",
        f"{prefix}mol/liter",
        f"{prefix}mol/litre",
        f"{prefix}moll-1",
        f"{prefix}mol*l-1",
        f"{prefix}moll^-1",
        f"{prefix}mol.l-1",
        f"{_PREFIXES[prefix]}molar",
    )
}
HOURS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1 / 3600),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 1 / 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 1.0),
    **dict.fromkeys(("d", "day", "days"), 24.0),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), 168.0),
}
# The micro signs of Unicode, R and wrongly decoded files.
_MICRO = re.compile("\u00c2?\u00b5|\u03bc|<b5>|<u\\+00b5>|<u\\+03bc>", re.IGNORECASE)
# The releases' code for missing values.
_SENTINEL = re.compile(r"-666(?:\.0*)?")


def parse_dose_um(text: str) -> float:
    """Dose in micromolar, such as 0.5 for `500 nM`; a number without unit is micromolar.

    Decimals follow a point or a comma. Doses joined by `|` (replicates of one signature) are one
    dose if they are equal, else NaN. Units that are not molar concentrations also give NaN.

    Raises:
      ValueError: the text does not start with a non-negative number, or with an ambiguous one
        (`1,000`).
    """
    return _parse(text, MICROMOLAR, "um")


def parse_time_h(text: str) -> float:
    """Time in hours, such as 168 for `1 week`; a number without unit is hours.

    Joined times are treated as in `parse_dose_um`; an unknown unit gives NaN.

    Raises:
      ValueError: see `parse_dose_um`.
    """
    return _parse(text, HOURS, "h")


def amount_text(text: str) -> str:
    """An amount as number, blank and unit, so that equal amounts have equal texts.

    Only the case of the unit is kept: `1.0 ng/mL` becomes `1 ng/mL`, `1ng/ml` becomes `1 ng/ml`.

    Raises:
      ValueError: see `parse_dose_um`.
    """
    parts = [_split(part.strip()) for part in text.split("|")]
    texts = [f"{number:.15g} {unit}".rstrip() for number, unit in parts]
    return "|".join(dict.fromkeys(texts))


def plain_micro(text: str) -> str:
    """Replaces every kind of micro sign by `u`."""
    return _MICRO.sub("u", text)


def is_unknown_amount(text: str) -> bool:
    """Whether an amount is the sentinel with a unit, as in `-666 uM`."""
    number, _, unit = text.strip().partition(" ")
    return _SENTINEL.fullmatch(number) is not None and " " not in unit.strip()


def _parse(text: str, factors: dict[str, float], default_unit: str) -> float:
    values = {_parse_one(part.strip(), factors, default_unit) for part in text.split("|")}
    return values.pop() if len(values) == 1 else math.nan


def _parse_one(text: str, factors: dict[str, float], default_unit: str) -> float:
    number, unit = _split(text)
    factor = factors.get(_folded_unit(unit) or default_unit, math.nan)
    # Dividing gives exactly 0.5 for 500 nM, multiplying by 0.001 does not.
    value = number / (1 / factor) if factor < 1 else number * factor
    if math.isinf(value):
        raise ValueError(f"{text!r} is larger than any dose or time")
    return value


def _split(text: str) -> tuple[float, str]:
    """Number and unit of one amount."""
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} does not start with a number that is zero or more")
    return _number(match[1], text), " ".join(match[2].split())


def _folded_unit(unit: str) -> str:
    """A unit without case, blanks, a final point and kinds of micro sign."""
    return plain_micro(re.sub(r"\s+", "", unit)).lower().rstrip(".")


def _number(written: str, text: str) -> float:
    mantissa, exponent = re.fullmatch(r"([^e]*)(e.*)?", written.lower()).groups()
    if _THOUSANDS.fullmatch(mantissa.lstrip("+")):
        raise ValueError(f"{text!r} could be a number with decimals or with thousands")
    point, comma = mantissa.rfind("."), mantissa.rfind(",")
    if comma >= 0 and point >= 0:
        # The last of the two is the decimal sign.
        thousands = "," if point > comma else "."
        mantissa = mantissa.replace(thousands, "")
    try:
        value = float(mantissa.replace(",", ".") + (exponent or ""))
    except ValueError:
        raise ValueError(f"{text!r} does not start with a number") from None
    if math.isinf(value):
        raise ValueError(f"{text!r} is larger than any dose or time")
    return value
