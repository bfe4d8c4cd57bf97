"""Runbook section 4, streaming replay: one test for each step that is here."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import lakewarden
from lakewarden.errors import LakeError, UsageError
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
    level = report.data["service_level"]
    assert (level["latency_p95_ms"]["old"] > 0, level["latency_p95_ms"]["new"], level["level_ms"]) == (True, None, 60_000)


def test_4_2_2_readers_are_told_that_the_dates_are_under_replay(lake, plan):
    replay_id, versions = plan.data["id"], dict(lake.house.published().versions)
    lake.replay_freeze(replay_id)
    assert replay_id in lake.status().data["published"]["notice"]
    assert replay_id in lake.sql("SELECT 1 AS one").notice
    assert lake.house.published().versions == versions
    lake.replay_freeze(replay_id, thaw=True)
    assert lake.status().data["published"]["notice"] is None


def contents(lake) -> dict[str, tuple[int, int]]:
    """Rows and a hash total of every table, at the published point."""
    found = {name: lake.table(name).collect() for name in lake.house.tables}
    return {name: (rows.height, int(rows.hash_rows().cast(pl.Int128).sum()) if rows.height else 0) for name, rows in found.items()}


def stricter(lake) -> str:
    """A release whose thresholds put more transactions into a higher band; its id."""
    path = Path(lake.house.store.root) / "conf" / "settings.yaml"
    path.write_text(path.read_text().replace("band_medium: 0.3\n", "band_medium: 0.1\n").replace("band_high: 0.8\n", "band_high: 0.35\n"))
    return lake.release_create(reason="stricter bands").id


@pytest.fixture
def validated(lake) -> str:
    """A replay of the date under stricter thresholds, run and validated; its id."""
    plan = lake.replay_plan(DAY, DAY, release=stricter(lake), reason="stricter bands", settings={"max_band_move_share": 1.0})
    lake.replay_run(plan.data["id"])
    report = lake.replay_validate(plan.data["id"])
    assert report.ok
    assert report.data["differences"] > 0
    return str(plan.data["id"])


def test_4_2_6_the_replay_takes_the_place_of_the_date_and_of_nothing_else(lake, validated):
    gold = lake.table("risk_scores_gold").filter(pl.col("event_date").cast(str) != DAY).sort("seq").collect()
    bronze = lake.table("transactions_bronze").sort("seq").collect()
    wanted = tables_of(lake, validated).scan("risk_scores_gold").sort("seq").collect()
    swapped = lake.replay_swap(validated)
    assert swapped.data["state"] == "swapped"
    standing = lake.table("risk_scores_gold").sort("seq").collect()
    assert standing.filter(pl.col("event_date").cast(str) == DAY).equals(wanted)
    assert standing.filter(pl.col("event_date").cast(str) != DAY).equals(gold)
    assert lake.table("transactions_bronze").sort("seq").collect().equals(bronze)
    for day in (DAY, "2026-01-06"):
        verified = lake.verify(day)
        assert (verified.ok, verified.differences) == (True, 0), verified.first
        assert lake.conserve(day).ok


def test_4_2_6_the_swap_leaves_a_receipt_of_what_went_and_came(lake, validated):
    number = lake.replay_swap(validated).data["receipt"]
    receipt = lake.receipt_show(number).data
    assert (receipt["kind"], receipt["reason"], receipt["plan"]["id"]) == ("replay.swap", "stricter bands", validated)
    assert receipt["counts"]["risk_scores_gold out"] == receipt["counts"]["risk_scores_gold in"] > 0
    assert receipt["hash_totals"]["risk_scores_gold before"] != receipt["hash_totals"]["risk_scores_gold after"]
    assert receipt["tables"]["risk_scores_gold"]["after"] == lake.house.published().versions["risk_scores_gold"]
    assert lake.receipts_verify().ok


def test_4_2_6_an_undo_puts_back_exactly_what_was_there(lake, validated):
    before = contents(lake)
    lake.replay_swap(validated)
    assert lake.replay_can_undo(validated).ok
    lake.replay_undo(validated, "it was only tried")
    assert contents(lake) == before
    assert lake.replay_show(validated).data["state"] == "undone"
    assert not lake.replay_can_undo(validated).ok
    assert lake.verify(DAY).ok
    assert lake.replay_validate(validated).ok
    assert lake.replay_swap(validated).data["state"] == "swapped"


def test_4_2_6_as_recorded_a_swapped_date_is_what_the_swap_made_of_it(lake, validated):
    lake.replay_swap(validated)
    again = lake.replay_plan(DAY, DAY, reason="is it still so?")
    assert again.data["release"] == lake.replay_show(validated).data["plan"]["release"]
    lake.replay_run(again.data["id"])
    report = lake.replay_validate(again.data["id"])
    assert (report.ok, report.data["differences"]) == (True, 0)
    mixed = lake.replay_plan(DAY, "2026-01-06", reason="both")
    assert [one["name"] for one in mixed.data["preconditions"] if not one["ok"]] == ["alike"]


def test_4_2_6_snapshots_of_the_dates_are_made_anew(lake, validated):
    assert lake.snapshot_take(DAY).ok
    old = lake.table("regulatory_snapshots").sort("seq").collect()
    (due,) = lake.replay_swap(validated).data["due"]
    assert (due["name"], due["from"], due["to"]) == ("snapshot", DAY, DAY)
    assert lake.snapshot_verify(DAY).ok, "outdated, and still what was signed"
    assert not lake.snapshot_verify(DAY).data["snapshots"][0]["current"]
    assert due["state"] == f"lakewarden snapshot take --from {DAY} --to {DAY}"
    (taken,) = lake.snapshot_take(first=DAY, last=DAY, reason="after the replay").data["snapshots"]
    assert taken["replaces"] == f"snapshot-{DAY}-1"
    new = lake.table("regulatory_snapshots").sort("seq").collect()
    assert new["release_id"].unique().to_list() == [lake.replay_show(validated).data["plan"]["release"]]
    lake.snapshot_undo(DAY, "the replay is taken back")
    assert lake.replay_undo(validated, "it was only tried").data["due"] == []
    assert lake.table("regulatory_snapshots").sort("seq").collect().equals(old)
    assert lake.snapshot_verify(DAY).data["snapshots"][0]["current"]


def test_4_2_6_a_second_person_approves_where_settings_ask_for_it(lake, validated, monkeypatch):
    (Path(lake.house.store.root) / "conf" / "operations.yaml").write_text('second_person: ["replay.swap"]\n')
    with pytest.raises(LakeError, match="second person"):
        lake.replay_swap(validated)
    with pytest.raises(UsageError, match="planned"):
        lake.replay_approve(validated)
    monkeypatch.setenv("LAKEWARDEN_ACTOR", "second.person")
    other = lakewarden.open(lake.house.store.root)
    other.replay_approve(validated)
    other.replay_validate(validated)  # what was approved is no longer what stands
    with pytest.raises(LakeError, match="second person"):
        lake.replay_swap(validated)
    other.replay_approve(validated)
    swapped = lake.replay_swap(validated)
    assert lake.receipt_show(swapped.data["receipt"]).data["approvals"][0]["who"] == "second.person"


def test_4_2_6_what_was_validated_against_other_rows_is_not_swapped(lake, validated):
    second = lake.replay_plan(DAY, DAY, reason="another one", release=stricter(lake), settings={"max_band_move_share": 1.0}).data["id"]
    lake.replay_run(second)
    lake.replay_validate(second)
    lake.replay_swap(validated)
    with pytest.raises(LakeError, match="replay validate"):
        lake.replay_swap(second)
    lake.replay_validate(second)
    lake.replay_swap(second)
    with pytest.raises(LakeError, match="undo that first"):
        lake.replay_undo(validated, "the first one")
    lake.replay_undo(second, "the second one")
    lake.replay_undo(validated, "and the first one")
    assert lake.verify(DAY).ok


def test_4_2_6_what_is_not_pinned_any_more_can_not_be_undone(lake, validated):
    lake.replay_swap(validated)
    pin = next(one for one in lake.pins().data["pins"] if one["table"] == "risk_scores_gold")
    lake.pin_release(pin["id"], "it was accepted")
    answer = lake.replay_can_undo(validated)
    assert not answer.ok
    assert pin["id"] in answer.data["reason"]
    with pytest.raises(LakeError, match="released"):
        lake.replay_undo(validated, "too late")


def test_4_2_6_a_replay_of_some_accounts_changes_their_rows_and_no_others(lake):
    busy = lake.table("transactions_silver").filter(pl.col("event_date").cast(str) == DAY).collect()
    accounts = busy["account_id"].value_counts(sort=True)["account_id"].head(2).to_list()
    before = contents(lake)
    old = lake.table("risk_scores_gold").sort("seq").collect()
    release = stricter(lake)
    missing = lake.replay_plan(DAY, DAY, release=release, reason="two accounts", accounts=["no such account"])
    assert [one["name"] for one in missing.data["preconditions"] if not one["ok"]] == ["accounts"]
    plan = lake.replay_plan(DAY, DAY, release=release, reason="two accounts", accounts=accounts, settings={"max_band_move_share": 1.0})
    replay_id = plan.data["id"]
    ran = lake.replay_run(replay_id)
    report = lake.replay_validate(replay_id)
    assert report.ok, report.data["gates"]
    lake.replay_swap(replay_id)
    new = lake.table("risk_scores_gold").sort("seq").collect()
    theirs = pl.col("account_id").is_in(accounts) & (pl.col("event_date").cast(str) == DAY)
    assert new.filter(~theirs).equals(old.filter(~theirs))
    assert new.filter(theirs)["release_id"].unique().to_list() == [release]
    assert new.filter(theirs).height == ran.data["counts"]["risk_scores_gold"] > 0
    assert (lake.verify(DAY).ok, lake.conserve(DAY).ok) == (True, True)
    lake.replay_undo(replay_id, "tried")
    assert contents(lake) == before
    assert lake.verify(DAY).ok


def test_4_2_7_clean_up_leaves_what_was_swapped_in_and_its_undo(lake, validated):
    before = contents(lake)
    lake.replay_swap(validated)
    after = contents(lake)
    assert lake.replay_clean(validated, archive=True).data["archived_rows"] > 0
    assert contents(lake) == after
    lake.replay_undo(validated, "it was only tried")
    assert contents(lake) == before
    assert lake.replay_show(validated).data["state"] == "cleaned"


def test_4_2_7_clean_up_drops_the_sandbox_and_keeps_the_reports(lake, plan):
    replay_id = plan.data["id"]
    lake.replay_run(replay_id)
    lake.replay_validate(replay_id)
    lake.replay_clean(replay_id)
    kept = {entry.path.rsplit("/", 1)[1] for entry in lake.house.store.entries(f"_replays/{replay_id}")}
    assert {"plan.json", "report.json", "report.html"} <= kept
    assert not any("_tmp" in entry.path for entry in lake.house.store.entries(f"_replays/{replay_id}"))
