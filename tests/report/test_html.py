import base64
import hashlib
import math
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from moa_jax.report.html import render_page, write_page
from moa_jax.report.number_text import MINUS
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
from moa_jax.schemas import InputError
from tests.report.pages import cells_of, parse, realistic_page, table_page

HOSTILE = (
    "<script>alert(1)</script>",
    "</table></style></script><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)" x=\'',
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}&amp;&lt;",
    "]]>--><!--",
)


def rendered(*parts):
    return parse(render_page(table_page(*parts)))


def body_cells(tree, tag="td"):
    (body,) = tree.all("tbody")
    return list(body.all(tag))


def test_cells_show_numbers_and_sort_by_them():
    tree = rendered(
        Table(
            ["method", "AP", "compounds", "p", "best"],
            [
                ["a", Estimate(0.4837, 0.451, 0.5119), 1707, 2e-7, True],
                ["b", Estimate(0.5), 12, 0.25, False],
                ["c", Estimate(math.nan, math.nan, math.nan), 3, math.nan, False],
            ],
        )
    )
    (table,) = tree.all("table")
    assert cells_of(table) == [
        ["method", "AP", "compounds", "p", "best"],
        ["a", ".484 [.451, .512]", "1,707", f"2.0e{MINUS}07", "yes"],
        ["b", ".500", "12", ".250", "no"],
        ["c", "n/a", "3", "n/a", "no"],
    ]
    sort = [cell.attributes.get("data-sort") for cell in body_cells(tree)]
    assert sort[:4] == ["0.4837", "1707.0", "2e-07", None]
    assert sort[8:] == ["", "3.0", "", None]
    heads = [head.attributes.get("class") for head in table.all("th")]
    assert heads[:5] == [None, "number", "number", "number", None]


def test_rows_are_sorted_by_the_named_column_with_nan_last():
    rows = [["fold 10", 0.2], ["fold 9", math.nan], ["fold 1", 0.9], ["fold 2", 0.2]]

    def order(**options):
        tree = rendered(Table(["fold", "AP"], rows, **options))
        heads = [head.attributes.get("aria-sort") for head in tree.all("th")][:2]
        return [cell.text.split()[1] for cell in body_cells(tree, "th")], heads

    assert order() == (["10", "9", "1", "2"], ["none", "none"])
    assert order(sort_by="AP") == (["1", "10", "2", "9"], ["none", "descending"])
    assert order(sort_by="fold") == (["10", "9", "2", "1"], ["descending", "none"])


def test_bars_share_the_scale_of_their_column():
    rows = [["a", Estimate(0.5, 0.25, 0.8)], ["b", Estimate(-0.1, -0.2, 0.3)], ["c", Estimate(0.1)]]
    tree = rendered(Table(["method", "difference"], rows))
    # From -.2 to .8: zero stands at 20 hundredths.
    bars = [
        [
            (rect.attributes["class"], float(rect.attributes["x"]), float(rect.attributes["width"]))
            for rect in cell.all("rect")
            if rect.attributes["class"] != "track"
        ]
        for cell in body_cells(tree)
    ]
    assert bars == [
        [("bar", 20, 50), ("interval", 45, 55), ("zero", 20, 0.8)],
        [("bar", 10, 10), ("interval", 0, 50), ("zero", 20, 0.8)],
        [("bar", 20, 10), ("zero", 20, 0.8)],
    ]


def test_a_heat_map_colours_its_cells():
    values = np.array([[0.0, 0.5], [1.2, math.nan]])
    tree = rendered(HeatMap(["x", "y"], ["p", "q"], values, low=0, high=1, corner="MoA"))
    (table,) = tree.all("table")
    assert cells_of(table) == [["MoA", "p", "q"], ["x", ".00", ".50"], ["y", "1.20", ""]]
    cells = body_cells(tree)
    assert [cell.attributes["class"] for cell in cells] == [
        "sequential-0",
        "sequential-16",
        "sequential-32",
        "missing",
    ]
    assert [cell.attributes["title"] for cell in cells] == [
        "x, p: 0",
        "x, q: .5",
        "y, p: 1.2",
        "y, q: n/a",
    ]
    assert cells[3].attributes["data-sort"] == ""
    (legend,) = [span for span in tree.all("span") if span.attributes.get("class") == "legend"]
    assert (legend.text, len(list(legend.all("i")))) == (".001.00", 33)


