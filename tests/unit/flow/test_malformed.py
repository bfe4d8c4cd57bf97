from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakewarden.flow.malformed import explain

PIECES = st.sampled_from(
    [
        *(bytes([byte]) for byte in b'{}[]:,"\\ \n\t-+.eE0123456789truefalsn/bu'),
        b"true",
        b"false",
        b"null",
        b"\\u00e9",
        b"\\ud800",
        b'""',
        b'"a":',
        b"1.5e3",
        b"\x00",
    ]
)
CANNOT_SAY = "malformed JSON: a number is too large for a double, or an escape is half of a surrogate pair"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"a":1,}', "at byte 7"),
        (b'{"a" 1}', "at byte 5"),
        (b'{"a":01}', "at byte 6"),
        (b'{"a":1.}', "at byte 7"),
        (b'{"a":1e+}', "at byte 8"),
        (b'{"a":tru}', "at byte 8"),
        (b"{'a':1}", "at byte 1"),
        (b'{"a":"\\x"}', "at byte 7"),
        (b'{"a":"\\u12g4"}', "at byte 10"),
        (b'{"a":[1}', "at byte 7"),
        (b"{} x", "at byte 3"),
        (b"{", "it ends too early, after 1 bytes"),
        (b'"', "it ends too early, after 1 bytes"),
        (b'"\\', "it ends too early, after 2 bytes"),
        (b'"\\u12', "it ends too early, after 5 bytes"),
        (b"-", "it ends too early, after 1 bytes"),
        (b"[1,", "it ends too early, after 3 bytes"),
    ],
)
def test_the_place_of_the_first_fault_is_named(body: bytes, place: str) -> None:
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(body)
    assert explain(body).endswith(place)


@given(st.lists(PIECES, max_size=12).map(b"".join))
@settings(max_examples=500, deadline=None)
def test_a_place_is_named_exactly_where_a_parser_refuses(body: bytes) -> None:
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        reason = explain(body)
        assert reason != CANNOT_SAY or b"\\ud800" in body or b"e" in body.lower()
    else:
        assert explain(body) == CANNOT_SAY
