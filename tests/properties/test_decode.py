"""decode gives every body what the exact reader gives it: for any bytes, in any company, in any cut."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson
import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lakewarden.contracts.compiler import CompiledContract, compile_contract, load
from lakewarden.flow.decode import decode
from lakewarden.flow.exact import read_exactly
from lakewarden.flow.plan import plan
from lakewarden.settings import FlowSettings

SETTINGS = FlowSettings(max_event_bytes=4096)


def _contract() -> CompiledContract:
    schema = load(2)
    schema["properties"] |= {
        "attempts": {"type": "integer"},
        "contactless": {"type": "boolean"},
        "settled": {"type": "string", "format": "date-time"},
        "fee": {"type": "number"},
        "routes": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
    }
    return compile_contract(schema)


CONTRACT = _contract()
NAMES = [*CONTRACT.properties, "enqueued_time"]

PLAIN = {
    "transaction_id": "T000000000000001",
    "event_time": "2024-03-05T18:54:51.800875Z",
    "account_id": "A08470054",
    "amount": 2674.59,
    "currency": "EUR",
    "channel": "POS",
    "country": "FR",
    "risk_flags": ["manual", "a rather long upstream flag"],
    "attempts": 3,
    "contactless": True,
    "enqueued_time": "2024-03-05T18:54:52Z",
}
CLEAN = json.dumps(PLAIN).encode()

numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers().map(str),
    st.integers(-(2**70), 2**70).map(str),
    st.from_regex(r"-?[0-9]{0,20}\.?[0-9]{0,25}([eE][+-]?[0-9]{0,3})?", fullmatch=True),
    st.sampled_from(
        ["-0", "-0.0", "0e5", "1e400", "-1e400", "1e-400", "1E+5", "01", "1.", ".5", "+1", "NaN", "Infinity", "1e22", "1e23", "0.1e1"]
    ),
)
scalars = st.one_of(
    numbers,
    st.sampled_from(
        ["true", "false", "null", "tru", "nul", "True", "", "[]", "{}", "[", "}", '"', '["a"]', '[ "a" , "b" ]', '["a",1]', "[null]"]
    ),
    st.text(max_size=20).map(json.dumps),
    st.text(max_size=20).map(lambda text: orjson.dumps(text).decode()),
    st.sampled_from(
        ['"2024-02-29T23:59:60Z"', '"2024-02-29t23:59:59.1234567+01:30"', '"2023-02-29T00:00:00Z"', '"\\ud800"', '"\\u0022"', '"a\tb"']
    ),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]"),
        st.lists(st.tuples(st.text(max_size=3).map(json.dumps), inner), max_size=3).map(
            lambda pairs: "{" + ",".join(f"{key}:{value}" for key, value in pairs) + "}"
        ),
    ),
    max_leaves=4,
)
keys = st.one_of(st.sampled_from(NAMES), st.sampled_from(["amoun", "amounts", "x", "é", "am\\u006funt", "", 'a\\"b']), st.text(max_size=5))
space = st.sampled_from(["", "", "", " ", "\n", "\r\n\t", "\x0b"])
member = st.tuples(keys, space, space, values, space).map(lambda m: f'"{m[0]}"{m[1]}:{m[2]}{m[3]}{m[4]}')
written = st.lists(member, max_size=8).map(lambda members: ("{" + ",".join(members) + "}").encode("utf-8", "surrogatepass"))


@st.composite
def typed(draw: st.DrawFn) -> bytes:
    """An event with each property of its own type, mostly; some members doubled, renamed or of another type."""
    event: list[tuple[str, Any]] = []
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=12)):
        dtype = CONTRACT.properties.get(name, pl.String())
        of_type: Any = {
            pl.Float64(): st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**19), 10**19)),
            pl.Int64(): st.integers(-(2**63), 2**63 - 1),
            pl.Boolean(): st.booleans(),
            pl.List(pl.String()): st.lists(st.text(max_size=15), max_size=3),
        }.get(dtype, st.text(max_size=18))
        event.append((name, draw(of_type)))
    dumps = draw(st.sampled_from([json.dumps, lambda value: json.dumps(value, ensure_ascii=False)]))
    return ("{" + ", ".join(f'"{name}": {dumps(value)}' for name, value in event) + "}").encode("utf-8", "surrogatepass")


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A clean event with a few bytes changed, doubled, cut out or put in."""
    body = bytearray(CLEAN)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(len(body) - 1, 0)))
        what = draw(st.sampled_from(["change", "insert", "cut", "copy"]))
        if what == "change" and body:
            body[at] = draw(st.integers(0, 255))
        elif what == "insert":
            body[at:at] = draw(st.one_of(st.binary(max_size=3), st.sampled_from([b'"', b"\\", b"\n", b"}", b"{", b",", b"null", b"\x00"])))
        elif what == "cut":
            del body[at : at + draw(st.integers(1, 40))]
        else:
            body[at:at] = body[at : at + draw(st.integers(1, 60))]
    return bytes(body)


bodies = st.one_of(
    typed(), written, mutated(), st.binary(max_size=40), st.sampled_from([CLEAN, b"", b"{}", b" {} ", b"[]", b"null", CLEAN + CLEAN])
)

