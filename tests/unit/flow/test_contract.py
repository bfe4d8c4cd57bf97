from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from lakewarden.contracts.compiler import compile_contract, load
from lakewarden.flow.contract import contract
from lakewarden.flow.decode import decode
from lakewarden.flow.release import Release
from lakewarden.rules.references import References
from lakewarden.settings import FlowSettings

RELEASE = Release("r", compile_contract(load(2)), (), (), References({}), FlowSettings(), None, "f", "c")
EVENT: dict[str, Any] = {
    "transaction_id": "T1",
    "event_time": "2024-05-31T10:00:00Z",
    "account_id": "A1",
    "amount": 12.5,
    "currency": "EUR",
    "channel": "POS",
    "country": "DE",
}


def judged(*events: Any, release: Release = RELEASE) -> pl.DataFrame:
    lines = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    return contract(decode(pl.Series("body", lines, dtype=pl.Binary), release.contract, release.settings), release)


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in EVENT.items() if name not in names}


@pytest.mark.parametrize(
    ("event", "codes", "reasons"),
    [
        (EVENT, [], []),
        (without("amount"), ["missing:amount"], ["amount: is required and missing"]),
        (EVENT | {"amount": None}, ["missing:amount"], ["amount: is required and missing"]),
        (without("event_time"), ["missing:event_time"], ["event_time: is required and missing"]),
        (EVENT | {"amount": -3}, ["contract:amount:minimum"], ["amount: must be at least 0, got -3.0"]),
        (EVENT | {"currency": "eur"}, ["contract:currency:pattern"], ["currency: must match ^[A-Z]{3}$, got 'eur'"]),
        (EVENT | {"currency": "EUR\n"}, ["contract:currency:pattern"], ["currency: must match ^[A-Z]{3}$, got 'EUR\n'"]),
        (
            EVENT | {"channel": "KIOSK"},
            ["contract:channel:enum"],
            ["channel: must be one of ONLINE, POS, ATM, BRANCH, MOBILE, OTHER, got 'KIOSK'"],
        ),
        (
            EVENT | {"event_time": "31.05.2024"},
            ["contract:event_time:format"],
            ["event_time: must be an RFC 3339 instant such as 2024-05-31T23:59:59Z, got '31.05.2024'"],
        ),
        (
            EVENT | {"counterparty_country": "x" * 99},
            ["contract:counterparty_country:pattern"],
            [f"counterparty_country: must match ^[A-Z]{{2}}$, got '{'x' * 40}'"],
        ),
        (EVENT | {"amount": "12"}, ["mistyped:amount"], ["amount: expected number, got string"]),
        (b"{", ["malformed_json"], ["malformed JSON: it ends too early, after 1 bytes"]),
        (b"{}", [f"missing:{name}" for name in EVENT], [f"{name}: is required and missing" for name in EVENT]),
    ],
)
def test_an_event_gets_the_reasons_it_deserves(event: Any, codes: list[str], reasons: list[str]) -> None:
    rows = judged(EVENT, event)
    assert rows["codes"].to_list() == [[], codes]
    assert rows["reasons"].to_list() == [[], reasons]


def test_an_event_carries_every_reason_with_those_of_decoding_first() -> None:
    rows = judged(without("country") | {"risk_flags": 5, "amount": -1, "currency": "x"}, EVENT)
    assert rows["codes"].to_list() == [
        ["mistyped:risk_flags", "contract:amount:minimum", "contract:currency:pattern", "missing:country"],
        [],
    ]
    assert rows["codes"].list.len().to_list() == rows["reasons"].list.len().to_list()


def test_a_changed_schema_changes_the_verdict_without_code() -> None:
    schema = load(2)
    schema["properties"]["channel"]["enum"].append("KIOSK")
    schema["properties"]["attempts"] = {"type": "integer", "maximum": 3}
    schema["properties"]["tags"] = {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}
    schema["required"].append("attempts")
    release = Release("r", compile_contract(schema), (), (), References({}), FlowSettings(), None, "f", "c")
    events = [EVENT | {"channel": "KIOSK", "attempts": 3, "tags": ["a"]}, EVENT, EVENT | {"attempts": 4, "tags": ["a", "c"]}]
    rows = judged(*events, release=release)
    assert rows["codes"].to_list() == [[], ["missing:attempts"], ["contract:attempts:maximum", "contract:tags:items.enum"]]
    assert rows["reasons"][2].to_list() == ["attempts: must be at most 3, got 4", "tags: an item must be one of a, b, got 2 items"]


def test_no_rows_are_no_trouble() -> None:
    assert judged().height == 0
