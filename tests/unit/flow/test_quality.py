from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
import yaml

from lakewarden.contracts.compiler import compile_contract, load
from lakewarden.errors import ConfigurationError
from lakewarden.flow.contract import contract
from lakewarden.flow.decode import decode, file_under
from lakewarden.flow.quality import RESULTS, QualityOutcome, check_rules, quality
from lakewarden.flow.release import Release
from lakewarden.rules.quality import default_rules, load_rules
from lakewarden.rules.references import References, defaults
from lakewarden.settings import FlowSettings

CONTRACT = compile_contract(load(2))
ARRIVAL = datetime(2024, 5, 31, 10, 0, 5, tzinfo=UTC)
EVENT: dict[str, Any] = {
    "transaction_id": "T1",
    "event_time": "2024-05-31T10:00:00Z",
    "account_id": "A1",
    "amount": 12.5,
    "currency": "EUR",
    "channel": "POS",
    "country": "DE",
    "event_type": "PAYMENT",
    "mcc_code": "5411",
    "merchant_id": "M1",
}


def release(rules: str | None = None, references: References | None = None) -> Release:
    return Release("r", CONTRACT, load_rules(rules or default_rules()), (), references or defaults(), FlowSettings(), None, "f", "c")


def rule(name: str, function: str = "is_not_null", column: str = "merchant_id", **keys: Any) -> dict[str, Any]:
    check = {"function": function, "arguments": {"column": column, **keys.pop("arguments", {})}}
    return {"name": name, "dimension": "validity", "criticality": "critical", "owner": "us", "check": check} | keys


def run(*events: Any, under: Release) -> QualityOutcome:
    lines = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    decoded = decode(pl.Series("body", lines, dtype=pl.Binary), under.contract, under.settings)
    at = pl.DataFrame({"seq": range(100, 100 + len(events))}, schema={"seq": pl.Int64}).with_columns(
        pl.lit(ARRIVAL).cast(pl.Datetime("us", "UTC")).alias("arrival_time")
    )
    rows = file_under(pl.concat([at, decoded], how="horizontal"), under.settings)
    return quality(contract(rows, under), under)


def result(outcome: QualityOutcome, name: str) -> dict[str, Any]:
    return outcome.results.row(by_predicate=pl.col("rule") == name, named=True)


def test_a_sound_event_passes_every_rule() -> None:
    outcome = run(EVENT, under=release())
    assert outcome.rows.select("codes", "dq_warnings", "dq_status").row(0) == ([], [], "PASSED")
    assert outcome.results.schema == RESULTS
    assert set(outcome.results["status"]) == {"passed", "skipped"}
    assert set(outcome.results.filter(pl.col("status") == "skipped")["rule"]) == {"account_known", "account_has_limits"}


@pytest.mark.parametrize(
    ("change", "codes", "warnings"),
    [
        ({"transaction_id": "  "}, ["dq:transaction_id_present"], []),
        ({"account_id": ""}, ["dq:account_id_present"], []),
        ({"transaction_id": "x" * 257}, ["dq:transaction_id_length"], []),
        ({"amount": 1e12}, ["dq:amount_in_range"], ["amount_plausible"]),
        ({"amount": 1e9 + 1}, [], ["amount_plausible"]),
        ({"amount": 0}, [], ["amount_not_zero"]),
        ({"currency": "EUX"}, ["dq:currency_known", "dq:currency_has_rate"], []),
        ({"country": "XX"}, ["dq:country_known"], []),
        ({"counterparty_country": "XX"}, [], ["counterparty_country_known"]),
        ({"mcc_code": "54"}, [], ["mcc_code_format", "mcc_known"]),
        ({"mcc_code": "0001"}, [], ["mcc_known"]),
        ({"event_type": None}, [], ["event_type_present"]),
        ({"event_type": "TRANSFER", "counterparty_id": None}, [], ["transfer_has_counterparty"]),
        ({"event_type": "TRANSFER", "counterparty_id": "A1"}, [], ["transfer_not_to_itself"]),
        ({"merchant_id": None}, [], ["card_payment_has_merchant"]),
        ({"event_type": "LOGIN"}, [], ["login_moves_no_money"]),
        ({"event_type": "LOGIN", "amount": 0}, [], []),
        ({"event_time": "2024-05-31T10:05:05Z"}, [], []),
        ({"event_time": "2024-05-31T10:05:06Z"}, ["dq:event_time_not_in_future"], []),
        ({"event_time": "2024-05-30T10:00:04Z"}, [], ["event_not_late"]),
        ({"event_time": "2014-01-01T00:00:00Z"}, ["dq:event_time_within_ten_years"], ["event_not_late"]),
        ({"event_time": "0000-01-01T00:00:00Z"}, ["dq:event_time_within_ten_years"], ["event_not_late"]),
    ],
)
def test_the_default_rules_find_what_they_are_for(change: dict[str, Any], codes: list[str], warnings: list[str]) -> None:
    outcome = run(EVENT, EVENT | change, under=release())
    assert outcome.rows["codes"].to_list() == [[], codes]
    assert outcome.rows["dq_warnings"].to_list() == [[], warnings]
    assert outcome.rows["dq_status"].to_list() == ["PASSED", "FAILED" if codes or warnings else "PASSED"]


def test_an_unknown_account_is_a_warning_not_a_loss() -> None:
    kyc = pl.DataFrame({"account_id": ["A1"], "customer_id": ["C1"]})
    outcome = run(EVENT, EVENT | {"account_id": "A2"}, under=release(references=defaults().with_table("kyc", kyc)))
    assert outcome.rows["dq_warnings"].to_list() == [[], ["account_known"]]
    assert result(outcome, "account_known")["failed"] == 1


