"""Formatting of numbers: `.484`, `−.032`, `1,707`, `n/a`."""

from __future__ import annotations

import math
from collections.abc import Iterable

MISSING = "n/a"
MINUS = "\N{MINUS SIGN}"


def decimals_for(values: Iterable[float]) -> int:
    """Number of decimals by the largest of `values`: 3 below ten, then one less per digit."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return next((count for count, end in ((3, 10), (2, 100), (1, 1000)) if largest < end), 0)


def number_text(value: float, decimals: int) -> str:
    """`value` rounded, without the zero before the point, thousands separated."""
    if math.isnan(value):
        return MISSING
    return tidy(f"{value:,.{decimals}f}" if math.isfinite(value) else f"{value}")


def exact_text(value: float, decimals: int) -> str:
    """As `number_text`, but with an exponent where rounding would show a number as zero."""
    if value and abs(value) < 0.5 * 10**-decimals:
        return tidy(f"{value:.1e}")
    return number_text(value, decimals)


def tidy(text: str) -> str:
    """A formatted number with a true minus sign, no sign on zero and no zero before the point."""
    sign = text[:1] if text[:1] in ("-", "+") else ""
    digits = text.removeprefix(sign).replace("inf", "\N{INFINITY}")
    if digits.startswith("0."):
        digits = digits[1:]
    if all(character in "0.,%" for character in digits):
        sign = ""
    return (sign + digits).replace("-", MINUS)


def sort_text(value: float) -> str:
    """`value` at full precision, as the page's script reads it; empty for NaN."""
    if math.isnan(value):
        return ""
    return repr(float(value)).replace("inf", "Infinity")
