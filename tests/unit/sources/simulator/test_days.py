"""The days in memory agree with each other and with the truth."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from lakewarden.sources.simulator import Plan, generate
from lakewarden.sources.simulator.geography import CURRENCIES

EXPONENT = {currency.code: currency.exponent for currency in CURRENCIES}


@pytest.mark.parametrize("which", ["one_day", "four_days", "fortnight"])
def test_lines_are_numbered_through_and_in_order_of_arrival(which: str, request: pytest.FixtureRequest) -> None:
    world = request.getfixturevalue(which)
    first = 0
    for day in world.days:
        assert day.first_line == first
        assert day.lines == len(day.bodies()) == len(day.keys())
        first += day.lines
    arrivals = [event["enqueued_time"] for event in world.sound()]
    assert arrivals == sorted(arrivals)


@pytest.mark.parametrize("which", ["one_day", "four_days"])
def test_the_system_of_record_has_each_transaction_once_and_exactly(which: str, request: pytest.FixtureRequest) -> None:
    world = request.getfixturevalue(which)
    records = {record["transaction_id"]: record for record in world.records.iter_rows(named=True)}
    assert len(records) == world.records.height == world.labels.height == sum(day.transactions for day in world.days)
    seen = set()
    for line in world.bodies:
        assert b"\n" not in line
    faults = world.fault_of()
    for at, body in enumerate(world.bodies):
        if faults.get(at) not in (None, "late", "volume_spike"):
            continue
        event = json.loads(body, parse_float=Decimal, parse_int=Decimal)
        record = records[event["transaction_id"]]
        assert event["amount"] * 10 ** EXPONENT[event["currency"]] == record["amount_minor"]
        assert -event["amount"].as_tuple().exponent == EXPONENT[event["currency"]]
        assert all(event[name] == record[name] for name in ("account_id", "currency", "event_time"))
        assert record["event_time"].startswith(record["event_date"].isoformat())
        assert event["transaction_id"] not in seen
        seen.add(event["transaction_id"])
    spoilt = world.faults.filter(pl.col("fault") != "schema_drift")["transaction_id"]
    assert set(records) - seen <= set(spoilt)


def test_labels_are_known_a_week_later_or_when_the_plan_says(one_day) -> None:
    sooner = next(generate(Plan(seed=11, days=1, customers=300, events_per_day=1500, faults="all", label_delay_days=0)))
    for labels, delay in ((one_day.labels, 7), (sooner.labels(), 0)):
        joined = labels.join(one_day.records, on="transaction_id")
        assert joined.height == labels.height
        pairs = zip(joined["known_time"].to_list(), joined["event_time"].to_list(), strict=True)
        assert {datetime.fromisoformat(known) - datetime.fromisoformat(made) for known, made in pairs} == {timedelta(days=delay)}
    assert (one_day.labels["typology"].is_not_null() == (one_day.labels["is_fraud"] == 1)).all()


def test_slices_are_the_whole(one_day) -> None:
    day = one_day.days[0]
    assert pl.concat([day.bodies(0, 700), day.bodies(700)]).to_list() == one_day.bodies
    assert pl.concat([day.labels(0, 99), day.labels(99)]).equals(one_day.labels)
    assert pl.concat([day.records(0, 99), day.records(99)]).equals(one_day.records)


def test_keys_are_the_account_ids(one_day) -> None:
    faults = one_day.fault_of()
    for line, (body, key) in enumerate(zip(one_day.bodies, one_day.days[0].keys().to_list(), strict=True)):
        if line not in faults:
            assert json.loads(body)["account_id"] == key


def test_an_event_made_before_midnight_may_arrive_after_it(fortnight) -> None:
    crossing = 0
    for day in fortnight.days[1:]:
        for body in day.bodies(0, 20).to_list():
            crossing += json.loads(body)["event_time"][:10] < day.date.isoformat()
    assert crossing > 0


def test_fridays_are_busy_and_sundays_quiet(fortnight) -> None:
    lines = [day.lines for day in fortnight.days]
    for week in (lines[:7], lines[7:]):
        assert max(week) == week[4]
        assert min(week) == week[6]
        assert week[4] > 1.4 * week[6]


def test_another_seed_is_another_world(one_day) -> None:
    other = next(generate(Plan(seed=12, days=1, customers=300, events_per_day=1500, faults="all")))
    assert not set(other.labels()["transaction_id"]) & set(one_day.labels["transaction_id"])


def test_events_are_of_both_contract_versions_and_carry_what_theirs_allows(fortnight) -> None:
    version_2 = {"counterparty_id", "counterparty_country", "merchant_id", "device_id", "tenant_id"}
    required = {"transaction_id", "event_time", "account_id", "amount", "currency", "channel", "country", "enqueued_time"}
    optional = {"customer_id", "mcc_code", "risk_flags", "source_system", "event_type"}
    seen: set[str] = set()
    for event in fortnight.sound():
        assert required <= set(event) <= required | optional | version_2
        if event["source_system"] == "legacy-atm":
            assert not set(event) & version_2
        seen |= set(event)
    assert seen == required | optional | version_2


def test_money_moves_between_accounts_and_salaries_come_from_businesses(fortnight) -> None:
    events = fortnight.sound()
    accounts = {event["account_id"] for event in events}
    inside = [event for event in events if event.get("counterparty_id", "X") in accounts]
    assert len(inside) > len(events) * 0.05
    salaries = [event for event in events if event["source_system"] == "payroll"]
    assert len(salaries) > 100
    assert len({event["account_id"] for event in salaries}) <= 25  # 2 % of 1,250 accounts are businesses
    assert all(event["counterparty_id"].startswith("A") for event in salaries)
