from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from lakewarden.contracts.compiler import compile_contract, load
from lakewarden.flow import scanner
from lakewarden.flow.columns import Assembly
from lakewarden.flow.decode import _Bodies, decode, file_under
from lakewarden.flow.plan import plan
from lakewarden.settings import FlowSettings
from lakewarden.tables import EVENT_PROPERTIES

SETTINGS = FlowSettings()
CONTRACT = compile_contract(load(2))
EVENT: dict[str, Any] = {
    "transaction_id": "T00000000000000001",
    "event_time": "2024-05-31T10:00:00.25Z",
    "account_id": "A1",
    "amount": 1234.5,
    "currency": "EUR",
    "channel": "POS",
    "country": "DE",
    "risk_flags": ["NEW_PAYEE", "an upstream flag of some length"],
    "enqueued_time": "2024-05-31T10:00:01Z",
}


def bodies(*events: Any) -> pl.Series:
    return pl.Series(
        "body", [event if isinstance(event, bytes | None) else json.dumps(event).encode() for event in events], dtype=pl.Binary
    )


def row(event: Any, version: int = 2) -> dict[str, Any]:
    contract = CONTRACT if version == 2 else compile_contract(load(version))
    return decode(bodies(event), contract, SETTINGS).to_dicts()[0]


def test_an_event_becomes_typed_columns() -> None:
    found = row(EVENT)
    assert found["amount"] == 1234.5
    assert found["event_time"] == datetime(2024, 5, 31, 10, 0, 0, 250_000, tzinfo=UTC)
    assert found["event_time_text"] == EVENT["event_time"]
    assert found["enqueued_time"] == datetime(2024, 5, 31, 10, 0, 1, tzinfo=UTC)
    assert found["risk_flags"] == EVENT["risk_flags"]
    assert found["merchant_id"] is None
    assert (found["codes"], found["reasons"], found["extra"], found["decoded"]) == ([], [], None, True)


def test_the_schema_is_the_tables_own_under_every_version() -> None:
    for version in (1, 2):
        decoded = decode(bodies(EVENT), compile_contract(load(version)), SETTINGS)
        assert {name: decoded.schema[name] for name in EVENT_PROPERTIES} == EVENT_PROPERTIES
        assert decode(bodies(), compile_contract(load(version)), SETTINGS).schema == decoded.schema


def test_unknown_properties_are_kept_with_sorted_keys() -> None:
    found = row(EVENT | {"zeta": {"b": [1, 2.50], "a": None}, "alpha": "é"})
    assert found["extra"] == '{"alpha":"é","zeta":{"a":null,"b":[1,2.5]}}'
    assert (found["codes"], found["decoded"]) == ([], True)


def test_a_property_of_version_2_is_kept_under_version_1() -> None:
    found = row(EVENT | {"merchant_id": "M1"}, version=1)
    assert (found["merchant_id"], found["extra"]) == (None, '{"merchant_id":"M1"}')


def test_a_further_property_of_the_contract_has_a_column_and_is_kept() -> None:
    schema = load(2)
    schema["properties"]["attempts"] = {"type": "integer"}
    found = decode(bodies(EVENT | {"attempts": 3}), compile_contract(schema), SETTINGS).to_dicts()[0]
    assert (found["attempts"], found["extra"]) == (3, '{"attempts":3}')


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        ({"amount": "12"}, "mistyped:amount", "amount: expected number, got string"),
        ({"amount": True}, "mistyped:amount", "amount: expected number, got boolean"),
        ({"account_id": 5}, "mistyped:account_id", "account_id: expected string, got number"),
        ({"event_time": 1717149600}, "mistyped:event_time", "event_time: expected string, got number"),
        ({"country": {"code": "DE"}}, "mistyped:country", "country: expected string, got object"),
        ({"risk_flags": "NEW"}, "mistyped:risk_flags", "risk_flags: expected array of strings, got string"),
        ({"risk_flags": ["a", 1]}, "mistyped:risk_flags", "risk_flags: expected array of strings, got an array with number in it"),
    ],
)
def test_a_mistyped_property_is_null_and_says_so(change: dict[str, Any], code: str, reason: str) -> None:
    found = row(EVENT | change)
    assert (found["codes"], found["reasons"], found["decoded"]) == ([code], [reason], True)
    name = next(iter(change))
    assert found["event_time_text" if name == "event_time" else name] is None


def test_each_mistyped_property_gives_its_reason() -> None:
    assert row(EVENT | {"country": 1, "amount": "x"})["codes"] == ["mistyped:amount", "mistyped:country"]


