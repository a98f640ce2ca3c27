import math

import pytest

from moa_jax.report.number_text import MINUS, decimals_for, exact_text, number_text, sort_text, tidy


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0.4837, 3, ".484"),
        (-0.0321, 3, f"{MINUS}.032"),
        (1.0, 3, "1.000"),
        (-0.0001, 3, ".000"),
        (0.0, 3, ".000"),
        (1707.0, 0, "1,707"),
        (12.346, 2, "12.35"),
        (math.nan, 3, "n/a"),
        (-math.inf, 3, f"{MINUS}∞"),
    ],
)
def test_number_text(value, decimals, text):
    assert number_text(value, decimals) == text


def test_decimals_follow_the_largest_finite_value():
    values = {3: 9.99, 2: -99.9, 1: 999.0, 0: 1000.0}
    assert {count: decimals_for([0.1, value, math.inf]) for count, value in values.items()} == {
        count: count for count in values
    }
    assert decimals_for([math.nan]) == 3


def test_a_small_number_is_not_shown_as_zero():
    assert exact_text(3.14e-7, 3) == f"3.1e{MINUS}07"
    assert exact_text(-3.14e-7, 3) == f"{MINUS}3.1e{MINUS}07"
    assert exact_text(0.0005, 3) == number_text(0.0005, 3)
    assert exact_text(0.0, 3) == ".000"


def test_tidy_keeps_a_plus_and_drops_the_sign_of_zero():
    assert [tidy(text) for text in ("+0.10", "+0.00", "-0%", "10%", "-5")] == [
        "+.10",
        ".00",
        "0%",
        "10%",
        f"{MINUS}5",
    ]


@pytest.mark.parametrize("value", [0.1 + 0.2, -1e-300, 5.0, math.inf, -math.inf])
def test_sort_text_gives_the_value_back(value):
    assert float(sort_text(value)) == value


def test_sort_text_of_nan_is_empty():
    assert not sort_text(math.nan)
