"""A realistic page, and a reader of pages that knows nothing of how they were written."""

import dataclasses
import html.parser
import math

import numpy as np

from moa_jax.report.parts import (
    Estimate,
    HeatMap,
    LineChart,
    Note,
    Page,
    Section,
    Series,
    Table,
    Text,
)

VOID = {"meta", "input", "br", "link"}


@dataclasses.dataclass
class Element:
    tag: str
    attributes: dict
    children: list = dataclasses.field(default_factory=list)

    def all(self, tag):
        """Every element of that name below this one, in the order of the file."""
        for child in self.children:
            if isinstance(child, Element):
                if child.tag == tag:
                    yield child
                yield from child.all(tag)

    @property
    def text(self):
        parts = [child if isinstance(child, str) else child.text for child in self.children]
        return "".join(parts).strip()


class _Builder(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open = [Element("document", {})]

    def handle_starttag(self, tag, attrs):
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.open[-1].children.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        self.open[-1].children.append(data)


def parse(source):
    """The tree of a page; every element has to be closed where it should."""
    builder = _Builder()
    builder.feed(source)
    builder.close()
    assert len(builder.open) == 1
    return builder.open[0]


def cells_of(table):
    """Rows of the texts of a table's cells, its head first."""
    return [
        [cell.text for cell in row.children if isinstance(cell, Element)] for row in table.all("tr")
    ]


def table_page(*parts):
    return Page("A page", sections=[Section("A section", parts=parts)])


def realistic_page(num_methods=40, num_moas=53):
    """Many methods, metrics and MoAs with made-up numbers."""
    rng = np.random.default_rng(0)
    methods = [f"method {number} with a long name" for number in range(num_methods)]
    values = rng.uniform(0.05, 0.9, (num_methods, 8))
    rows = [
        [name, *(Estimate(value, value - 0.03, value + 0.03) for value in row)]
        for name, row in zip(methods, values.tolist(), strict=True)
    ]
    rows[3][1] = Estimate(math.nan)
    x = np.linspace(0, 1, 50)
    charts = [
        LineChart(
            [
                Series(f"method {number}", x, x ** (1 + number), x ** (1 + number) - 0.05, x + 0.05)
                for number in range(4)
            ],
            "coverage",
            "risk",
            caption=f"Chart {chart}.",
            y_range=(0, 1),
            diagonal=True,
        )
        for chart in range(4)
    ]
    moas = [f"receptor {number} antagonist" for number in range(num_moas)]
    return Page(
        title="A benchmark with made-up numbers",
        subtitle="Nothing here was measured.",
        facts={"release": "simulated", "compounds": "414"},
        sections=[
            Section(
                "Methods",
                "One paragraph.\n\nAnother one.",
                [
                    Note("Mind the intervals."),
                    Table(["method", *"ABCDEFGH"], rows, "All methods.", sort_by="A"),
                ],
            ),
            Section(
                "MoAs",
                parts=[HeatMap(moas, methods[:30], rng.random((num_moas, 30)), "Per MoA.", 0, 1)],
            ),
            Section("Curves", parts=[*charts, Text("That was all.")]),
        ],
    )
