"""Pictures as lists of shapes, written as SVG and as PNG.

The origin is the upper left corner, a unit is one pixel of a screen. Pictures are on white, so
that they look the same on light and dark pages, on paper and in a file of their own.
"""

from __future__ import annotations

import dataclasses
import io
import re
import unicodedata
from numbers import Real
from typing import Literal

from markupsafe import escape
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

INK, MUTED, FAINT = "#1c2126", "#59636e", "#c9d0d8"
# Positive and negative; they also differ in lightness, for printing in grey.
FOR, AGAINST, AGAINST_RIM = "#2a6fb0", "#f3c7a3", "#8a3d08"
FONT = "system-ui, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif"
# Mean width of a character as share of the font's size.
_CHARACTER, _WIDE_CHARACTER = 0.6, 1.05
# Pixels of a PNG file for one unit.
_PNG_SCALE = 2
# Characters that XML 1.0 forbids.
_FORBIDDEN = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Anchor = Literal["start", "middle", "end"]


@dataclasses.dataclass(frozen=True)
class Line:
    """A straight line; `dashes` are lengths of strokes and gaps, empty for a solid line."""

    x1: Real
    y1: Real
    x2: Real
    y2: Real
    colour: str = MUTED
    width: Real = 1.0
    dashes: tuple[Real, ...] = ()


@dataclasses.dataclass(frozen=True)
class Box:
    """A rectangle with rounded corners; `title` is its tooltip."""

    x: Real
    y: Real
    width: Real
    height: Real
    fill: str
    radius: Real = 0.0
    stroke: str = "none"
    stroke_width: Real = 1.0
    dashes: tuple[Real, ...] = ()
    title: str = ""


@dataclasses.dataclass(frozen=True)
class Label:
    """Text whose middle line is at `y`."""

    x: Real
    y: Real
    text: str
    size: Real = 13.0
    colour: str = INK
    anchor: Anchor = "start"
    bold: bool = False


@dataclasses.dataclass(frozen=True)
class Picture:
    """Shapes from back to front.

    Attributes:
      width: of the picture.
      height: of the picture.
      shapes: what is drawn.
      title: what it shows, for those who cannot see it.
    """

    width: int
    height: int
    shapes: tuple[Line | Box | Label, ...]
    title: str


def text_width(text: str, size: Real) -> float:
    """Approximate width of a text; East Asian wide characters are counted as wide."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return float(size) * (_CHARACTER * (len(text) - wide) + _WIDE_CHARACTER * wide)


def shortened(text: str, most: int) -> str:
    """The text, truncated to `most` characters including an ellipsis."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def plain_text(text: str) -> str:
    """Escaped text; characters that XML forbids are replaced."""
    return str(escape(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)))


def to_svg(picture: Picture) -> str:
    """The picture as SVG without style attributes or scripts; equal pictures give equal text."""
    body = "".join(_svg_of(shape) for shape in picture.shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="0 0 {picture.width} {picture.height}" role="img" font-family="{FONT}">'
        f"<title>{plain_text(picture.title)}</title>"
        f'<rect width="{picture.width}" height="{picture.height}" fill="#ffffff"/>{body}</svg>\n'
    )


def to_png(picture: Picture) -> bytes:
    """The picture as PNG, `_PNG_SCALE` pixels for one unit."""
    dpi = 72 * _PNG_SCALE
    figure = Figure(figsize=(picture.width / 72, picture.height / 72), dpi=dpi, facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, picture.width)
    axes.set_ylim(picture.height, 0)
    axes.axis("off")
    for number, shape in enumerate(picture.shapes):
        match shape:
            case Line():
                dashes = (0, shape.dashes) if shape.dashes else "-"
                axes.plot(
                    [shape.x1, shape.x2],
                    [shape.y1, shape.y2],
                    color=shape.colour,
                    linewidth=shape.width,
                    linestyle=dashes,
                    zorder=number,
                )
            case Box():
                axes.add_patch(_patch_of(shape, number))
            case Label():
                axes.text(
                    shape.x,
                    shape.y,
                    _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", shape.text),
                    fontsize=shape.size * 0.9,
                    color=shape.colour,
                    ha={"start": "left", "middle": "center", "end": "right"}[shape.anchor],
                    va="center_baseline",
                    fontweight="bold" if shape.bold else "normal",
                    # A dollar in a name is no formula.
                    parse_math=False,
                    zorder=number,
                )
    stream = io.BytesIO()
    FigureCanvasAgg(figure).print_png(stream, metadata={"Software": None})
    return stream.getvalue()


def _svg_of(shape: Line | Box | Label) -> str:
    match shape:
        case Line():
            return (
                f'<path d="M{_number(shape.x1)},{_number(shape.y1)}'
                f'L{_number(shape.x2)},{_number(shape.y2)}" stroke="{shape.colour}" '
                f'stroke-width="{_number(shape.width)}" stroke-linecap="round"'
                f"{_dash_array(shape.dashes)}/>"
            )
        case Box():
            title = f"<title>{plain_text(shape.title)}</title>" if shape.title else ""
            return (
                f'<rect x="{_number(shape.x)}" y="{_number(shape.y)}" '
                f'width="{_number(shape.width)}" height="{_number(shape.height)}" '
                f'rx="{_number(shape.radius)}" fill="{shape.fill}" stroke="{shape.stroke}" '
                f'stroke-width="{_number(shape.stroke_width)}"{_dash_array(shape.dashes)}>'
                f"{title}</rect>"
            )
        case Label():
            weight = ' font-weight="600"' if shape.bold else ""
            return (
                f'<text x="{_number(shape.x)}" y="{_number(shape.y)}" dy=".35em" '
                f'font-size="{_number(shape.size)}" fill="{shape.colour}" '
                f'text-anchor="{shape.anchor}"{weight}>{plain_text(shape.text)}</text>'
            )


def _dash_array(dashes: tuple[Real, ...]) -> str:
    return f' stroke-dasharray="{" ".join(map(_number, dashes))}"' if dashes else ""


def _number(value: Real) -> str:
    """Rounded to a tenth of a unit, so that the last digits of a layout do not matter."""
    return f"{round(float(value), 1) + 0.0:g}"


def _patch_of(shape: Box, number: int) -> FancyBboxPatch:
    # matplotlib draws the rounding inside the box only if it fits.
    radius = min(shape.radius, shape.width / 2, shape.height / 2)
    return FancyBboxPatch(
        (shape.x, shape.y),
        shape.width,
        shape.height,
        boxstyle=f"round,pad=0,rounding_size={radius}" if radius else "square,pad=0",
        facecolor=shape.fill,
        edgecolor=shape.stroke,
        linewidth=shape.stroke_width if shape.stroke != "none" else 0,
        linestyle=(0, shape.dashes) if shape.dashes else "-",
        zorder=number,
    )
