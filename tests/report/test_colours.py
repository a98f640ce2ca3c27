import itertools

import numpy as np
import pytest

from moa_jax.report.colours import (
    ANCHORS,
    LINE_COLOURS,
    NUM_STEPS,
    PAGE_COLOURS,
    contrast,
    hexadecimal,
    linear_rgb,
    luminance,
    oklab,
    ramp,
    step_of,
    text_colour,
    theme_rules,
)

THEMES = tuple(ANCHORS)
# Machado, Oliveira and Fernandes 2009, table 1, severity 1: what a reader without one kind of
# cones sees.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}


def test_luminance_and_contrast_are_those_of_wcag():
    assert luminance("#ffffff") == pytest.approx(1)
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    # The lightest grey that passes on white at 4.5.
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)
    assert contrast("#ffffff", "#777777") == pytest.approx(4.48, abs=0.005)


def test_oklab_has_the_published_values():
    np.testing.assert_allclose(oklab("#ffffff"), [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(oklab("#ff0000"), [0.62796, 0.22486, 0.12585], atol=1e-5)
    assert hexadecimal(linear_rgb("#12417a")) == "#12417a"


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", ["sequential", "diverging"])
def test_numbers_can_be_read_on_every_step_of_a_ramp(theme, name):
    colours = ramp(ANCHORS[theme][name])
    assert len(set(colours)) == NUM_STEPS
    assert min(contrast(text_colour(colour), colour) for colour in colours) >= 4.5


def test_text_can_be_read_on_any_colour():
    rng = np.random.default_rng(0)
    colours = [hexadecimal(rng.random(3)) for _ in range(500)]
    assert min(contrast(text_colour(colour), colour) for colour in colours) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
def test_ramps_pass_their_anchors_in_even_steps(theme):
    anchors = ANCHORS[theme]["diverging"]
    assert tuple(ramp(anchors)[:: (NUM_STEPS - 1) // 4]) == anchors
    lightness = [oklab(colour)[0] for colour in ramp(ANCHORS[theme]["sequential"])]
    direction = 1 if theme == "dark" else -1
    assert (np.diff(lightness) * direction > 0).all()


def test_a_value_outside_the_range_gets_the_colour_of_the_end():
    assert [step_of(value, 0, 1) for value in (-5, 0, 0.5, 1, 5)] == [0, 0, 16, 32, 32]


@pytest.mark.parametrize("theme", THEMES)
def test_lines_stand_out_from_the_page(theme):
    contrasts = [contrast(colour, PAGE_COLOURS[theme]) for colour in LINE_COLOURS[theme]]
    assert min(contrasts) >= 3


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_lines_stay_apart_for_every_reader(theme, deficiency):
    seen = [
        oklab(hexadecimal(DEFICIENCIES[deficiency] @ linear_rgb(colour)))
        for colour in LINE_COLOURS[theme]
    ]
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)]
    # Five times the just noticeable difference, which is about 0.02.
    assert min(distances) >= 0.1


@pytest.mark.parametrize("theme", THEMES)
def test_every_step_and_line_has_a_rule(theme):
    rules = theme_rules(theme).splitlines()
    assert len(rules) == 2 * NUM_STEPS + len(LINE_COLOURS[theme])
    assert (
        rules[0]
        == {
            "light": ".sequential-0{background:#f3f6fa;color:#000000}",
            "dark": ".sequential-0{background:#1c222b;color:#ffffff}",
        }[theme]
    )
