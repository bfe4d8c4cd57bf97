"""Verification and conservation: clean on a good lake, and they find what was tampered with."""

from __future__ import annotations

import pytest
from deltalake import DeltaTable

from lakewarden.errors import LakeError

DAY = "2026-01-05"


def tampered(lake, table: str) -> DeltaTable:
    return DeltaTable(lake.house.tables[table].uri)


def republish(lake) -> None:
    import datetime as dt

    for table in lake.house.tables.values():
        table.refresh()
    lake.house.publish(lake.house.published().batch, dt.datetime.now(dt.UTC))


def test_a_good_lake_verifies_without_a_difference(lake):
    report = lake.verify(DAY)
    assert (report.ok, report.differences) == (True, 0)
    assert report.rows > 1000
    assert lake.conserve(DAY).ok


def test_a_changed_score_is_found_and_named(lake):
    gold = lake.table("risk_scores_gold").filter(__import__("polars").col("event_date").cast(str) == DAY).collect()
    seq = gold["seq"][3]
    tampered(lake, "risk_scores_gold").update(updates={"risk_score": "0.123"}, predicate=f"seq = {seq}")
    republish(lake)
    report = lake.verify(DAY)
    assert (report.ok, report.differences) == (False, 1)
    assert (report.first[0].table, report.first[0].seq, list(report.first[0].columns)) == ("risk_scores_gold", seq, ["risk_score"])


@pytest.mark.parametrize("table", ["transactions_silver", "risk_scores_gold", "transactions_dlq", "transactions_duplicates"])
def test_a_lost_row_breaks_the_statement_and_the_verification(lake, table):
    rows = lake.table(table).collect()
    seq = rows.filter(rows["event_date"].cast(str) == DAY)["seq"][0]
    tampered(lake, table).delete(f"seq = {seq}")
    republish(lake)
    assert not lake.conserve(DAY).ok
    report = lake.verify(DAY)
    assert (report.differences, report.first[0].kind) == (1, "missing")


def test_a_row_written_twice_is_found(lake):
    table = tampered(lake, "transactions_silver")
    doubled = lake.table("transactions_silver").head(1).collect()
    from deltalake import write_deltalake

    write_deltalake(table, doubled, mode="append")
    republish(lake)
    day = doubled["event_date"][0]
    assert not lake.conserve(day).ok
    assert lake.verify(day).differences == 1


def test_a_date_without_events_says_so(lake):
    for command in (lake.verify, lake.conserve):
        with pytest.raises(LakeError, match="no events of 1999-01-01"):
            command("1999-01-01")


def test_the_statement_is_kept_as_evidence(lake):
    statement = lake.conserve(DAY)
    assert lake.house.store.exists(f"_evidence/conservation/{DAY}-{statement.point}.json")
