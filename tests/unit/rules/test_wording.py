"""Numbers in plain English."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakewarden.errors import ConfigurationError
from lakewarden.rules.wording import Money, placeholders, say, span

EUR = Money("EUR", 2)


@pytest.mark.parametrize(
    ("minor", "exponent", "said"),
    [
        (1_000_000, 2, "10,000.00 X"),
        (5, 2, "0.05 X"),
        (-1_050, 2, "-10.50 X"),
        (1_234, 0, "1,234 X"),
        (1_234, 3, "1.234 X"),
        (0, 2, "0.00 X"),
    ],
)
def test_money(minor, exponent, said):
    assert Money("X", exponent).say(minor) == said


@settings(deadline=None)
@given(st.integers(0, 10**18), st.integers(0, 4))
def test_money_loses_no_minor_unit(minor, exponent):
    digits = "".join(letter for letter in Money("EUR", exponent).say(minor) if letter.isdigit())
    assert int(digits) == minor


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (119, "119 seconds"),
        (720, "12 minutes"),
        (12_600, "3.5 hours"),
        (777_600, "9 days"),
        (172_800, "2 days"),
    ],
)
def test_spans_of_time(seconds, said):
    assert span(seconds) == said


def test_templates():
    values = {"a": 123_456, "share": 0.934, "ratio": 14.23, "n": 5, "age": 1, "where": "IR", "none": None}
    assert say("{a:money}, {share:percent}, {ratio:times}, {n:count}, {age:days}, {where}", values, EUR) == (
        "1,234.56 EUR, 93 %, 14.2 times, 5, 1 day, IR"
    )
    assert say("{none:money} and {none}", values, EUR) == "unknown and unknown"
    assert say("{{literal}} {ratio:.3f}", values, EUR) == "{literal} 14.230"


def test_placeholders():
    assert placeholders("{a:money} of {b} {{c}}") == ["a", "b"]
    with pytest.raises(ConfigurationError):
        placeholders("{a")
