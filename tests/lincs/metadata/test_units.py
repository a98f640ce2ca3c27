import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moa_jax.lincs.metadata.units import amount_text, is_unknown_amount, parse_dose_um, parse_time_h


@pytest.mark.parametrize(
    ("text", "dose"),
    [
        ("10 uM", 10.0),
        ("500 nM", 0.5),
        ("1.5mM", 1500.0),
        ("0.37 \u00b5M", 0.37),
        ("0.37 \u03bcM", 0.37),
        ("41.0 um", 41.0),
        ("20 pM", 2e-5),
        ("1 M", 1e6),
        ("10", 10.0),
        ("1e-2 uM", 0.01),
        ("0 uM", 0.0),
        ("5 uM|5000 nM", 5.0),
        ("1 \u00b5mol/L", 1.0),
        ("3 umol/l", 3.0),
        ("250 nmol/L", 0.25),
        ("2 mmol L-1", 2000.0),
        ("2 micromolar", 2.0),
        ("10 <b5>M", 10.0),
        ("10 \u00c2\u00b5M", 10.0),
        ("0,1 uM", 0.1),
        (",1 uM", 0.1),
        ("1,5e-1 uM", 0.15),
        ("1.234,5 nM", 1.2345),
        ("1,234.5 nM", 1.2345),
        ("1e-6 M", 1.0),
        ("10uM.", 10.0),
    ],
)
def test_molar_doses_become_micromolar(text, dose):
    assert parse_dose_um(text) == pytest.approx(dose, rel=1e-15)


@pytest.mark.parametrize("text", ["0.1 %", "100 ng/mL", "1 uL", "5 uM|10 uM"])
def test_a_dose_without_one_molar_value_is_missing(text):
    assert math.isnan(parse_dose_um(text))


@pytest.mark.parametrize(
    ("text", "time"),
    [
        *(("24 h", 24.0), ("6H", 6.0), ("90 min", 1.5), ("3 days", 72.0), ("144", 144.0)),
        *(("1 week", 168.0), ("2wks", 336.0), ("1,5 d", 36.0), ("1800 s", 0.5), ("24 hrs.", 24.0)),
    ],
)
def test_times_become_hours(text, time):
    assert parse_time_h(text) == pytest.approx(time, rel=1e-15)


@pytest.mark.parametrize(
    "text", ["ten uM", "", "-3 uM", "uM", "1e999 uM", "5|", "1,000 uM", "1.2.3 uM"]
)
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(ValueError, match=r"number|larger"):
        parse_dose_um(text)


def test_one_amount_has_one_text():
    assert {amount_text(text) for text in ("1ng/mL", "1.0 ng/mL", " 1  ng/mL", "1,0 ng/mL")} == {
        "1 ng/mL"
    }
    assert amount_text("5 uM|10 uM|5.0 uM") == "5 uM|10 uM"
    assert all(map(is_unknown_amount, ["-666 uM", "-666.0 h", "-666"]))
    assert not any(map(is_unknown_amount, ["666 uM", "1 uM", "-666 kinds of"]))


@settings(deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_an_amount_missing_or_refused(text):
    for parse in (parse_dose_um, parse_time_h):
        try:
            value = parse(text)
        except ValueError:
            continue
        assert math.isnan(value) or 0 <= value < math.inf


@settings(deadline=None)
@given(
    st.floats(1e-6, 1e6),
    st.sampled_from([("pM", 1e-6), ("nM", 1e-3), ("uM", 1.0), ("mM", 1e3)]),
    st.sampled_from(["", " ", "  "]),
)
def test_a_written_dose_is_read_back(number, unit, gap):
    assert parse_dose_um(f"{number!r}{gap}{unit[0]}") == pytest.approx(number * unit[1])