@pytest.mark.parametrize(
    ("values", "options", "classes"),
    [
        ([[-0.1, 0.0, 0.2]], {}, ["diverging-8", "diverging-16", "diverging-32"]),
        ([[-1, 0, 3]], {"low": -2, "high": 2}, ["diverging-8", "diverging-16", "diverging-32"]),
        ([[2.0, 3.0, 4.0]], {}, ["sequential-0", "sequential-16", "sequential-32"]),
        ([[0.0, 0.0, 0.0]], {}, ["sequential-0"] * 3),
        ([[math.nan] * 3], {}, ["missing"] * 3),
    ],
)
def test_zero_inside_the_range_is_the_middle_of_a_diverging_ramp(values, options, classes):
    tree = rendered(HeatMap(["x"], ["p", "q", "r"], np.array(values), **options))
    assert [cell.attributes["class"] for cell in body_cells(tree)] == classes


def test_a_chart_is_drawn_with_its_key():
    chart = LineChart(
        [Series("a", [0, 10], [0, 1], [0, 0.8], [0.2, 1]), Series("b", [0, 10], [1, 1])],
        "dose",
        "effect",
        caption="Two lines.",
        x_range=(0, 10),
        y_range=(0, 1),
    )
    tree = rendered(chart)
    drawing = next(tree.all("svg"))
    paths = {
        (kind, path.attributes["d"])
        for path in drawing.all("path")
        if (kind := path.attributes.get("class", "")).startswith(("line", "band"))
    }
    assert paths == {
        ("band line-0", "M65,284L500,66.4L500,12L65,229.6Z"),
        ("line line-0", "M65,284L500,12"),
        ("line line-1", "M65,12L500,12"),
    }
    texts = [text.text for text in drawing.all("text")]
    assert texts == [
        *("0.0", "0.2", "0.4", "0.6", "0.8", "1.0"),
        *("0", "2", "4", "6", "8", "10"),
        "dose",
        "effect",
    ]
    assert [item.text for item in tree.all("li")] == ["a", "b"]
    # What the picture refers to by name is there.
    names = {
        element.attributes.get("id")
        for tag in ("clippath", "figcaption")
        for element in tree.all(tag)
    }
    assert drawing.attributes["aria-labelledby"] in names
    (group,) = [group for group in drawing.all("g") if "clip-path" in group.attributes]
    assert group.attributes["clip-path"].removeprefix("url(#").removesuffix(")") in names


def page_of(names):
    """A page with every part, everything on it called as `names` say."""
    sections = []
    for name in names:
        parts = [
            Table([name, name], [[name, name]] * 9, name, sort_by=name),
            HeatMap([name] * 9, [name] * 2, np.zeros((9, 2)), name, corner=name),
            LineChart([Series(name, [0, 1], [0, 1])], name, name, name),
            LineChart([Series(name, [0, 1], [0, 1])], name, name),
            Text(name),
            Note(name, "warning"),
        ]
        sections.append(Section(name, name, parts))
    return Page(names[0], names[1], {name: name for name in names}, sections)


def test_names_cannot_become_part_of_the_page():
    tree = parse(render_page(page_of(HOSTILE)))
    harmless = parse(render_page(page_of([f"name {number}" for number in range(len(HOSTILE))])))

    def shape(element):
        """Elements and the names of their attributes, without any text."""
        inside = [shape(child) for child in element.children if not isinstance(child, str)]
        return element.tag, sorted(element.attributes), inside

    assert shape(tree) == shape(harmless)
    assert [head.text for head in tree.all("h2")] == [name.strip() for name in HOSTILE]
    assert {link.attributes["href"][:1] for link in tree.all("a")} == {"#"}
    assert next(tree.all("title")).text == HOSTILE[0]


def test_the_policy_admits_the_pages_own_script_and_style_alone():
    tree = parse(render_page(realistic_page()))
    (policy,) = [
        element.attributes["content"]
        for element in tree.all("meta")
        if element.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    hashes = {}
    for tag in ("style", "script"):
        (element,) = tree.all(tag)
        assert not element.attributes
        digest = hashlib.sha256("".join(element.children).encode()).digest()
        hashes[tag] = base64.b64encode(digest).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{hashes['style']}'; "
        f"script-src 'sha256-{hashes['script']}'; base-uri 'none'; form-action 'none'"
    )


