"""The compiled contract judges every event as the `jsonschema` library does, whatever the schema says of its properties."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lakewarden.contracts.compiler import CompiledContract, compile_contract, load
from lakewarden.flow.contract import contract
from lakewarden.flow.decode import decode
from lakewarden.flow.release import Release
from lakewarden.rules.references import References
from lakewarden.settings import FlowSettings

SETTINGS = FlowSettings()


def release_of(compiled: CompiledContract) -> Release:
    return Release("r", compiled, (), (), References({}), SETTINGS, None, "f", "c")


def is_valid(schema: dict[str, Any], event: dict[str, Any]) -> bool:
    """The library's verdict, a null counting as a missing property."""
    held = {name: value for name, value in event.items() if value is not None or name not in schema["properties"]}
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).is_valid(held)


def judge(compiled: CompiledContract, events: list[dict[str, Any]]) -> list[list[str]]:
    bodies = pl.Series("body", [json.dumps(event).encode() for event in events], dtype=pl.Binary)
    return contract(decode(bodies, compiled, SETTINGS), release_of(compiled))["codes"].to_list()


small = st.integers(-3, 12)
words = st.sampled_from(["", "A", "EUR", "eur", "EURO", "E1R", "é", "ééé", "DE", "x" * 13, "a b", "ON", "POS"])
times = st.one_of(
    st.datetimes().map(lambda time: time.isoformat() + "Z"),
    st.sampled_from(
        [
            "2024-02-29T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2000-02-29T00:00:00Z",
            "2024-04-31T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-01-00T00:00:00Z",
            "2024-06-30T23:59:60Z",
            "2024-06-30T24:00:00Z",
            "2024-06-30t10:00:00z",
            "2024-06-30 10:00:00Z",
            "2024-06-30T10:00:00",
            "2024-06-30T10:00:00.Z",
            "2024-06-30T10:00:00.1234567890123Z",
            "2024-06-30T10:00:00+02:00",
            "2024-06-30T10:00:00-23:59",
            "2024-06-30T10:00:00+24:00",
            "2024-06-30T10:00:00+0200",
            "0000-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-01:00",
            "٢٠٢٤-06-30T10:00:00Z",
            "2024-6-30T10:00:00Z",
            "2024-06-30",
        ]
    ),
)
numbers = st.one_of(small, st.floats(-5, 15, allow_nan=False), st.sampled_from([0.0, -0.0, 0.5, 1e15, 2**60, -(2**60), 1.0, 10.0, 1e-9]))
texts_schema = st.fixed_dictionaries(
    {"type": st.just("string")},
    optional={
        "enum": st.lists(words, min_size=1, max_size=3, unique=True),
        "pattern": st.sampled_from(["^[A-Z]{3}$", "^[A-Z]+", "[0-9]", "^.?$", "R$", "^(ON|POS)$"]),
        "minLength": st.integers(0, 4),
        "maxLength": st.integers(0, 13),
        "description": st.just("a text"),
    },
)
numbers_schema = st.fixed_dictionaries(
    {"type": st.sampled_from(["number", "integer"])},
    optional={
        "minimum": small,
        "maximum": st.one_of(small, st.floats(-3, 12, allow_nan=False)),
        "exclusiveMinimum": small,
        "exclusiveMaximum": small,
        "enum": st.lists(st.one_of(small, st.sampled_from([0.5, 1.0])), min_size=1, max_size=4),
        "const": small,
    },
)
scalar_schema = st.one_of(texts_schema, numbers_schema, st.just({"type": "boolean"}), st.just({"type": "boolean", "enum": [True]}))


def array_of(items: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    bounds = {"minItems": st.integers(0, 2), "maxItems": st.integers(0, 3), "uniqueItems": st.booleans()}
    return st.fixed_dictionaries({"type": st.just("array"), "items": items}, optional=bounds)


property_schema = st.one_of(
    scalar_schema, array_of(scalar_schema), array_of(array_of(texts_schema)), st.just({"type": "string", "format": "date-time"})
)
optional_null = st.tuples(property_schema, st.booleans()).map(
    lambda both: {**both[0], "type": [both[0]["type"], "null"]} if both[1] and "enum" not in both[0] else both[0]
)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, words, times),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=2)),
    max_leaves=4,
)
names = st.sampled_from(["alpha", "beta", "gamma"])


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    described = draw(st.dictionaries(names, optional_null, min_size=1))
    required = draw(st.lists(st.sampled_from(sorted(described)), unique=True))
    required = [name for name in required if "null" not in described[name]["type"]]
    schema = {"$id": "urn:test:1", "type": "object", "properties": described, "required": required, "x-owner": "us"}
    events = draw(st.lists(st.dictionaries(st.one_of(names, st.just("other")), anything, max_size=4), min_size=1, max_size=5))
    return schema, events


@given(cases())
@settings(max_examples=250, deadline=None)
def test_any_schema_judges_any_event_as_jsonschema_does(case: tuple[dict[str, Any], list[dict[str, Any]]]) -> None:
    schema, events = case
    verdicts = judge(compile_contract(schema), events)
    assert [not codes for codes in verdicts] == [is_valid(schema, event) for event in events]


EVENT = {
    "transaction_id": "T1",
    "event_time": "2024-05-31T10:00:00Z",
    "account_id": "A1",
    "amount": 12.5,
    "currency": "EUR",
    "channel": "POS",
    "country": "DE",
}


@given(
    st.lists(
        st.dictionaries(st.sampled_from([*load(2)["properties"], "other"]), st.one_of(anything, times), max_size=4), min_size=1, max_size=5
    ),
    st.sampled_from([1, 2]),
)
@example([{"risk_flags": [1]}, {"risk_flags": ["a", None]}, {"amount": True}, {"amount": None}, {"amount": -0.0}, {"merchant_id": 5}], 1)
@settings(max_examples=150, deadline=None)
def test_both_versions_judge_any_event_as_jsonschema_does(changes: list[dict[str, Any]], version: int) -> None:
    schema = load(version)
    events = [EVENT | change for change in changes]
    verdicts = judge(compile_contract(schema), events)
    assert [not codes for codes in verdicts] == [is_valid(schema, event) for event in events]


@given(times)
def test_an_instant_means_what_python_reads_in_it(text: str) -> None:
    compiled = compile_contract(load(2))
    row = decode(pl.Series("body", [json.dumps(EVENT | {"event_time": text}).encode()]), compiled, SETTINGS)
    micros = row["event_time"].to_physical()[0]
    assume(micros is not None and not text.startswith("0000") and not text.startswith("9999"))

    whole, _, rest = text.upper().partition(".")
    digits = rest.rstrip("Z") if rest and not {"+", "-"} & set(rest) else rest
    read = datetime.fromisoformat(whole + "Z" if digits else text.upper())
    fraction = int((digits + "000000")[:6]) if digits else 0
    assert micros == (read - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) + fraction
