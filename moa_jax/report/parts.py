"""The parts of a page: text, tables with intervals, heat maps, line charts and pictures.

Parts have values; `moa_jax.report.html` decides how they are shown. All text is plain text and
never interpreted as HTML.
"""

from __future__ import annotations

import dataclasses
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Literal

import numpy as np
from jaxtyping import Num


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A value with its interval; NaN where the value or the interval is undefined."""

    value: Real
    low: Real = math.nan
    high: Real = math.nan

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"the interval [{self.low}, {self.high}] is upside down")


# Names of files beside the page or in folders below it.
_LOCAL_FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")


@dataclasses.dataclass(frozen=True)
class Link:
    """A link to another file of the same folder.

    Attributes:
      text: text of the link.
      file: path below the page's folder, or `../index.html`.
    """

    text: str
    file: str

    def __post_init__(self) -> None:
        if not _LOCAL_FILE.fullmatch(self.file.removeprefix("../")):
            raise ValueError(f"a link leads to {self.file!r}, which is not a file of the folder")


# Numbers are right-aligned and sort by value, NaN last; a bool is shown as yes or no.
Cell = str | Real | Estimate | Link
Numbers = Sequence[Real] | Num[np.ndarray, " point"]


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows under named columns; the first column names the row.

    Attributes:
      columns: the names over the columns.
      rows: one cell per column; a column is numeric if any of its cells is a number.
      caption: one or two sentences above the table.
      sort_by: column that the rows are sorted by when the page opens, the largest number first;
        None keeps their order.
      folded: whether only the caption is seen until the reader opens the table.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    sort_by: str | None = None
    folded: bool = False

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, start=1):
            if len(row) != len(self.columns):
                raise ValueError(
                    f"row {number} has {len(row)} cells for {len(self.columns)} columns"
                )
        if self.folded and not self.caption:
            raise ValueError("a folded table has no caption to be seen")
        if self.sort_by is not None and self.sort_by not in self.columns:
            raise ValueError(f"there is no column {self.sort_by!r} to sort by")


@dataclasses.dataclass(frozen=True)
class HeatMap:
    """A matrix as a table of coloured cells.

    Attributes:
      row_names: one per row of `values`.
      column_names: one per column of `values`.
      values: the numbers; NaN cells stay empty and sort last.
      caption: one or two sentences above the map.
      low: value of the ramp's first colour; None for the smallest finite value.
      high: value of the ramp's last colour; None for the largest finite value.
      corner: header of the row names.

    A range with zero inside is shown on a diverging ramp with zero in its middle.
    """

    row_names: Sequence[str]
    column_names: Sequence[str]
    values: Num[np.ndarray, "row column"]
    caption: str = ""
    low: Real | None = None
    high: Real | None = None
    corner: str = ""

    def __post_init__(self) -> None:
        expected = (len(self.row_names), len(self.column_names))
        if self.values.shape != expected:
            raise ValueError(f"a heat map of {expected} names has values of {self.values.shape}")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"the colours' range [{self.low}, {self.high}] is empty")


@dataclasses.dataclass(frozen=True)
class Series:
    """One line of a chart, in the order of its points.

    Attributes:
      name: its name in the legend.
      x: where the points are.
      y: their values; a NaN interrupts the line.
      low: lower edge of the band around the line, None for no band.
      high: upper edge of the band.
    """

    name: str
    x: Numbers
    y: Numbers
    low: Numbers | None = None
    high: Numbers | None = None

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ValueError(f"series {self.name!r} has one edge of a band without the other")
        lengths = {len(part) for part in (self.x, self.y, self.low, self.high) if part is not None}
        if len(lengths) > 1:
            raise ValueError(f"series {self.name!r} has parts of {sorted(lengths)} points")


@dataclasses.dataclass(frozen=True)
class LineChart:
    """Lines over one pair of linear axes.

    Attributes:
      series: the lines; each has its own colour, dashes and markers.
      x_label: name, and unit where there is one, of the horizontal axis.
      y_label: of the vertical axis.
      caption: one or two sentences above the chart.
      x_range: first and last value of the axis; None for round numbers around the data.
      y_range: of the vertical axis.
      diagonal: whether the line y = x is drawn for comparison.
    """

    series: Sequence[Series]
    x_label: str
    y_label: str
    caption: str = ""
    x_range: tuple[Real, Real] | None = None
    y_range: tuple[Real, Real] | None = None
    diagonal: bool = False

    def __post_init__(self) -> None:
        for ends in (self.x_range, self.y_range):
            if ends is not None and not ends[0] < ends[1]:
                raise ValueError(f"the axis range {ends} is empty")


# Elements of the drawings of this package.
_SVG_ELEMENTS = ("svg", "title", "rect", "path", "text", "ellipse", "polygon", "polyline")
_SVG_NAMESPACE = "{http://www.w3.org/2000/svg}"


@dataclasses.dataclass(frozen=True)
class Illustration:
    """A picture drawn by this package; adjacent ones are shown side by side.

    Attributes:
      svg: from `shapes.to_svg` or `molecule_drawing.molecule_svg`. It becomes part of the page
        unescaped, so scripts, links and styles are refused.
      caption: one or two sentences above it.
    """

    svg: str
    caption: str = ""

    def __post_init__(self) -> None:
        if "<!" in self.svg or "<?" in self.svg:
            raise ValueError("an illustration has a declaration or a comment")
        for element in ET.fromstring(self.svg).iter():
            name = element.tag.removeprefix(_SVG_NAMESPACE)
            if name not in _SVG_ELEMENTS:
                raise ValueError(f"an illustration has the element {name!r}")
            for attribute in element.attrib:
                if attribute.startswith("on") or "href" in attribute or attribute == "style":
                    raise ValueError(f"an illustration has the attribute {attribute!r}")


@dataclasses.dataclass(frozen=True)
class Text:
    """Paragraphs, separated by blank lines."""

    text: str


@dataclasses.dataclass(frozen=True)
class Note:
    """Highlighted paragraphs."""

    text: str
    kind: Literal["info", "warning"] = "info"


Light = Literal["green", "amber", "red", "grey"]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One check and its result.

    Attributes:
      light: `green` (passed), `amber` (partly), `red` (failed) or `grey` (not run).
      check: the question of the check.
      word: the result in a word or two, for readers who cannot see the colour.
      text: the finding.
    """

    light: Light
    check: str
    word: str
    text: str


@dataclasses.dataclass(frozen=True)
class Verdicts:
    """Checks as a list of traffic lights.

    Attributes:
      verdicts: one per check.
    """

    verdicts: Sequence[Verdict]


@dataclasses.dataclass(frozen=True)
class Links:
    """Links to other files, side by side."""

    links: Sequence[Link]


Part = Table | HeatMap | LineChart | Illustration | Text | Note | Verdicts | Links


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of the page, listed in its navigation.

    Attributes:
      title: its heading.
      text: paragraphs under the heading, separated by blank lines.
      parts: its contents, in order; adjacent charts are shown side by side.
    """

    title: str
    text: str = ""
    parts: Sequence[Part] = ()


@dataclasses.dataclass(frozen=True)
class Page:
    """A whole report.

    Attributes:
      title: its heading and the name of the browser's tab.
      subtitle: one sentence under it.
      facts: metadata of the page (data, split, seeds), by name.
      sections: its sections, in order.
    """

    title: str
    subtitle: str = ""
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    sections: Sequence[Section] = ()
