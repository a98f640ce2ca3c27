"""Figures show their data, are deterministic, and no name can break them."""

import re
import struct
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from moa_jax.report import molecule_drawing
from moa_jax.report.bars import bars
from moa_jax.report.html import render_page
from moa_jax.report.molecule_drawing import molecule_png, molecule_svg, structure_svg
from moa_jax.report.parts import Illustration, Page, Section
from moa_jax.report.shapes import (
    AGAINST,
    FOR,
    Box,
    Label,
    Line,
    Picture,
    shortened,
    text_width,
    to_png,
    to_svg,
)
from moa_jax.report.subnetwork_drawing import HEIGHT, WIDTH, draw_subnetwork
from moa_jax.schemas import InputError

HOSTILE = '<script>alert("1")</script> & \x00\ud800 $\\frac{1}{2}$'
SHOWN = '<script>alert("1")</script> & \ufffd\ufffd $\\frac{1}{2}$'
SVG = "{http://www.w3.org/2000/svg}"
VORINOSTAT = "ONC(=O)CCCCCCC(=O)Nc1ccccc1"


def parsed(svg):
    root = ET.fromstring(svg)
    assert "style" not in svg
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        *("svg", "title", "rect", "path", "text", "ellipse", "polygon", "polyline")
    }
    return root


def png_size(png):
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", png[16:24])


def test_shapes_become_svg_and_png():
    picture = Picture(
        40,
        30,
        (
            Line(1, 2, 3.14159, 4, dashes=(4, 3)),
            Box(0, 0, 10, 8, fill=FOR, radius=2, title=HOSTILE),
            Label(5, 6, HOSTILE, anchor="end", bold=True),
        ),
        HOSTILE,
    )
    svg = to_svg(picture)
    root = parsed(svg)
    assert [title.text for title in root.iter(f"{SVG}title")] == [SHOWN, SHOWN]
    (text,) = root.iter(f"{SVG}text")
    assert (text.text, text.get("text-anchor")) == (SHOWN, "end")
    (path,) = root.iter(f"{SVG}path")
    assert path.get("d") == "M1,2L3.1,4"
    assert path.get("stroke-dasharray") == "4 3"
    assert svg == to_svg(picture)
    png = to_png(picture)
    assert png_size(png) == (80, 60)
    assert png == to_png(picture)


def test_texts_are_measured_and_shortened():
    assert text_width("abcd", 10) == pytest.approx(24)
    assert text_width("ab\u4e2d", 10) == pytest.approx(22.5)
    assert shortened("TP53", 4) == "TP53"
    assert shortened("a name that is long", 8) == "a name\N{HORIZONTAL ELLIPSIS}"


def test_bars_start_at_zero_and_carry_their_intervals():
    names = ["up", "down", HOSTILE, "none"]
    picture = bars(
        names,
        np.array([2.0, -1.0, 0.5, np.nan]),
        low=np.array([1.0, -2.0, np.nan, np.nan]),
        high=np.array([3.0, 0.0, np.nan, np.nan]),
        axis_name="logit",
    )
    boxes = [shape for shape in picture.shapes if isinstance(shape, Box)]
    assert [box.title for box in boxes] == [
        "up: 2.000 [1.000, 3.000]",
        "down: \N{MINUS SIGN}1.000 [\N{MINUS SIGN}2.000, .000]",
        f"{HOSTILE}: .500",
    ]
    up, down, _ = boxes
    assert (up.fill, down.fill) == (FOR, AGAINST)
    # Signs are distinguishable in greyscale as well.
    assert (up.dashes, down.dashes) == ((), (4, 3))
    zero = picture.shapes[-2].x1
    assert up.x == zero
    assert down.x + down.width == pytest.approx(zero, abs=0.02)
    assert up.width == pytest.approx(2 * down.width, abs=0.05)
    assert all(box.x >= 0 and box.x + box.width <= picture.width for box in boxes)
    parsed(to_svg(picture))
    assert bars([], np.zeros(0)).height > 0


def marks_of(svg):
    """Radius of each atom's disc, and how many arcs there are."""
    radii = {
        int(atom): float(radius)
        for radius, atom in re.findall(r"<ellipse [^>]*?rx='([\d.]+)'[^>]*?class='atom-(\d+)'", svg)
    }
    rim = "#{:02X}{:02X}{:02X}".format(*(int(255 * part) for part in molecule_drawing.RIM))
    return radii, svg.count(f"stroke='{rim}'")


def test_discs_have_the_area_of_the_score_and_rims_its_sign():
    scores = np.zeros(19)
    scores[[0, 3, 14]] = [1.0, 0.25, -0.25]
    scores[5] = 0.001
    svg = molecule_svg(VORINOSTAT, scores, title=HOSTILE)
    root = parsed(svg)
    assert root.find(f"{SVG}title").text == SHOWN
    radii, num_dashes = marks_of(svg)
    assert set(radii) == {0, 3, 14}
    assert radii[3] == pytest.approx(radii[0] / 2, abs=0.1)
    assert radii[14] == pytest.approx(radii[0] / 2, abs=0.1)
    assert num_dashes > 0
    assert marks_of(molecule_svg(VORINOSTAT, np.abs(scores)))[1] == 0
    assert svg == molecule_svg(VORINOSTAT, scores, title=HOSTILE)


