"""Runbook section 4, streaming replay: one test for each step that is here."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from lakewarden.lake.store import Store
from lakewarden.operations.replay.sandbox import Sandbox

DAY = "2026-01-05"


@pytest.fixture
def plan(lake):
    return lake.replay_plan(DAY, DAY, reason="INC-DATA01: FX was wrong")


def tables_of(lake, replay_id: str) -> Sandbox:
    return Sandbox(Store(lake.house.store.uri(f"_replays/{replay_id}")))


def test_4_1_preconditions_are_checked_one_by_one(plan):
    checked = {one["name"]: one["ok"] for one in plan.data["preconditions"]}
    assert checked == {"events": True, "bronze is complete": True, "published": True, "releases": True, "space": True}


def test_4_2_1_the_impacted_range_is_identified_and_recorded(lake, plan):
    incident = lake.incident_open("INC-DATA01", "FX was wrong").data["id"]
    recorded = lake.replay_plan(DAY, DAY, reason="FX was wrong", incident=incident)
    assert lake.replay_show(recorded.data["id"]).data["plan"]["incident"] == incident
    predictions = recorded.data["predictions"]
    assert predictions["rows"] > 0
    assert {table["table"] for table in predictions["tables"]} >= {"risk_scores_gold", "anomaly_alerts"}
    assert predictions["later_transactions"] > 0


def test_4_2_3_the_results_go_into_sandbox_tables(lake, plan):
    versions = dict(lake.house.published().versions)
    lake.replay_run(plan.data["id"])
    folder = Path(lake.house.store.root) / "_replays" / plan.data["id"] / "sandbox"
    assert {"risk_scores_gold_tmp", "anomaly_alerts_tmp"} <= {path.name for path in folder.iterdir()}
    assert {name: table.refresh() for name, table in lake.house.tables.items()} == versions


def test_4_2_4_the_run_derives_the_range_again_from_bronze(lake, plan):
    ran = lake.replay_run(plan.data["id"])
    gold = tables_of(lake, plan.data["id"]).scan("risk_scores_gold").sort("seq").collect()
    published = lake.table("risk_scores_gold").filter(pl.col("event_date").cast(str) == DAY).sort("seq").collect()
    assert gold.select("seq", "risk_score", "risk_band").equals(published.select("seq", "risk_score", "risk_band"))
    assert ran.data["counts"]["risk_scores_gold"] == published.height


def test_4_2_5_old_and_new_are_compared_and_judged(lake, plan):
    lake.replay_run(plan.data["id"])
    report = lake.replay_validate(plan.data["id"])
    assert (report.ok, report.data["differences"]) == (True, 0)
    assert {gate["gate"]: gate["verdict"] for gate in report.data["gates"]} == {
        "bands": "pass",
        "data quality": "pass",
        "conservation": "pass",
        "explained": "pass",
    }
    assert {row["table"] for row in report.data["rows"]} >= {"transactions_silver", "risk_scores_gold"}


def test_4_2_7_clean_up_drops_the_sandbox_and_keeps_the_reports(lake, plan):
    replay_id = plan.data["id"]
    lake.replay_run(replay_id)
    lake.replay_validate(replay_id)
    lake.replay_clean(replay_id)
    kept = {entry.path.rsplit("/", 1)[1] for entry in lake.house.store.entries(f"_replays/{replay_id}")}
    assert {"plan.json", "report.json", "report.html"} <= kept
    assert not any("_tmp" in entry.path for entry in lake.house.store.entries(f"_replays/{replay_id}"))
