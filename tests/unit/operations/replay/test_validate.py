"""Every difference is found, named and put in its class, no more and no less; the gates pass or stop on them."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import yaml
from deltalake import DeltaTable, write_deltalake

import lakewarden
from lakewarden.engines import embedded

DAY = "2026-01-05"
RULES = "conf/compliance_rules.yaml"


def of_day(lake, table: str) -> pl.DataFrame:
    return lake.table(table).filter(pl.col("event_date").cast(str) == DAY).sort("seq").collect()


def republish(lake) -> None:
    for table in lake.house.tables.values():
        table.refresh()
    lake.house.publish(lake.house.published().batch, dt.datetime.now(dt.UTC))


def stopped(report) -> list[str]:
    return [gate["gate"] for gate in report.data["gates"] if not gate["ok"]]


def seqs(unlike: pl.DataFrame, table: str) -> list[int]:
    return sorted(unlike.filter(pl.col("table") == table)["seq"])


def release_without(lake, name: str) -> str:
    """The id of a release without one of the compliance rules; the stored rows are of the one before."""
    conf = yaml.safe_load(lake.house.store.get(RULES))
    conf["rules"] = [rule for rule in conf["rules"] if rule["name"] != name]
    lake.house.store.put(RULES, yaml.safe_dump(conf).encode())
    return lake.release_create().id


def test_a_changed_rule_shows_in_exactly_the_rows_that_it_fired_on(lake, compared):
    gold = of_day(lake, "risk_scores_gold")
    rule = gold["rules"].explode().drop_nulls().value_counts(sort=True)["rules"][0]
    fired = gold.filter(pl.col("rules").list.contains(rule))
    assert 0 < fired.height < gold.height
    report, unlike = compared(release_without(lake, rule), max_band_move_share=1.0)
    assert seqs(unlike, "risk_scores_gold") == sorted(fired["seq"])
    assert set(unlike["table"]) <= {"risk_scores_gold", "anomaly_alerts"}
    assert set(seqs(unlike, "anomaly_alerts")) == set(fired.filter(pl.col("risk_band") == "HIGH")["seq"])
    assert unlike["class"].unique().to_list() == ["release change"]
    assert report.ok
    moved = unlike.filter(pl.col("kind") == "band moved").height
    assert moved == sum(cell["transactions"] for cell in report.data["bands"] if cell["old"] != cell["new"])


def test_more_band_moves_than_the_plan_allows_stop_it(lake, compared):
    gold = of_day(lake, "risk_scores_gold").filter(pl.col("risk_band") != "LOW")
    rule = gold["rules"].explode().drop_nulls().value_counts(sort=True)["rules"][0]
    report, _ = compared(release_without(lake, rule), max_band_move_share=0.0)
    assert (report.ok, stopped(report)) == (False, ["bands"])


def test_what_a_changed_rule_does_to_later_windows_is_its_release_change_too(lake, tmp_path):
    """The first half of a day went through a rule as a warning, the second after it had become critical; all of it is replayed so."""
    bodies = of_day(lake, "transactions_bronze")["body"].to_list()
    for name, part in (("1", bodies[:800]), ("2", bodies[800:])):
        (tmp_path / f"{name}.ndjson").write_bytes(b"\n".join(part) + b"\n")
    fresh = lakewarden.init(tmp_path / "fresh")
    fresh.stream(tmp_path / "1.ndjson", once=True)
    rules = yaml.safe_load(fresh.house.store.get("conf/dq_rules.yaml"))
    for rule in rules["rules"] if isinstance(rules, dict) else rules:
        if rule["name"] == "transfer_not_to_itself":
            rule.update(criticality="critical", expression="amount < 300", description="amount must be small")
    fresh.house.store.put("conf/dq_rules.yaml", yaml.safe_dump(rules).encode())
    second = fresh.release_create().id
    fresh.stream(tmp_path / "2.ndjson", once=True)
    replay_id = fresh.replay_plan(DAY, DAY, reason="t", release=second).data["id"]
    fresh.replay_run(replay_id)
    unlike = pl.read_parquet(fresh.replay_validate(replay_id).data["differences_at"])
    assert unlike.filter(pl.col("recorded_release") == second, pl.col("kind") != "removed").height > 0
    assert unlike["class"].unique().to_list() == ["release change"]


def test_a_fault_in_a_stage_is_unexplained_in_exactly_its_rows(lake, compared, monkeypatch):
    flow = embedded.run_flow

    def faulty(rows, context, timer):
        derived = flow(rows, context, timer)
        wrong = pl.when(pl.col("seq") % 97 == 0).then(pl.col("risk_score") / 2 + 0.001).otherwise("risk_score")
        return replace(derived, gold=derived.gold.with_columns(wrong.alias("risk_score")))

    monkeypatch.setattr(embedded, "run_flow", faulty)
    report, unlike = compared()
    expected = sorted(seq for seq in of_day(lake, "risk_scores_gold")["seq"] if seq % 97 == 0)
    assert (sorted(unlike["seq"]), set(unlike["kind"]), set(unlike["class"])) == (expected, {"re-scored"}, {"unexplained"})
    assert stopped(report) == ["explained"]
    assert all(set(example["columns"]) == {"risk_score"} for example in report.data["examples"])


def test_a_tampered_score_is_unexplained(lake, compared):
    seq = of_day(lake, "risk_scores_gold")["seq"][3]
    DeltaTable(lake.house.tables["risk_scores_gold"].uri).update(updates={"risk_band": "'MEDIUM'"}, predicate=f"seq = {seq}")
    republish(lake)
    report, unlike = compared()
    assert unlike.select("seq", "kind", "class", "old_band").rows() == [(seq, "band moved", "unexplained", "MEDIUM")]
    assert not report.ok


@pytest.mark.parametrize(
    "table", ["transactions_silver", "risk_scores_gold", "transactions_dlq", "transactions_duplicates", "anomaly_alerts"]
)
def test_a_row_that_production_lost_is_data_loss_and_explained(lake, compared, table):
    seq = of_day(lake, table)["seq"][0]
    DeltaTable(lake.house.tables[table].uri).delete(f"seq = {seq}")
    republish(lake)
    report, unlike = compared()
    assert unlike.select("table", "seq", "kind", "class").rows() == [(table, seq, "added", "data loss")]
    assert report.ok


def test_a_row_that_production_has_twice_is_a_duplicate(lake, compared):
    doubled = of_day(lake, "transactions_silver").head(1)
    write_deltalake(lake.house.tables["transactions_silver"].uri, doubled, mode="append")
    republish(lake)
    report, unlike = compared()
    assert unlike.select("table", "seq", "kind", "class").rows() == [("transactions_silver", doubled["seq"][0], "removed", "duplicate")]
    assert report.ok


def test_an_event_that_came_after_the_plan_is_late(lake, planned, tmp_path):
    replay_id = planned()
    lake.replay_run(replay_id)
    silver = of_day(lake, "transactions_silver")["seq"]
    body = lake.table("transactions_bronze").filter(pl.col("seq") == silver[-1]).collect()["body"][0]
    event = {**json.loads(body), "transaction_id": "T-LATE-1"}
    (tmp_path / "late.ndjson").write_text(json.dumps(event) + "\n")
    assert lake.stream(tmp_path / "late.ndjson", once=True).rows == 1
    report = lake.replay_validate(replay_id)
    unlike = pl.read_parquet(report.data["differences_at"])
    assert (set(unlike["class"]), set(unlike["transaction_id"])) == ({"late"}, {"T-LATE-1"})
    assert report.ok
    assert report.data["alerts"]["closed"] == 0


def test_a_row_missing_in_the_sandbox_breaks_conservation(lake, planned):
    replay_id = planned()
    lake.replay_run(replay_id)
    seq = of_day(lake, "transactions_silver")["seq"][0]
    DeltaTable(lake.house.store.uri(f"_replays/{replay_id}/sandbox/transactions_silver_tmp")).delete(f"seq = {seq}")
    report = lake.replay_validate(replay_id)
    assert stopped(report) == ["conservation"]
    assert report.data["classes"][3]["rows"] == 1
    assert lake.replay_show(replay_id).data["state"] == "stopped"


def test_the_page_stands_alone_and_says_the_verdict_first(lake, compared):
    report, _ = compared()
    page = Path(report.data["page"]).read_text()
    assert not re.search(r"<script|<link|src=|https?://", page)
    assert page.index("All gates pass; no row differs.") < page.index("<h2>Gates</h2>")
    for part in ("Bands, old against new", "Rows and amounts", "Data-quality rules", "Conservation in the sandbox", "Tables that it saw"):
        assert f"<h2>{part}</h2>" in page


def test_clean_up_removes_the_tables_and_keeps_the_papers(lake, planned):
    replay_id = planned()
    lake.replay_run(replay_id)
    lake.replay_validate(replay_id)
    cleaned = lake.replay_clean(replay_id)
    kept = {Path(entry.path).name for entry in lake.house.store.entries(f"_replays/{replay_id}")}
    assert {"plan.json", "state.json", "report.json", "report.html", "differences.parquet"} <= kept
    assert not list(lake.house.store.entries(f"_replays/{replay_id}/sandbox"))
    assert cleaned.data["files_removed"] > 10
    assert lake.replay_clean(replay_id).data["files_removed"] == 0
    for command in (lake.replay_run, lake.replay_validate):
        with pytest.raises(Exception, match="is cleaned"):
            command(replay_id)
    assert lake.replay_show(replay_id).data["verdict"] == "All gates pass; no row differs."