def test_the_page_names_nothing_outside_itself():
    source = render_page(realistic_page())
    for word in ("http:", "https:", "//cdn", "src=", "@import", "@font-face", "<link", 'style="'):
        assert word not in source, word
    tree = parse(source)
    sections = {f"#{section.attributes['id']}" for section in tree.all("section")}
    (navigation,) = tree.all("nav")
    assert {link.attributes["href"] for link in navigation.all("a")} == sections
    identifiers = [
        element.attributes["id"]
        for tag in ("section", "h2", "figcaption", "clippath", "main")
        for element in tree.all(tag)
        if "id" in element.attributes
    ]
    assert len(identifiers) == len(set(identifiers))


def test_text_is_split_into_paragraphs():
    tree = rendered(
        Text("One\nline.\n\n\n Two. \n"), Note("Three.\n\nFour."), Note("Five.", "warning")
    )
    assert [paragraph.text for paragraph in tree.all("p")] == [
        "One\nline.",
        "Two.",
        "Note",
        "Three.",
        "Four.",
        "Warning",
        "Five.",
    ]


def test_a_folded_table_shows_its_caption_until_it_is_opened():
    folded = Table(("name", "size"), [("a", 1)], caption="Seen & <named>.", folded=True)
    tree = rendered(folded, Table(("name",), [("b",)], caption="Open."))
    (details,) = tree.all("details")
    assert next(details.all("summary")).text == "Seen & <named>."
    assert "open" not in details.attributes
    assert [cells_of(table)[1] for table in details.all("table")] == [["a", "1"]]
    assert [caption.text for caption in tree.all("figcaption")] == ["Open."]
    with pytest.raises(ValueError, match="folded table has no caption"):
        Table(("name",), [("a",)], folded=True)


def test_short_tables_have_no_box_to_filter():
    def boxes(rows):
        return len(list(rendered(Table(["a"], [["b"]] * rows)).all("input")))

    assert (boxes(8), boxes(9)) == (0, 1)


def test_empty_parts_make_a_page():
    tree = rendered(
        Table(["a", "b"], []),
        HeatMap([], [], np.zeros((0, 0))),
        LineChart([], "x", "y", diagonal=True),
        LineChart([Series("a", [], [])], "x", "y"),
    )
    assert len(list(tree.all("table"))) == 2


def test_equal_pages_give_equal_bytes_in_every_process(tmp_path):
    program = (
        "import sys; from moa_jax.report.html import write_page; "
        "from tests.report.pages import realistic_page; write_page(sys.argv[1], realistic_page())"
    )
    written = []
    for seed in ("1", "2"):
        path = tmp_path / f"{seed}.html"
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        root = pathlib.Path(__file__).parents[2]
        subprocess.run(
            [sys.executable, "-c", program, str(path)], check=True, env=environment, cwd=root
        )
        written.append(path.read_bytes())
    assert written[0] == written[1] == render_page(realistic_page()).encode()


def test_half_characters_are_replaced(tmp_path):
    write_page(tmp_path / "page.html", table_page(Text("a\ud800b")))
    assert "a?b" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    path = tmp_path / "page.html"
    path.mkdir()
    (path / "kept").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*page\.html"):
        write_page(path, table_page())
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Table(["a", "b"], [["x", 1], ["y"]]), "row 2 has 1 cells for 2 columns"),
        (lambda: Table(["a"], [], sort_by="b"), "no column 'b'"),
        (lambda: Estimate(0.5, 0.6, 0.4), r"\[0.6, 0.4\] is upside down"),
        (lambda: Series("a", [1], [1], low=[0]), "one edge of a band"),
        (lambda: Series("a", [1, 2], [1]), r"parts of \[1, 2\] points"),
        (lambda: LineChart([], "x", "y", y_range=(1, 1)), r"\(1, 1\) is empty"),
        (lambda: HeatMap(["a"], ["b"], np.zeros((1, 2))), r"\(1, 1\) names has values of \(1, 2\)"),
        (lambda: HeatMap(["a"], ["b"], np.zeros((1, 1)), low=1, high=0), "is empty"),
    ],
)
def test_parts_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