ADVERSARIAL = [
    b'{"transaction_id":1,"foo":2}',
    b'{"transaction_id":"a","transaction_id":"b"}',
    b'{"x":1,"x":{"b":1,"a":2}}',
    b'{"amount":true,"contactless":1}',
    b'{"amount":1e400,"x":1e400,"fee":-0}',
    b'{"x":1e400}',
    b'{"amount":1e400}',
    b'{"amount":-1e400,"fee":1}',
    b'{"amount":-0,"fee":-0.0}',
    b'{"transaction_id":"a","amount":1,"transaction_id":null,"amount":0.1234567890123456789,"risk_flags":["a"],"risk_flags":[]}',
    b'{"amount":1e00000000000000000000005,"fee":0.00000000000000000000012e25}',
    b'{"amount":1E-0000000000000000000000,"fee":100000000000000000000e-20}',
    b'{"transaction_id":"a","x":[1}}',
    b'{"x":[},"y":{]}',
    b'{"x":}',
    b'{"x":1 2}',
    b'{"x" "y"}',
    b'{"amount":9007199254740993,"fee":123456789.123456789123456789,"attempts":1.0}',
    b'{"attempts":9223372036854775808,"amount":18446744073709551616}',
    b'{"transaction_id":"\xed\xa0\x80"}',
    b'{"transaction_id":"\xc3\xa9\xf0\x9f\x92\xb6"}',
    b'{"\xc3\xa9":"\xff"}',
    b"\xef\xbb\xbf{}",
    b'{"transaction_id":"a"}\x00',
    b'{"transaction_id":"a\x00"}',
    b'{"x":' + b"[" * 1000 + b"]" * 1000 + b"}",
    b'{"amount":' + b"[" * 1000 + b"]" * 1000 + b"}",
    b'{"x":' + b"[" * 2000 + b"]" * 2000 + b"}",
    b'{"x":"' + b"a" * 5000 + b'"}',
    b'{"enqueued_time":5,"transaction_id":"a long enough text"}',
    b'{"risk_flags":["a"],"routes":[["a",null],[]],"settled":"2024-01-01T00:00:00Z"}',
    b'{"risk_flags":["a",null]}',
    b'{"risk_flags":null,"amount":null,"x":null,"settled":null}',
]


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """Doubles with their sign: equality alone doesn't tell a negative zero."""
    return {name: (value, math.copysign(1, value)) if isinstance(value, float) else value for name, value in row.items()}


def rows_of(frame: pl.DataFrame) -> list[dict[str, Any]]:
    # Instants as numbers: the year 0 and what lies before it is no datetime of Python.
    return [comparable(row) for row in frame.with_columns(pl.selectors.datetime().to_physical()).to_dicts()]


def expected(body: bytes | None) -> dict[str, Any]:
    exact = read_exactly([body], plan(CONTRACT), SETTINGS.max_event_bytes)
    frame = pl.DataFrame([*exact.columns.values(), exact.extra]).with_columns(pl.selectors.datetime().to_physical())
    more = {"codes": exact.failures.codes, "reasons": exact.failures.reasons, "decoded": exact.decoded[0]}
    return comparable(frame.to_dicts()[0] | more)


@given(st.lists(st.one_of(bodies, st.none()), max_size=6), st.randoms(use_true_random=False))
@example(ADVERSARIAL, None)
@settings(max_examples=150, deadline=None)
def test_decode_gives_each_body_what_the_exact_reader_gives_it_alone(events: list[bytes | None], order: Any) -> None:
    company = [*events, CLEAN, CLEAN.replace(b"T0", b"T1")]
    if order is not None:
        order.shuffle(company)
    decoded = decode(pl.Series("body", company, dtype=pl.Binary), CONTRACT, SETTINGS)
    assert decoded.height == len(company)
    assert rows_of(decoded) == [expected(body) for body in company]


@given(st.lists(bodies, min_size=1, max_size=12), st.integers(0, 12))
@settings(max_examples=50, deadline=None)
def test_decode_does_not_care_about_the_cut(events: list[bytes], cut: int) -> None:
    series = pl.Series("body", events, dtype=pl.Binary)
    whole = decode(series, CONTRACT, SETTINGS)
    parts = pl.concat([decode(series[:cut], CONTRACT, SETTINGS), decode(series[cut:], CONTRACT, SETTINGS)])
    assert whole.equals(parts)


@given(st.one_of(typed(), written, mutated(), st.sampled_from(ADVERSARIAL)))
@settings(max_examples=100, deadline=None)
def test_the_exact_reader_reads_what_a_plain_json_parser_reads(body: bytes) -> None:
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        event = None
    if len(body) > SETTINGS.max_event_bytes:
        return
    row = expected(body)
    if not isinstance(event, dict):
        assert not row["decoded"]
        assert row["codes"] in (["malformed_json"], ["not_an_object"])
        return
    if not row["decoded"]:
        assert row["codes"] == ["too_deep"]
        return
    mistyped = {code.partition(":")[2] for code in row["codes"]}
    for name, dtype in CONTRACT.properties.items():
        given_value = event.get(name)
        text = f"{name}_text" if dtype == pl.Datetime("us", "UTC") else name
        if name in mistyped:
            assert given_value is not None
            assert row[text] is None
        else:
            held = row[text][0] if isinstance(row[text], tuple) else row[text]
            assert held == (float(given_value) if isinstance(held, float) else given_value)
    beyond = {
        name: value for name, value in event.items() if name not in NAMES or name in ("attempts", "contactless", "settled", "fee", "routes")
    }
    assert (orjson.loads(row["extra"]) if row["extra"] else {}) == beyond
