"""Verification on either engine finds exactly the rows that were tampered with. That it finds nothing on good lakes: see test_replay."""

from __future__ import annotations

import datetime as dt
import shutil

import polars as pl
import pytest
from deltalake import DeltaTable

import lakewarden
from lakewarden.tables import DLQ, GOLD, SILVER

from .conftest import DAYS


@pytest.fixture(scope="session")
def tampered(tmp_path_factory, streamed) -> tuple[lakewarden.Lake, dict[str, int]]:
    """A changed amount in silver, a changed score in gold, a lost dead letter; and the `seq` of each."""
    path = tmp_path_factory.mktemp("tampered") / "lake"
    shutil.copytree(streamed.house.store.root, path)
    lake = lakewarden.open(path)
    of_day = pl.col("event_date").cast(str) == DAYS[1]
    seqs = {spec.name: lake.table(spec.name).filter(of_day).sort("seq").collect()["seq"] for spec in (SILVER, GOLD, DLQ)}
    chosen = {SILVER.name: seqs[SILVER.name][5], GOLD.name: seqs[GOLD.name][9], DLQ.name: seqs[DLQ.name][1]}
    tables = {name: DeltaTable(lake.house.tables[name].uri) for name in chosen}
    tables[SILVER.name].update(updates={"amount_base_minor": "amount_base_minor + 1"}, predicate=f"seq = {chosen[SILVER.name]}")
    tables[GOLD.name].update(updates={"risk_score": "0.123"}, predicate=f"seq = {chosen[GOLD.name]}")
    tables[DLQ.name].delete(f"seq = {chosen[DLQ.name]}")
    for table in lake.house.tables.values():
        table.refresh()
    lake.house.publish(lake.house.published().batch, dt.datetime.now(dt.UTC))
    return lake, chosen


def test_what_was_tampered_with_is_found_and_nothing_else(tampered, streamed, open_on):
    """On the later date, behind a state that is rebuilt from silver; what is derived has the hash totals of every engine on a good lake."""
    lake, chosen = tampered
    report = open_on(lake.house.store.root).verify(DAYS[1])
    assert (report.ok, report.differences) == (False, 3)
    assert {(one.table, one.seq, one.kind, *one.columns) for one in report.first} == {
        (SILVER.name, chosen[SILVER.name], "changed", "amount_base_minor"),
        (GOLD.name, chosen[GOLD.name], "changed", "risk_score"),
        (DLQ.name, chosen[DLQ.name], "missing"),
    }
    good = streamed.verify(DAYS[1])
    assert (good.ok, good.differences) == (True, 0)
    totals, expected = ({name: table["hash_total"] for name, table in one.tables.items()} for one in (report, good))
    assert totals == expected


def test_a_lost_row_breaks_the_statement(tampered, open_on):
    assert not open_on(tampered[0].house.store.root).conserve(DAYS[1]).ok
