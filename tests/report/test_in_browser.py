"""The page as a browser shows it; skipped where there is none."""

import itertools

import pytest

from moa_jax.report.html import write_page
from moa_jax.report.parts import Estimate, LineChart, Note, Page, Section, Series, Table
from tests.report.pages import realistic_page, table_page

# Text, background and size of everything that shows text of its own.
READABLE = """
const transparent = "rgba(0, 0, 0, 0)";
function backgroundOf(element) {
  for (let at = element; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor;
    if (colour !== transparent) return colour;
  }
  return "rgb(255, 255, 255)";
}
const seen = new Set();
for (const element of document.querySelectorAll("body *:not(script)")) {
  const texts = Array.from(element.childNodes).filter((node) => node.nodeType === Node.TEXT_NODE);
  const own = texts.some((node) => node.data.trim());
  if (!own || !element.checkVisibility() || element.closest("title")) continue;
  const style = getComputedStyle(element);
  const inSvg = element instanceof SVGElement;
  seen.add((inSvg ? style.fill : style.color) + "|" + backgroundOf(element));
}
return Array.from(seen);
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_page(path, realistic_page())
    return path


@pytest.fixture
def small(tmp_path):
    numbers = [3.0, float("nan"), -20.0, 100.0, 0.5, 1e-9, 7.0, 20.0, 9.0, -0.5]
    rows = [[f"fold {10 - row}", number, Estimate(number)] for row, number in enumerate(numbers)]
    path = tmp_path / "small.html"
    write_page(path, table_page(Table(["fold", "number", "estimate"], rows)))
    return path


def column(browser, number):
    script = (
        "return Array.from(document.querySelectorAll('tbody tr')).filter((row) => !row.hidden)"
        ".map((row) => row.cells[arguments[0]].dataset.sort ?? row.cells[arguments[0]].textContent)"
    )
    return browser.run(script, number)


def sorts(browser):
    return [head.get_attribute("aria-sort") for head in browser.find_all("thead th")]


@pytest.mark.parametrize("width", [1280, 375])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_opens_and_fits(browser, report, width, dark):
    browser.open(report, width, dark=dark)
    assert browser.console() == []
    assert browser.requests() == [report.as_uri()]
    assert browser.run("return performance.getEntriesByType('resource').length") == 0
    assert browser.overflow() == 0
    assert browser.run("return innerWidth") == width
    tables = browser.find_all(".box")
    assert len(tables) == 2
    for table in tables:
        # What does not fit scrolls inside its box, which the keyboard can reach.
        assert table.size["width"] <= width
        assert table.get_attribute("tabindex") == "0"


@pytest.mark.parametrize("dark", [False, True])
def test_all_text_can_be_read(browser, report, dark):
    browser.open(report, dark=dark)
    pairs = [pair.split("|") for pair in browser.run(READABLE)]
    assert len(pairs) > 30
    assert {pair: ratio for pair in map(tuple, pairs) if (ratio := ratio_of(*pair)) < 4.5} == {}


def ratio_of(text, background):
    """Contrast of two colours as the browser writes them, by WCAG 2.2."""
    levels = []
    for colour in (text, background):
        encoded = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
        linear = [
            level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4
            for level in encoded
        ]
        levels.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(levels) + 0.05) / (min(levels) + 0.05)


@pytest.mark.parametrize("number", [1, 2])
def test_a_click_sorts_numbers_with_nan_last(browser, small, number):
    browser.open(small)
    button = browser.find_all("thead button")[number]
    button.click()
    falling = ["100.0", "20.0", "9.0", "7.0", "3.0", "0.5", "1e-09", "-0.5", "-20.0"]
    assert column(browser, number) == [*falling, ""]
    assert sorts(browser)[number] == "descending"
    button.click()
    assert column(browser, number) == [*reversed(falling), ""]
    assert sorts(browser)[number] == "ascending"
    assert sorts(browser).count("none") == 2
    assert column(browser, 0)[-1] == "fold 9"


def test_the_keyboard_sorts_text_as_people_count(browser, small):
    browser.open(small)
    button = browser.find_all("thead button")[0]
    button.send_keys("\ue007")  # Enter
    assert column(browser, 0) == [f"fold {number}" for number in range(1, 11)]
    button.send_keys(" ")
    assert column(browser, 0) == [f"fold {number}" for number in range(10, 0, -1)]
    assert sorts(browser) == ["descending", "none", "none"]


def test_the_page_opens_in_the_order_of_its_table_head(browser, report):
    browser.open(report)
    shown = browser.run(
        "const table = document.querySelector('table');"
        "return [Array.from(table.tHead.rows[0].cells, (cell) => cell.ariaSort),"
        " Array.from(table.tBodies[0].rows, (row) => row.cells[1].dataset.sort)]"
    )
    assert shown[0] == ["none", "descending"] + ["none"] * 7
    numbers = [float(text) for text in shown[1][:-1]]
    assert numbers == sorted(numbers, reverse=True)
    assert shown[1][-1] == ""


def test_heat_maps_sort_by_a_column(browser, report):
    browser.open(report)
    values = (
        "return Array.from(document.querySelectorAll('.heat tbody tr'), (row) => "
        "Number(row.cells[7].dataset.sort))"
    )
    before = browser.run(values)
    browser.run("document.querySelectorAll('.heat thead button')[7].click()")
    assert browser.run(values) == sorted(before, reverse=True) != before


def test_the_filter_keeps_the_rows_with_all_words(browser, small):
    browser.open(small)
    box = browser.find(".filter input")
    box.send_keys("FOLD 1")
    assert column(browser, 0) == ["fold 10", "fold 1"]
    assert browser.find(".count").text == "2 of 10 rows"
    browser.find_all("thead button")[0].click()
    assert column(browser, 0) == ["fold 1", "fold 10"]
    box.send_keys("\ue003" * len("FOLD 1"))  # Backspace
    assert len(column(browser, 0)) == 10
    assert browser.find(".count").text == ""


def test_heads_stay_while_a_table_scrolls(browser, report):
    browser.open(report, 375)
    places = """
      const box = document.querySelectorAll(".box")[1];
      const place = (selector) => {
        const inner = box.querySelector(selector).getBoundingClientRect();
        const outer = box.getBoundingClientRect();
        return [inner.left - outer.left, inner.top - outer.top];
      };
      box.scrollTo(arguments[0], arguments[0]);
      return [box.scrollLeft, box.scrollTop, place("tbody th")[0], place("thead th + th")[1]];
    """
    still, moved = browser.run(places, 0), browser.run(places, 300)
    assert (still[:2], moved[:2]) == ([0, 0], [300, 300])
    assert moved[2:] == still[2:]


def test_the_navigation_leads_to_its_section(browser, report):
    browser.open(report)
    browser.run("document.documentElement.style.scrollBehavior = 'auto'")
    links = browser.find_all("nav a")
    assert [link.text for link in links] == ["Methods", "MoAs", "Curves"]
    links[1].click()
    places = "document.querySelector('#section-2').getBoundingClientRect().top"
    bar = "document.querySelector('nav').getBoundingClientRect().bottom"
    assert 0 <= browser.run(f"return {places} - {bar}") < 40
    assert browser.console() == []


def test_charts_are_drawn_inside_their_picture(browser, report):
    browser.open(report, 375)
    outside = browser.run("""
      return Array.from(document.querySelectorAll(".chart > svg")).flatMap((svg) => {
        const frame = svg.getBoundingClientRect();
        return Array.from(svg.querySelectorAll("text")).filter((text) => {
          const place = text.getBoundingClientRect();
          return place.left < frame.left - 1 || place.right > frame.right + 1
            || place.top < frame.top - 1 || place.bottom > frame.bottom + 1;
        }).map((text) => text.textContent);
      });
    """)
    assert outside == []


def test_injected_code_does_not_run(browser, tmp_path):
    name = (
        "</title></style></script><script>document.title = 'hacked'</script><img src=x onerror=1>"
    )
    path = tmp_path / "hostile.html"
    series = Series(name, [0, 1], [0, 1])
    parts = [Table([name], [[name]] * 9), LineChart([series], name, name), Note(name)]
    write_page(path, Page(name, name, {name: name}, [Section(name, name, parts)] * 2))
    browser.open(path)
    assert browser.driver.title == name
    assert browser.console() == []
    assert browser.requests() == [path.as_uri()]
    assert browser.find_all("img") == []
    # Even code that is already inside is refused by the page's own policy.
    browser.run(
        "const script = document.createElement('script'); script.textContent = 'window.ran = 1';"
        "document.body.append(script)"
    )
    assert browser.run("return window.ran === undefined")
    assert any("Content Security Policy" in message for message in browser.console())


def test_neighbouring_charts_share_their_rows(browser, report):
    browser.open(report)
    tops = browser.run(
        "return Array.from(document.querySelectorAll('.chart > svg'), "
        "(svg) => Math.round(svg.getBoundingClientRect().top))"
    )
    assert tops[0] == tops[1] < tops[2] == tops[3]
    assert all(first <= second for first, second in itertools.pairwise(tops))
