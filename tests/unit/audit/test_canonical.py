"""Canonical JSON: one form for everything, and reading it back gives what was written."""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakewarden.audit.canonical import canonical, plain
from lakewarden.errors import LakeError

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.datetimes() | st.dates()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner), max_leaves=12)


@given(VALUES)
def test_what_is_written_is_read_back_and_written_alike(value):
    once = canonical(plain(value))
    assert json.loads(once) == plain(value)
    assert canonical(json.loads(once)) == once


def test_the_example_of_the_rfc():
    given_ = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 1e-27],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert canonical(given_).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_what_json_has_no_form_for_becomes_text_or_null():
    @dataclass(frozen=True)
    class Point:
        x: float
        day: dt.date

    moment = dt.datetime(2026, 1, 5, 13, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    assert plain([2**53, -(2**53), 2**53 - 1, 1e17, 7.0, math.inf]) == [str(2**53), str(-(2**53)), 2**53 - 1, "100000000000000000", 7, None]
    assert plain({1: Point(0.5, dt.date(2026, 1, 5)), "at": moment, "names": {"b", "a"}, "raw": b"x"}) == {
        "1": {"x": 0.5, "day": "2026-01-05"},
        "at": "2026-01-05T12:00:00+00:00",
        "names": ["a", "b"],
        "raw": "b'x'",
    }
    assert plain("a\ud800") == "a\\ud800"


def test_what_has_no_canonical_form_is_refused():
    with pytest.raises(LakeError, match="canonical"):
        canonical({"n": 2**60})