@pytest.mark.parametrize(
    ("body", "code", "reason"),
    [
        (b"", "malformed_json", "malformed JSON: the body is empty"),
        (None, "malformed_json", "malformed JSON: the body is empty"),
        (b" \n", "malformed_json", "malformed JSON: the body is empty"),
        (b'{"transaction_id":"T1","amount', "malformed_json", "malformed JSON: it ends too early, after 30 bytes"),
        (b'{"amount":NaN}', "malformed_json", "malformed JSON at byte 10"),
        (b'{"amount":-Infinity}', "malformed_json", "malformed JSON at byte 11"),
        (
            b'{"amount":1e999}',
            "malformed_json",
            "malformed JSON: a number is too large for a double, or an escape is half of a surrogate pair",
        ),
        (b'{"transaction_id":"T\x001"}', "malformed_json", "malformed JSON at byte 20"),
        (b'{"transaction_id":"T\xff1"}', "malformed_json", "malformed JSON: not UTF-8 at byte 20"),
        (b"\xef\xbb\xbf{}", "malformed_json", "malformed JSON: a byte order mark stands before the event"),
        (b"{}{}", "malformed_json", "malformed JSON at byte 2"),
        (b'{"x":' + b"[" * 1100 + b"]" * 1100 + b"}", "malformed_json", "malformed JSON: nested more than 1,024 levels deep"),
        (b'{"x":' + b"[" * 1000 + b"]" * 1000 + b"}", "too_deep", "a property is nested more than 250 levels deep"),
        (b"[]", "not_an_object", "expected a JSON object, got array"),
        (b"null", "not_an_object", "expected a JSON object, got null"),
        (b'"text"', "not_an_object", "expected a JSON object, got string"),
        (b'{"x":"' + b"a" * 1_048_576 + b'"}', "too_large", "the event has 1,048,584 bytes; at most 1,048,576 are read"),
    ],
)
def test_what_is_no_event_says_why(body: bytes | None, code: str, reason: str) -> None:
    found = row(body)
    assert (found["codes"], found["reasons"], found["decoded"]) == ([code], [reason], False)
    assert all(found[name] is None for name in EVENT_PROPERTIES)


def test_an_event_of_ten_megabytes_is_not_parsed() -> None:
    body = b'{"x":' + b"[" * 10_000_000
    assert row(body)["codes"] == ["too_large"]


def test_an_unreadable_time_keeps_its_text() -> None:
    found = row(EVENT | {"event_time": "yesterday"})
    assert (found["event_time"], found["event_time_text"], found["codes"]) == (None, "yesterday", [])


def test_an_unreadable_envelope_is_no_failure() -> None:
    for value in (5, "noon", None):
        found = row(EVENT | {"enqueued_time": value})
        assert (found["enqueued_time"], found["codes"], found["extra"]) == (None, [], None)


def test_plain_events_are_read_by_the_scanner() -> None:
    """Not only is the result right: it comes by the fast way."""
    plain = [
        EVENT,
        EVENT | {"amount": 0},
        EVENT | {"amount": 0.1234567890123456789},
        EVENT | {"customer_id": None, "country": "Çé€𝄞"},
    ]
    kept = [EVENT | {"sdk": "4.2.0"}, EVENT | {"device": {"os": ["x", "\n"]}}]
    doubtful = [EVENT | {"country": "a\nb"}, EVENT | {"amount": "1"}]
    lines = [json.dumps(event, ensure_ascii=False).encode() for event in [*plain, *kept, *doubtful]]
    source = _Bodies(bodies(*lines))
    judged = source.scan(Assembly(plan(CONTRACT), source.height, source.buffers), 4096)
    assert judged.tolist() == [scanner.PLAIN] * 4 + [scanner.PLAIN_AND_MORE] * 2 + [scanner.DOUBT] * 2


def test_bodies_scattered_over_buffers_are_read_in_their_order() -> None:
    first, second = (bodies(*(EVENT | {"transaction_id": f"{name}{i:020d}"} for i in range(50))) for name in "ab")
    mixed = pl.concat([first, second], rechunk=True).gather(np.arange(100).reshape(2, 50).T.reshape(-1))
    decoded = decode(mixed, CONTRACT, SETTINGS)
    assert decoded["transaction_id"].to_list() == [f"{name}{i:020d}" for i in range(50) for name in "ab"]
    assert decode(mixed[33:77], CONTRACT, SETTINGS).equals(decoded[33:77])


def test_texts_outlive_the_bodies_they_point_into() -> None:
    held = bodies(*(EVENT | {"transaction_id": f"T{i:030d}"} for i in range(1000)))
    decoded = decode(held, CONTRACT, SETTINGS)
    del held
    assert decoded["transaction_id"].to_list() == [f"T{i:030d}" for i in range(1000)]


ARRIVAL = datetime(2024, 6, 1, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("event_time", "filed"),
    [
        ("2024-05-31T23:59:59Z", date(2024, 5, 31)),
        ("2024-06-01T00:06:00Z", date(2024, 6, 1)),
        ("2024-06-02T00:00:00Z", date(2024, 6, 1)),
        ("2014-06-01T00:01:00Z", date(2014, 6, 1)),
        ("2014-05-30T00:00:00Z", date(2024, 6, 1)),
        ("nonsense", date(2024, 6, 1)),
    ],
)
def test_a_row_is_filed_under_the_date_of_its_event_where_that_is_sound(event_time: str, filed: date) -> None:
    decoded = decode(bodies(EVENT | {"event_time": event_time}), CONTRACT, SETTINGS)
    rows = decoded.with_columns(pl.lit(ARRIVAL).cast(pl.Datetime("us", "UTC")).alias("arrival_time"))
    assert file_under(rows, SETTINGS)["event_date"].to_list() == [filed]
