"""Every fault does what its name says, and nothing is struck that isn't named."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import polars as pl
import pytest

from lakewarden.sources.simulator import FAULTS, TYPOLOGIES
from lakewarden.sources.simulator.faults import CODE, is_edited, spoilt

LINE = (
    '{"transaction_id":"T1","event_time":"2026-01-05T09:30:00.250Z","enqueued_time":"2026-01-05T09:30:00.900Z","account_id":"A10000001",'
    '"customer_id":"C1","amount":12.50,"currency":"EUR","channel":"MOBILE","country":"DE","event_type":"TRANSFER",'
    '"source_system":"mobile","counterparty_id":"X1","counterparty_country":"FR","risk_flags":["NEW_PAYEE"]}'
)


def made(fault: str, variant: str = "") -> bytes:
    return spoilt(LINE, CODE[fault], FAULTS[CODE[fault]].variants.index(variant))


def test_under_all_every_variant_of_every_kind_is_there_in_one_day(one_day) -> None:
    wanted = {(fault.name, variant) for fault in FAULTS if fault.name for variant in fault.variants}
    assert {(fault, detail or "") for fault, detail in one_day.faults.select("fault", "detail").iter_rows()} == wanted


def test_under_none_nothing_is_struck(fortnight) -> None:
    assert fortnight.faults.is_empty()
    assert len(fortnight.bodies) == fortnight.labels.height
    assert not any(b"sdk_version" in body for body in fortnight.bodies)


def test_by_default_about_two_thirds_of_a_percent_are_struck(four_days) -> None:
    struck = four_days.faults.filter(~pl.col("fault").is_in(["volume_spike", "gap", "schema_drift"]))
    assert 0.005 <= struck.height / len(four_days.bodies) <= 0.01
    assert {"volume_spike", "gap", "schema_drift"} <= set(four_days.faults["fault"])


def test_crime_is_never_struck_but_by_a_gap(one_day) -> None:
    crime = one_day.labels.filter(pl.col("is_fraud") == 1)["transaction_id"]
    struck = one_day.faults.filter(~pl.col("fault").is_in(["gap", "schema_drift"]))
    assert not set(struck["transaction_id"]) & set(crime)
    assert len(TYPOLOGIES) == 11


@pytest.mark.parametrize("how", ["truncated", "bad_utf8", "nul_byte", "nan_amount"])
def test_malformed_lines_are_not_json(how: str) -> None:
    body = made("malformed_json", how)
    assert b"\n" not in body

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    with pytest.raises(ValueError, match=r"."):  # UnicodeDecodeError and JSONDecodeError are both ValueErrors
        json.loads(body.decode("utf-8"), parse_constant=refuse)


def test_a_line_that_is_not_an_object_and_one_that_is_too_deep() -> None:
    assert json.loads(made("malformed_json", "not_an_object")) == ["T1"]
    assert made("malformed_json", "deep_nesting").count(b"[") == 1001


@pytest.mark.parametrize("field", ["amount", "currency", "account_id", "transaction_id", "event_time", "country", "channel"])
def test_a_missing_field_is_all_that_is_missing(field: str) -> None:
    whole = json.loads(LINE)
    del whole[field]
    assert json.loads(made("missing_field", field)) == whole


@pytest.mark.parametrize(
    ("fault", "variant", "field", "value"),
    [
        ("mistyped_field", "amount", "amount", "12,50"),
        ("mistyped_field", "event_time", "event_time", 20260105093000),
        ("mistyped_field", "account_id", "account_id", 10000001),
        ("mistyped_field", "country", "country", ["DE"]),
        ("mistyped_field", "risk_flags", "risk_flags", "NEW_PAYEE"),
        ("new_enum_value", "channel:KIOSK", "channel", "KIOSK"),
        ("unknown_currency", "", "currency", "XXQ"),
        ("negative_amount", "", "amount", -12.5),
        ("huge_amount", "", "amount", 1e15),
        ("future", "", "event_time", "2096-01-05T09:30:00.250Z"),
    ],
)
def test_an_edit_changes_one_field(fault: str, variant: str, field: str, value: object) -> None:
    assert json.loads(made(fault, variant)) == {**json.loads(LINE), field: value}


def test_every_kind_that_edits_is_known_to_be_edited(one_day) -> None:
    codes = pl.Series(range(len(FAULTS))).to_numpy()
    edited = {FAULTS[int(at)].name for at in is_edited(codes)}
    changing = {"", "duplicate", "conflicting_duplicate", "late", "volume_spike", "gap", "schema_drift"}
    assert edited == {fault.name for fault in FAULTS} - changing


def test_lines_and_faults_match(one_day) -> None:
    for line, _transaction, fault, detail in one_day.faults.iter_rows():
        if line is None:
            assert fault == "gap"
            continue
        body = one_day.bodies[line]
        if fault == "missing_field":
            assert f'"{detail}"'.encode() not in body
        elif fault == "unknown_currency":
            assert b'"XXQ"' in body
        elif fault == "huge_amount":
            assert b'"amount":1e15,' in body
        elif fault == "new_enum_value":
            assert f'"channel":"{detail.split(":")[1]}"'.encode() in body
        elif fault == "future":
            assert b'"event_time":"2096-' in body


def test_the_faults_name_the_right_transactions(one_day) -> None:
    readable = {"duplicate", "conflicting_duplicate", "late", "future", "unknown_currency", "huge_amount", "volume_spike", "schema_drift"}
    checked = one_day.faults.filter(pl.col("fault").is_in(readable))
    assert checked.height > 20
    for line, transaction, *_ in checked.iter_rows():
        assert json.loads(one_day.bodies[line])["transaction_id"] == transaction


@pytest.mark.parametrize(("fault", "differs"), [("duplicate", False), ("conflicting_duplicate", True)])
def test_a_repeated_event_comes_after_the_first_and_differs_only_if_it_conflicts(one_day, fault: str, differs: bool) -> None:
    faults = one_day.fault_of()
    bodies = [(line, json.loads(body)) for line, body in enumerate(one_day.bodies) if line not in faults]
    first = {body["transaction_id"]: (line, body) for line, body in bodies}
    repeated = one_day.faults.filter(pl.col("fault") == fault)
    assert repeated.height >= 2
    for line, transaction, *_ in repeated.iter_rows():
        again = json.loads(one_day.bodies[line])
        first_line, original = first[transaction]
        assert first_line < line
        changed = {name for name in original if original[name] != again.get(name)}
        assert changed == ({"enqueued_time", "amount"} if differs else {"enqueued_time"})
        assert datetime.fromisoformat(again["enqueued_time"]) - datetime.fromisoformat(original["enqueued_time"]) < timedelta(hours=3)


def test_late_events_are_more_than_a_day_old_and_others_minutes_at_most(one_day) -> None:
    faults = one_day.fault_of()
    for line, body in enumerate(one_day.bodies):
        fault = faults.get(line)
        if fault in (None, "volume_spike", "late"):
            event = json.loads(body)
            age = datetime.fromisoformat(event["enqueued_time"]) - datetime.fromisoformat(event["event_time"])
            low, high = (timedelta(hours=25), timedelta(days=7, hours=1)) if fault == "late" else (timedelta(0), timedelta(minutes=11))
            assert low <= age < high


def test_what_a_gap_loses_arrives_nowhere_but_was_made(one_day) -> None:
    lost = set(one_day.faults.filter(pl.col("fault") == "gap")["transaction_id"])
    assert lost
    assert not lost & {event["transaction_id"] for event in one_day.sound()}
    assert lost <= set(one_day.records["transaction_id"])


def test_a_spike_is_ten_minutes_of_many_times_the_usual_volume(four_days) -> None:
    spike = four_days.faults.filter(pl.col("fault") == "volume_spike")["line"].to_list()
    times = [datetime.fromisoformat(json.loads(four_days.bodies[line])["event_time"]) for line in spike]
    assert max(times) - min(times) < timedelta(minutes=10)
    assert {time.date().isoformat() for time in times} == {"2026-01-06"}
    assert len(spike) > 4 * four_days.plan.events_per_day * 10 / 1440


def test_the_drift_begins_at_one_line_and_stays(four_days) -> None:
    first = four_days.faults.filter(pl.col("fault") == "schema_drift")["line"].item()
    faults = four_days.fault_of()
    for line, body in enumerate(four_days.bodies):
        if line not in faults:
            assert (b'"sdk_version"' in body) == (line >= first and b'"source_system":"mobile"' in body)
