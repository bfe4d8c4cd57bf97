"""A plan says what must hold, what is predicted, and what the lake was; it is stored once and can't be edited."""

from __future__ import annotations

import datetime as dt
import json

import polars as pl
import pytest
from deltalake import DeltaTable

from lakewarden.errors import LakeError, UsageError
from lakewarden.flow.behaviour import HORIZON_US
from lakewarden.lake.store import Store

DAY = "2026-01-05"


def failed(report) -> list[str]:
    assert report.ok is False
    found = [one for one in report.data["preconditions"] if not one["ok"]]
    assert all(one["next"] for one in found)
    return [one["name"] for one in found]


def stored(lake) -> list[str]:
    return [entry.path for entry in lake.house.store.entries("_replays")]


def test_a_plan_is_stored_under_the_hash_of_its_content(lake, monkeypatch):
    monkeypatch.setenv("LAKEWARDEN_ACTOR", "ada")
    report = lake.replay_plan(DAY, DAY, reason="FX was wrong")
    plan = json.loads(lake.house.store.get(f"_replays/{report.data['id']}/plan.json"))
    assert {name: plan[name] for name in ("who", "from", "to", "as_recorded", "reason")} == {
        "who": "ada",
        "from": DAY,
        "to": DAY,
        "as_recorded": True,
        "reason": "FX was wrong",
    }
    assert len(report.data["id"]) == len("replay-") + 12
    assert plan["versions"] == dict(lake.house.published().versions)
    assert lake.replay_show(report.data["id"]).data["state"] == "planned"


def test_a_dry_run_stores_nothing(lake):
    assert lake.replay_plan(DAY, DAY, reason="what if", dry_run=True).ok
    assert stored(lake) == []


def test_rows_are_predicted_from_those_that_are_there(lake):
    tables = {one["table"]: one for one in lake.replay_plan(DAY, DAY, reason="t", dry_run=True).data["predictions"]["tables"]}
    for name in ("transactions_silver", "risk_scores_gold", "anomaly_alerts", "transactions_dlq", "transactions_duplicates"):
        rows = lake.table(name).filter(pl.col("event_date").cast(str) == DAY).collect().height
        assert (tables[name]["rows"], tables[name]["bytes"] > 0) == (rows, True)


def test_later_transactions_are_those_whose_windows_can_reach_back(lake):
    plan = lake.replay_plan(DAY, DAY, reason="t", dry_run=True).data
    rows = lake.table("transactions_silver").collect()
    within = rows.filter(rows["event_date"].cast(str) == DAY)
    accounts, parties = set(within["account_id"]), set(within["party_id"]) - {None}
    expected = sum(
        row["seq"] > plan["first_seq"]
        and (
            (row["account_id"] in accounts and row["clock"] <= within["clock"].max() + HORIZON_US)
            or (row["party_id"] in parties and row["party_clock"] <= within["party_clock"].max() + HORIZON_US)
        )
        for row in rows.filter(rows["event_date"].cast(str) != DAY).iter_rows(named=True)
    )
    assert plan["predictions"]["later_transactions"] == expected > 0


def test_dates_without_events_fail(lake):
    assert "events" in failed(lake.replay_plan("1999-01-01", "1999-01-02", reason="t", dry_run=True))


def test_a_hole_in_bronze_fails(lake):
    seq = lake.table("transactions_bronze").filter(pl.col("event_date").cast(str) == DAY).collect()["seq"][5]
    DeltaTable(lake.house.tables["transactions_bronze"].uri).delete(f"seq = {seq}")
    for table in lake.house.tables.values():
        table.refresh()
    lake.house.publish(lake.house.published().batch, dt.datetime.now(dt.UTC))
    assert failed(lake.replay_plan(DAY, DAY, reason="t", dry_run=True)) == ["bronze is complete"]


def test_events_that_are_not_published_fail(lake):
    bronze = lake.table("transactions_bronze").filter(pl.col("event_date").cast(str) == DAY).tail(1).collect()
    number = lake.house.published().batch + 1
    lake.house.tables["transactions_bronze"].append(bronze.with_columns(pl.lit(number, pl.Int64).alias("batch")), batch=number)
    assert failed(lake.replay_plan(DAY, DAY, reason="t", dry_run=True)) == ["published"]


def test_a_release_that_lost_a_part_fails(lake):
    manifest = lake.release_show(lake.status().data["release"]).manifest
    lake.house.store.delete([f"_blobs/{manifest['compliance_rules']}"])
    report = lake.replay_plan(DAY, DAY, reason="t")
    assert failed(report) == ["releases"]
    with pytest.raises(LakeError, match="can't be loaded"):
        lake.replay_run(report.data["id"])


def test_a_full_disk_fails(lake, monkeypatch):
    monkeypatch.setattr(Store, "free_bytes", lambda self: 1000)
    assert failed(lake.replay_plan(DAY, DAY, reason="t", dry_run=True)) == ["space"]


@pytest.mark.parametrize(
    ("first", "last", "said", "kind", "match"),
    [
        ("2026-01-06", "2026-01-05", {}, UsageError, "is after"),
        ("2026-01-05", "2026-01-05", {"reason": " "}, UsageError, "needs a reason"),
        ("2026-01-05", "2026-01-05", {"release": "nonsense"}, LakeError, "No release begins"),
        ("2026-01-05", "2026-01-05", {"incident": "INC-S01-999999"}, LakeError, "INC-S01-999999"),
    ],
)
def test_what_makes_no_sense_is_refused(lake, first, last, said, kind, match):
    with pytest.raises(kind, match=match) as caught:
        lake.replay_plan(first, last, **{"reason": "t", **said})
    assert caught.value.next
    assert stored(lake) == []


def test_an_edited_plan_is_not_run(lake, planned):
    replay_id = planned()
    path = f"_replays/{replay_id}/plan.json"
    lake.house.store.put(path, lake.house.store.get(path).replace(b"a test", b"a jest"))
    with pytest.raises(LakeError, match="was changed after it was made"):
        lake.replay_run(replay_id)


@pytest.mark.parametrize("name", ["replay-000000000000", "../conf", "nonsense"])
def test_a_replay_that_is_not_there_says_so(lake, name):
    for command in (lake.replay_run, lake.replay_validate, lake.replay_show, lake.replay_clean):
        with pytest.raises(LakeError, match="There is no replay") as caught:
            command(name)
        assert caught.value.next == "lakewarden replay list"


def test_replays_are_listed_newest_first(lake, planned):
    ids = [planned(), planned()]
    assert [row["id"] for row in lake.replays().data["replays"]] == ids[::-1]
