from __future__ import annotations

import json
import pickle
import re
from typing import Any

import polars as pl
import pytest
from jsonschema import Draft202012Validator

from lakewarden.contracts.compiler import compile_contract, load, load_scores
from lakewarden.errors import ContractError
from lakewarden.tables import EVENT_PROPERTIES

FACTS_1 = {
    "required": ["transaction_id", "event_time", "account_id", "amount", "currency", "channel", "country"],
    "optional": ["customer_id", "mcc_code", "risk_flags", "ingestion_id", "source_system", "event_type"],
}
FACTS_2 = ["counterparty_id", "counterparty_country", "merchant_id", "device_id", "tenant_id"]


def schema(**properties: Any) -> dict[str, Any]:
    return {"$id": "urn:test:contract:7", "type": "object", "properties": properties}


def test_the_contracts_hold_the_properties_of_the_facts() -> None:
    first, second = load(1), load(2)
    assert first["required"] == second["required"] == FACTS_1["required"]
    assert list(first["properties"]) == [*FACTS_1["required"], *FACTS_1["optional"]]
    assert list(second["properties"]) == [*first["properties"], *FACTS_2]
    assert list(second["properties"]) == list(EVENT_PROPERTIES)


@pytest.mark.parametrize("document", [load(1), load(2), load_scores()], ids=lambda document: document["$id"])
def test_the_schemas_are_json_schema(document: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(document)


def test_compiled_contract_has_its_version_types_and_checks() -> None:
    compiled = compile_contract(load(2))
    assert (compiled.id, compiled.version) == ("urn:lakewarden:contract:transactions:2", 2)
    assert dict(compiled.properties) == EVENT_PROPERTIES
    assert compiled.required == tuple(FACTS_1["required"])
    assert [check.code for check in compiled.checks if not check.code.startswith("missing:")] == [
        "contract:event_time:format",
        "contract:amount:minimum",
        "contract:currency:pattern",
        "contract:channel:enum",
        "contract:country:pattern",
        "contract:counterparty_country:pattern",
    ]
    assert {check.code: check.text for check in compiled.checks}["contract:amount:minimum"] == "amount: must be at least 0"


def test_an_unknown_version_names_those_that_exist() -> None:
    with pytest.raises(ContractError, match="no version 9") as raised:
        load(9)
    assert "1, 2" in raised.value.next


def test_a_compiled_contract_travels_between_processes() -> None:
    compiled = pickle.loads(pickle.dumps(compile_contract(load(2))))
    assert dict(compiled.properties) == EVENT_PROPERTIES


def test_nested_arrays_and_new_properties_need_no_code() -> None:
    compiled = compile_contract(
        schema(
            hops={"type": "array", "items": {"type": "array", "items": {"type": "string", "maxLength": 2}}},
            score={"type": ["integer", "null"], "minimum": 1},
            settled={"type": "string", "format": "date-time"},
        )
    )
    assert dict(compiled.properties) == {
        "hops": pl.List(pl.List(pl.String())),
        "score": pl.Int64(),
        "settled": pl.Datetime("us", "UTC"),
    }
    assert [check.code for check in compiled.checks] == [
        "contract:hops:items.items.maxLength",
        "contract:score:minimum",
        "contract:settled:format",
    ]


@pytest.mark.parametrize(
    ("properties", "place"),
    [
        ({"a": {"type": "number", "multipleOf": 2}}, "properties.a.multipleOf"),
        ({"a": {"type": "string", "format": "email"}}, "properties.a.format"),
        ({"a": {"type": "array", "items": {"type": "string", "format": "date-time"}}}, "properties.a.items.format"),
        ({"a": {"type": "object", "properties": {}}}, "properties.a.type"),
        ({"a": {"type": "array"}}, "properties.a.items"),
        ({"a": {"type": "array", "items": {"type": ["string", "null"]}}}, "properties.a.items.type"),
        ({"a": {"type": ["string", "number"]}}, "properties.a.type"),
        ({"a": {"enum": ["x"]}}, "properties.a.type"),
        ({"a": {"type": "string", "minimum": 3}}, "properties.a.minimum"),
        ({"a": {"type": "string", "pattern": "(?=x)"}}, "properties.a.pattern"),
        ({"a": {"type": "string", "pattern": 5}}, "properties.a.pattern"),
        ({"a": {"type": "number", "minimum": "3"}}, "properties.a.minimum"),
        ({"a": {"type": "number", "maximum": 2**53}}, "properties.a.maximum"),
        ({"a": {"type": "integer", "enum": [2**60]}}, "properties.a.enum"),
        ({"a": {"type": "string", "minLength": -1}}, "properties.a.minLength"),
        ({"a": {"type": "array", "items": {"type": "string"}, "uniqueItems": "yes"}}, "properties.a.uniqueItems"),
        ({"a": {"type": "array", "items": {"type": "number", "dependentRequired": {}}}}, "properties.a.items.dependentRequired"),
        ({"amount": {"type": "string"}}, "properties.amount.type"),
        ({"seq": {"type": "integer"}}, "properties.seq"),
        ({"enqueued_time": {"type": "string", "format": "date-time"}}, "properties.enqueued_time"),
        ({"settled_text": {"type": "string"}}, "properties.settled_text"),
    ],
)
def test_what_cannot_be_compiled_is_named(properties: dict[str, Any], place: str) -> None:
    with pytest.raises(ContractError, match=f"`{re.escape(place)}` "):
        compile_contract(schema(**properties))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"oneOf": []}, "oneOf"),
        ({"additionalProperties": False}, "additionalProperties"),
        ({"type": "array"}, "type"),
        ({"$id": "no-version"}, "$id"),
        ({"required": ["ghost"]}, "required"),
        ({"properties": []}, "properties"),
        ({"required": ["b"], "properties": {"b": {"type": ["string", "null"]}}}, "properties.b.type"),
    ],
)
def test_what_cannot_be_compiled_at_the_top_is_named(change: dict[str, Any], place: str) -> None:
    with pytest.raises(ContractError, match=f"`{re.escape(place)}` "):
        compile_contract(schema(a={"type": "string"}) | change)


def test_a_score_document_is_judged_by_the_score_contract() -> None:
    score = {
        "score_id": "s",
        "transaction_id": "t",
        "event_time": "2024-05-31T10:00:00Z",
        "scored_time": "2024-05-31T10:00:01Z",
        "risk_score": 0.93,
        "risk_band": "HIGH",
        "is_anomaly": False,
        "model_name": "m",
        "model_version": "3",
        "explanations": [{"feature": "amount", "value": None, "contribution": 0.4}],
    }
    validator = Draft202012Validator(load_scores(), format_checker=Draft202012Validator.FORMAT_CHECKER)
    assert validator.is_valid(json.loads(json.dumps(score)))
    assert not validator.is_valid(score | {"risk_band": "SEVERE"})
    assert not validator.is_valid(score | {"risk_score": 1.2})
