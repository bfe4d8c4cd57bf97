"""Reference tables are what the flow's references take, and belong to the events."""

from __future__ import annotations

import io
from datetime import date, timedelta

import polars as pl
import pytest

from lakewarden.rules.references import SCHEMAS, validate
from lakewarden.sources.simulator.days import Simulation
from lakewarden.sources.simulator.names import respelled
from lakewarden.sources.simulator.reference import reference_tables


@pytest.fixture(scope="module")
def tables(fortnight) -> dict[str, pl.DataFrame]:
    return reference_tables(Simulation(fortnight.plan).population, fortnight.plan.start)


def test_each_table_is_valid_as_read_from_its_file(tables) -> None:
    for kind, table in tables.items():
        read = pl.read_csv(io.BytesIO(table.write_csv().encode()), infer_schema=False)
        assert validate(kind, read).schema == SCHEMAS[kind]
    assert set(tables) == {"kyc", "limits", "counterparties", "watchlist", "fx"}


def test_a_few_accounts_are_unknown_and_all_others_are_there_once(fortnight, tables) -> None:
    known = tables["kyc"]["account_id"]
    limited = tables["limits"]["account_id"]
    assert known.n_unique() == len(known)
    missing = set(limited) - set(known)
    assert 1 <= len(missing) <= 10
    used = {event["account_id"] for event in fortnight.sound()}
    assert used <= set(limited)
    assert used & missing


def test_customers_and_countries_agree_with_the_events(fortnight, tables) -> None:
    customers = dict(zip(tables["kyc"]["account_id"], tables["kyc"]["customer_id"], strict=True))
    outside = dict(zip(tables["counterparties"]["counterparty_id"], tables["counterparties"]["country"], strict=True))
    checked = 0
    for event in fortnight.sound():
        assert customers.get(event["account_id"], event["customer_id"]) == event["customer_id"]
        if event.get("counterparty_id", "").startswith("X"):
            assert outside[event["counterparty_id"]] == event["counterparty_country"]
            checked += 1
    assert checked > 1000


def test_mules_were_opened_lately_and_dormant_accounts_long_ago(fortnight, tables) -> None:
    opened = dict(zip(tables["kyc"]["account_id"], tables["kyc"]["opened_date"], strict=True))
    joined = fortnight.labels.join(fortnight.records, on="transaction_id")
    start: date = fortnight.plan.start
    for typology, early, late in (("mule_fan_out", 56, 3), ("dormant_waking", 9000, 200)):
        accounts = joined.filter(pl.col("typology") == typology)["account_id"].unique()
        assert len(accounts)
        assert all(start - timedelta(days=early) <= opened[account] <= start - timedelta(days=late) for account in accounts)


def test_all_that_occurs_is_used_somewhere(tables) -> None:
    assert set(tables["kyc"]["customer_risk"]) == {"LOW", "MEDIUM", "HIGH"}
    assert set(tables["kyc"]["kyc_status"]) == {"VERIFIED", "PENDING", "EXPIRED"}
    assert 0 < tables["kyc"]["is_pep"].sum() < 20
    assert set(tables["watchlist"]["kind"]) == {"person", "entity"}
    assert (tables["limits"]["single_limit_minor"] < tables["limits"]["daily_limit_minor"]).all()


def test_no_customer_bears_a_listed_name(tables) -> None:
    assert not set(tables["kyc"]["name"]) & set(tables["watchlist"]["name"])


def test_respelling_makes_as_many_edits_as_it_is_told() -> None:
    assert respelled("Dzoriky Ykraakhadzhan", 0) == "Dzoriky Ykraakhadzhan"
    assert respelled("Dzoriky Ykraakhadzhan", 1) == "Dzoriky Ykraahadzhan"
    assert respelled("Dzoriky Ykraakhadzhan", 2) == "Dzoriki Ykraahadzhan"
    assert respelled("Orb", 2) == "Orb"