def test_molecules_without_a_score_are_drawn_bare():
    assert marks_of(molecule_svg(VORINOSTAT, np.zeros(19))) == ({}, 0)
    svg = structure_svg(VORINOSTAT, title=HOSTILE)
    assert marks_of(svg) == ({}, 0)
    root = parsed(svg)
    assert root.find(f"{SVG}title").text == SHOWN
    width, height = molecule_drawing.WIDTH, molecule_drawing.PLAIN_HEIGHT
    assert root.attrib["viewBox"] == f"0 0 {width} {height}"
    # Nothing is written beside the atoms.
    assert svg.count("class='legend'") == 0 < molecule_svg(VORINOSTAT, np.ones(19)).count("legend")
    with pytest.raises(InputError, match="'C1CC' is not a SMILES"):
        structure_svg("C1CC")


def test_molecules_become_png():
    png = molecule_png("CCO", np.array([0.1, -0.2, 0.3]))
    assert png_size(png) == (2 * molecule_drawing.WIDTH, 2 * molecule_drawing.HEIGHT)
    assert png == molecule_png("CCO", np.array([0.1, -0.2, 0.3]))


@pytest.mark.parametrize(
    ("smiles", "scores", "message"),
    [
        ("C1CC", [1.0], "there are 1 atom scores for 'C1CC': no molecule"),
        ("CCO", [1.0], "there are 1 atom scores for 'CCO': 3 heavy atoms"),
        ("CO", [1.0, np.nan], "an atom score of 'CO' is not finite"),
    ],
)
def test_unusable_molecules_are_refused(smiles, scores, message):
    with pytest.raises(InputError, match=message):
        molecule_svg(smiles, np.array(scores))


def network(num_nodes, edges, names=None):
    rng = np.random.default_rng(0)
    return draw_subnetwork(
        names or [f"GENE{row}" for row in range(num_nodes)],
        rng.normal(size=num_nodes),
        np.array(edges, int).reshape(-1, 2),
        np.linspace(0.4, 1.0, len(edges)),
        is_target=np.arange(num_nodes) == 0,
        is_measured=np.arange(num_nodes) % 2 == 0,
    )


def nodes_of(picture):
    return [shape for shape in picture.shapes if isinstance(shape, Box) and shape.title]


RING = [(row, (row + 1) % 12) for row in range(12)]


@pytest.mark.parametrize(
    "edges", [RING, [(0, row) for row in range(1, 16)], [], [(0, 1), (2, 3), (4, 5), (5, 6)]]
)
def test_names_of_a_network_do_not_overlap(edges):
    nodes = nodes_of(network(24, edges))
    assert len(nodes) == 24
    for place, one in enumerate(nodes):
        assert one.x >= 0
        assert one.y >= 0
        assert one.x + one.width <= WIDTH
        assert one.y + one.height <= HEIGHT - 62
        for other in nodes[:place]:
            is_beside = one.x >= other.x + other.width or other.x >= one.x + one.width
            is_above = one.y >= other.y + other.height or other.y >= one.y + one.height
            assert is_beside or is_above, (one.title, other.title)


def test_a_network_marks_targets_measured_genes_and_signs():
    picture = network(6, [(0, 1), (1, 2)])
    scores = np.random.default_rng(0).normal(size=6)
    nodes = nodes_of(picture)
    assert [node.stroke_width > 2 for node in nodes] == [True] + [False] * 5
    assert [node.radius > 2 for node in nodes] == [True, False] * 3
    assert [bool(node.dashes) for node in nodes] == (scores < 0).tolist()
    lines = [shape for shape in picture.shapes if isinstance(shape, Line)]
    assert lines[0].width < lines[1].width
    assert to_svg(picture) == to_svg(network(6, [(0, 1), (1, 2)]))
    svg = to_svg(network(2, [(0, 1)], names=[HOSTILE, "b"]))
    assert HOSTILE[:8] not in svg
    parsed(svg)
    assert png_size(to_png(picture)) == (2 * WIDTH, 2 * HEIGHT)


def test_a_network_without_proteins_has_a_legend():
    picture = network(0, [])
    assert nodes_of(picture) == []
    assert "known target" in to_svg(picture)


def test_pictures_stand_in_a_page():
    molecule = molecule_svg("CCO", np.array([0.1, -0.2, 0.3]), title=HOSTILE)
    chart = to_svg(bars([HOSTILE], np.array([1.0]), axis_name=HOSTILE))
    parts = (Illustration(molecule, caption=HOSTILE), Illustration(chart))
    page = render_page(Page("Pictures", sections=[Section("Drawn", parts=parts)]))
    assert molecule in page
    assert chart in page
    assert page.count("<script>") == 1
    assert page.count('<div class="illustrations">') == 1


@pytest.mark.parametrize(
    ("inside", "culprit"),
    [
        ("<script>alert(1)</script>", "the element 'script'"),
        ("<foreignObject/>", "the element 'foreignObject'"),
        ('<path d="M0,0" onclick="alert(1)"/>', "the attribute 'onclick'"),
        ('<path style="fill:red"/>', "the attribute 'style'"),
        (
            '<rect xmlns:x="http://www.w3.org/1999/xlink" x:href="http://a"/>',
            "the attribute .*href",
        ),
        ("<!-- -->", "a declaration or a comment"),
    ],
)
def test_pictures_that_could_act_are_refused(inside, culprit):
    with pytest.raises(ValueError, match=culprit):
        Illustration(f'<svg xmlns="http://www.w3.org/2000/svg">{inside}</svg>')
