"""Every typology is what its name says."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from lakewarden.sources.simulator import TYPOLOGIES, Plan, generate
from lakewarden.sources.simulator.days import Simulation
from lakewarden.sources.simulator.geography import CURRENCIES
from lakewarden.sources.simulator.reference import reference_tables

RATE = {currency.code: currency.rate for currency in CURRENCIES}


@pytest.fixture(scope="module")
def by_typology(fortnight) -> dict[str, list[dict[str, Any]]]:
    name = dict(zip(fortnight.labels["transaction_id"].to_list(), fortnight.labels["typology"].to_list(), strict=True))
    found: dict[str, list[dict[str, Any]]] = {}
    for event in fortnight.sound():
        event["euros"] = float(event["amount"]) * RATE[event["currency"]]
        event["at"] = datetime.fromisoformat(event["event_time"])
        found.setdefault(name[event["transaction_id"]] or "", []).append(event)
    return found


def by_account(events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    accounts: dict[str, list[dict[str, Any]]] = {}
    for event in sorted(events, key=lambda event: event["at"]):
        accounts.setdefault(event["account_id"], []).append(event)
    return list(accounts.values())


def test_all_are_there_and_crime_is_rare(fortnight, by_typology) -> None:
    assert set(by_typology) == set(TYPOLOGIES)
    assert 0.005 <= fortnight.labels["is_fraud"].mean() <= 0.01


def test_all_begin_on_the_first_day_of_even_a_small_simulation(one_day) -> None:
    assert set(one_day.labels["typology"].drop_nulls()) == set(TYPOLOGIES[1:])


def test_structuring_stays_just_under_the_threshold(by_typology) -> None:
    events = by_typology["structuring"]
    assert all(8_290 <= event["euros"] < 10_000 for event in events)
    assert {event["channel"] for event in events} == {"BRANCH", "ONLINE"}
    assert any(len(account) >= 4 for account in by_account(events))


def test_a_velocity_burst_is_a_dozen_purchases_in_half_an_hour(by_typology) -> None:
    bursts = by_account(by_typology["velocity_burst"])
    whole = [burst for burst in bursts if len(burst) >= 12]
    assert whole
    assert all((burst[11]["at"] - burst[0]["at"]).total_seconds() < 1800 for burst in whole)
    assert all(len({event["merchant_id"] for event in burst}) > 3 for burst in whole)


def test_a_takeover_begins_with_a_login_from_a_new_device_abroad(fortnight, by_typology) -> None:
    own = {}
    for event in by_typology[""]:
        own.setdefault(event["account_id"], set()).add(event.get("device_id"))
    for events in by_account(by_typology["account_takeover"]):
        login, *drained = events
        assert (login["event_type"], login["amount"]) == ("LOGIN", 0)
        assert login["country"] in {"BR", "TR", "AE", "SG"}
        assert login["device_id"] not in own.get(login["account_id"], set())
        sent = [event for event in drained if event["event_type"] == "TRANSFER"]
        assert all(event["euros"] >= 899 and event["counterparty_id"].startswith("X") for event in sent)
    assert len(by_typology["account_takeover"]) > 2 * len(by_account(by_typology["account_takeover"]))


def test_mules_pass_on_nearly_all_they_get(by_typology) -> None:
    received: dict[str, float] = {}
    senders: dict[str, set[str]] = {}
    for event in by_typology["mule_fan_in"]:
        received[event["counterparty_id"]] = received.get(event["counterparty_id"], 0) + event["euros"]
        senders.setdefault(event["counterparty_id"], set()).add(event["account_id"])
    passed: dict[str, float] = {}
    for event in by_typology["mule_fan_out"]:
        passed[event["account_id"]] = passed.get(event["account_id"], 0) + event["euros"]
    whole = [mule for mule in passed if mule in received and 0.85 <= passed[mule] / received[mule] < 0.93]
    assert len(whole) >= len(received) // 2 > 0
    assert min(len(senders[mule]) for mule in whole) >= 7


def test_dormant_accounts_did_nothing_before(by_typology) -> None:
    woken = {event["account_id"] for event in by_typology["dormant_waking"]}
    assert not woken & {event["account_id"] for event in by_typology[""]}
    assert min(event["euros"] for event in by_typology["dormant_waking"]) > 1_499


def test_the_corridor_leads_to_call_for_action_countries(by_typology) -> None:
    assert {event["counterparty_country"] for event in by_typology["high_risk_corridor"]} <= {"IR", "KP", "MM"}
    honest = sum(event.get("counterparty_country") in {"IR", "KP", "MM"} for event in by_typology[""])
    assert 0 < honest < len(by_typology["high_risk_corridor"])


def test_watchlisted_counterparties_are_on_the_list_exactly_or_nearly(fortnight, by_typology) -> None:
    tables = reference_tables(Simulation(fortnight.plan).population, fortnight.plan.start)
    names = dict(zip(tables["counterparties"]["counterparty_id"], tables["counterparties"]["name"], strict=True))
    listed = set(tables["watchlist"]["name"]) | {alias for text in tables["watchlist"]["aliases"].drop_nulls() for alias in text.split("|")}
    paid = {names[event["counterparty_id"]] for event in by_typology["watchlisted_counterparty"]}
    assert paid & listed
    assert paid - listed
    assert not listed & {names.get(event.get("counterparty_id", "")) for event in by_typology[""]}


def test_card_testing_is_small_sums_at_one_shop_then_a_large_one(by_typology) -> None:
    for events in by_account(by_typology["card_testing"]):
        shops = {}
        for event in events:
            if event["euros"] < 3:
                shops.setdefault(event["device_id"], set()).add(event["merchant_id"])
        assert all(len(shop) == 1 for shop in shops.values())
    assert any(event["euros"] > 440 for event in by_typology["card_testing"])


def test_compromised_merchants_stay_so_for_the_week_and_strike_many_accounts(by_typology) -> None:
    weeks: dict[int, dict[str, set[Any]]] = {0: {}, 1: {}}
    for event in by_typology["compromised_merchant"]:
        weeks[(event["at"].day - 5) // 7].setdefault(event["merchant_id"], set()).add((event["at"].date(), event["account_id"]))
    for merchants in weeks.values():
        assert all(len({day for day, _ in seen}) == 7 for seen in merchants.values())
        assert all(len({account for _, account in seen}) > 10 for seen in merchants.values())
    assert set(weeks[0]) != set(weeks[1])


def test_an_episode_is_the_same_however_long_the_simulation(one_day) -> None:
    longer = next(generate(Plan(seed=11, days=3, customers=300, events_per_day=1500, faults="all")))
    same = ["transaction_id", "account_id", "amount_minor"]
    assert longer.records().select(same).equals(one_day.records.select(same))
    assert longer.labels().equals(one_day.labels)