def test_reasons_say_what_must_be_and_what_came() -> None:
    outcome = run(EVENT | {"country": "XX", "amount": 2e12}, under=release())
    assert outcome.rows["reasons"][0].to_list() == [
        "amount must be at least 0 and below 1,000,000,000,000",
        "country must be known in countries, got 'XX'",
    ]
    rules = yaml.safe_dump([rule("small", "is_not_greater_than", "amount", arguments={"limit": 10})])
    assert run(EVENT, under=release(rules)).rows["reasons"][0].to_list() == ["amount must be at most 10, got 12.5"]


def test_a_missing_property_fails_completeness_and_nothing_else() -> None:
    outcome = run({key: value for key, value in EVENT.items() if key != "currency"}, under=release())
    assert outcome.rows["codes"][0].to_list() == ["missing:currency", "dq:currency_present"]


def test_a_property_that_is_mistyped_or_breaks_the_contract_is_not_judged_again() -> None:
    outcome = run(EVENT | {"amount": "x", "currency": "eur", "country": 5}, EVENT, under=release())
    assert outcome.rows["codes"][0].to_list() == ["mistyped:amount", "mistyped:country", "contract:currency:pattern"]
    assert [result(outcome, name)["rows"] for name in ("amount_present", "currency_known", "country_known", "mcc_known")] == [1, 1, 1, 2]


def test_what_is_not_decoded_is_not_judged() -> None:
    outcome = run(b"{", b"[]", EVENT, under=release())
    assert outcome.rows["codes"].to_list() == [["malformed_json"], ["not_an_object"], []]
    assert result(outcome, "transaction_id_present")["rows"] == 1
    assert outcome.rows["dq_status"].to_list() == ["FAILED", "FAILED", "PASSED"]


def test_results_count_rows_and_failures_and_name_five() -> None:
    named = [EVENT | {"transaction_id": f"T{i}", "merchant_id": None} for i in range(6)]
    nameless = {key: value for key, value in EVENT.items() if key not in ("transaction_id", "merchant_id")}
    outcome = run(EVENT, nameless, *named, EVENT, under=release(yaml.safe_dump([rule("has_merchant")])))
    assert outcome.results.rows(named=True) == [
        {
            "rule": "has_merchant",
            "dimension": "validity",
            "criticality": "critical",
            "hard": False,
            "owner": "us",
            "status": "failed",
            "rows": 9,
            "failed": 7,
            "pass_rate": 2 / 9,
            "examples": ["seq:101", "T0", "T1", "T2", "T3"],
        }
    ]


def test_a_relaxed_rule_marks_and_reports_but_does_not_reject() -> None:
    outcome = run(EVENT | {"merchant_id": None}, EVENT, under=release(yaml.safe_dump([rule("has_merchant", relaxed=True)])))
    assert outcome.rows["codes"].to_list() == [[], []]
    assert outcome.rows["dq_warnings"].to_list() == [["has_merchant"], []]
    found = result(outcome, "has_merchant")
    assert (found["status"], found["rows"], found["failed"], found["pass_rate"]) == ("relaxed", 2, 1, 0.5)


def test_a_disabled_rule_is_reported_as_skipped() -> None:
    outcome = run(EVENT | {"merchant_id": None}, under=release(yaml.safe_dump([rule("has_merchant", enabled=False)])))
    found = result(outcome, "has_merchant")
    assert (found["status"], found["rows"], found["pass_rate"]) == ("skipped", 0, None)


def test_a_rule_speaks_only_of_the_rows_of_its_filter() -> None:
    filtered = rule("has_merchant", filter="channel = 'POS'")
    outcome = run(EVENT | {"merchant_id": None, "channel": "ATM"}, EVENT, under=release(yaml.safe_dump([filtered])))
    assert outcome.rows["codes"].to_list() == [[], []]
    assert result(outcome, "has_merchant")["rows"] == 1
    assert outcome.rows["dq_status"].to_list() == ["UNKNOWN", "PASSED"]


def test_without_rules_nothing_is_known() -> None:
    outcome = run(EVENT, under=release("[]"))
    assert (outcome.rows["dq_status"].to_list(), outcome.results.height) == (["UNKNOWN"], 0)


def test_no_rows_are_no_trouble() -> None:
    outcome = run(under=release())
    assert (outcome.rows.height, set(outcome.results["status"])) == (0, {"passed", "skipped"})
    assert outcome.results["pass_rate"].null_count() == outcome.results.height


def test_rows_are_judged_alike_in_any_cut() -> None:
    events = [EVENT, b"{", EVENT | {"country": "XX"}, EVENT | {"amount": "x"}, EVENT | {"event_type": None}, EVENT | {"currency": "x"}]
    under = release()
    whole = run(*events, under=under).rows.drop("seq")
    alone = pl.concat([run(event, under=under).rows.drop("seq") for event in events])
    assert whole.equals(alone)


def test_rules_are_checked_against_the_contract_before_any_row_comes() -> None:
    check_rules(release())
    with pytest.raises(ConfigurationError, match="quality rule x: reads ghost"):
        check_rules(release(yaml.safe_dump([rule("x", column="ghost")])))
    with pytest.raises(ConfigurationError, match="quality rule x: can't be evaluated"):
        check_rules(release(yaml.safe_dump([rule("x", "is_not_less_than", "country", arguments={"limit": 5})])))


def test_a_rule_that_breaks_on_a_value_is_named() -> None:
    breaking = {key: value for key, value in rule("breaks").items() if key != "check"} | {"expression": "REGEXP_LIKE(country, mcc_code)"}
    under = release(yaml.safe_dump([rule("sound"), breaking]))
    check_rules(under)
    with pytest.raises(ConfigurationError, match="quality rule breaks can't be evaluated"):
        run(EVENT | {"mcc_code": "("}, under=under)
