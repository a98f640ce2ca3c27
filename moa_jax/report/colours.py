"""The colours of heat maps and lines, for light and dark pages, with readable text on them.

The ramps are interpolated in OKLab (Ottosson 2020), a perceptually uniform colour space.
"""

from __future__ import annotations

from numbers import Real

import numpy as np
from jaxtyping import Float

# Odd, so that a diverging ramp has a middle.
NUM_STEPS = 33
# Theme -> ramp -> equidistant colours of the ramp.
ANCHORS = {
    "light": {
        "sequential": ("#f3f6fa", "#a9c9e8", "#4a8cc4", "#12417a"),
        "diverging": ("#a34a0c", "#ecb58a", "#f6f6f4", "#94bfe4", "#12559a"),
    },
    "dark": {
        "sequential": ("#1c222b", "#23486f", "#3f86c6", "#cfe6fb"),
        "diverging": ("#f0a974", "#8a4a1f", "#1f242b", "#275c91", "#8cc1f2"),
    },
}
# Each has a contrast of 3 or more to the page, as WCAG 2.2 (1.4.11) asks of graphics, and any two
# stay apart in OKLab under full protanopia, deuteranopia and tritanopia.
LINE_COLOURS = {
    "light": ("#0042a8", "#e46500", "#0ca37a", "#8a0a64", "#091337", "#695800", "#8171b5"),
    "dark": ("#398ffd", "#ff681d", "#43eda4", "#c26db0", "#fffcfc", "#fbc327", "#afbfe7"),
}
PAGE_COLOURS = {"light": "#ffffff", "dark": "#14181d"}

# Linear RGB -> cone responses -> OKLab (Ottosson 2020, "A perceptual color space").
_RGB_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_CONES_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def linear_rgb(colour: str) -> Float[np.ndarray, "3"]:
    """`#rrggbb` as linear light (IEC 61966-2-1)."""
    encoded = np.array([int(colour[start : start + 2], 16) for start in (1, 3, 5)]) / 255
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def hexadecimal(linear: Float[np.ndarray, "3"]) -> str:
    """Linear light as `#rrggbb`; values outside the gamut are clipped."""
    linear = np.clip(linear, 0, 1)
    encoded = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(channel * 255):02x}" for channel in encoded)


def oklab(colour: str) -> Float[np.ndarray, "3"]:
    """`#rrggbb` as lightness and the two opponent axes of OKLab."""
    return _CONES_TO_LAB @ np.cbrt(_RGB_TO_CONES @ linear_rgb(colour))


def ramp(anchors: tuple[str, ...], num_steps: int = NUM_STEPS) -> list[str]:
    """`num_steps` colours through `anchors`, straight lines in OKLab between them."""
    points = np.stack([oklab(anchor) for anchor in anchors])
    position = np.linspace(0, 1, num_steps)
    knots = np.linspace(0, 1, len(anchors))
    path = np.stack([np.interp(position, knots, points[:, axis]) for axis in range(3)], axis=1)
    linear = np.linalg.solve(_RGB_TO_CONES, np.linalg.solve(_CONES_TO_LAB, path.T) ** 3)
    return [hexadecimal(colour) for colour in linear.T]


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    return float(linear_rgb(colour) @ np.array([0.2126, 0.7152, 0.0722]))


def contrast(first: str, second: str) -> float:
    """Contrast ratio between 1 and 21 (WCAG 2.2)."""
    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def text_colour(background: str) -> str:
    """Black or white, whichever has the higher contrast, which is at least 4.58."""
    return max(("#000000", "#ffffff"), key=lambda colour: contrast(colour, background))


def step_of(value: Real, low: Real, high: Real) -> int:
    """Step of the ramp from `low` to `high` whose colour shows `value`."""
    fraction = (value - low) / (high - low)
    return round(min(max(fraction, 0.0), 1.0) * (NUM_STEPS - 1))


def theme_rules(theme: str) -> str:
    """CSS rules of the ramps' steps (`.sequential-0` and on) and of the lines (`.line-0`)."""
    rules = [
        f".{name}-{step}{{background:{colour};color:{text_colour(colour)}}}"
        for name, anchors in ANCHORS[theme].items()
        for step, colour in enumerate(ramp(anchors))
    ]
    rules += [f".line-{step}{{color:{colour}}}" for step, colour in enumerate(LINE_COLOURS[theme])]
    return "\n".join(rules)
