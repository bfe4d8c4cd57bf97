"""Runbook section 6, model rollback: one test for each step."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

import lakewarden
from lakewarden.audit.receipts import all_receipts, read
from lakewarden.errors import LakeError, ModelError, UsageError
from lakewarden.lake import releases
from lakewarden.models import registry, stages
from lakewarden.operations.dates import utc_now
from lakewarden.settings import WatchSettings
from makers.versions import copied, trained

REASON = "false alarms doubled"


@pytest.fixture(scope="module")
def degraded_path(tmp_path_factory) -> Path:
    """Version 1 scored the first day; then thresholds were changed and version 2 scored the second."""
    root = tmp_path_factory.mktemp("degraded")
    lakewarden.simulate(root / "sim", seed=11, days=2, customers=120, events_per_day=600, faults="none", start=None)
    files = sorted((root / "sim" / "events").glob("*.jsonl"))
    lake = lakewarden.init(root / "lake")
    trained(lake)
    assert lake.stream(feed(root, files[: len(files) // 2]), once=True, batch_rows=200).ok
    path = root / "lake" / "conf" / "settings.yaml"
    path.write_text(path.read_text().replace("band_high: 0.8\n", "band_high: 0.7\n"))
    lake.release_create(reason="more is HIGH from now on")
    trained(lake, labels=False)
    assert lake.stream(feed(root, files[len(files) // 2 :]), once=True, batch_rows=200).ok
    return root / "lake"


def feed(root: Path, files: list[Path]) -> Path:
    """A folder in which these files are there; the same folder each time, as a source has one name."""
    folder = root / "in"
    folder.mkdir(exist_ok=True)
    for file in files:
        shutil.copy(file, folder)
    return folder


@pytest.fixture
def lake(tmp_path, degraded_path) -> lakewarden.Lake:
    return lakewarden.open(copied(degraded_path, tmp_path / "lake"))


def versions(lake: lakewarden.Lake) -> dict[str, stages.Version]:
    return {one.version: one for one in stages.versions(registry.store_uri(lake.house.store), "lakewarden")}


def test_6_1_preconditions_the_degradation_is_measured_and_the_former_version_is_in_the_registry(lake):
    listed = {row["version"]: row for row in lake.models().data["versions"]}
    assert listed["2"]["in_force"]
    assert listed["1"]["events"] > 0
    assert (listed["1"]["stage"], listed["2"]["stage"]) == ("archived", "production")
    plan = lake.model_rollback(reason=REASON, dry_run=True)
    checked = {one["name"]: one["ok"] for one in plan.data["preconditions"]}
    assert checked == {"reason": True, "registry": True, "same bytes": True, "release loads": True, "another version": True}
    with pytest.raises(ModelError, match="no version 77"):
        lake.model_rollback(to="77", reason=REASON)


def test_6_2_1_the_last_known_good_version_is_found_and_the_plan_says_why(lake):
    before = {entry.path for entry in lake.house.store.entries("")}
    plan = lake.model_rollback(reason=REASON, dry_run=True).data
    assert (plan["version_before"], plan["version_after"]) == ("2", "1")
    assert "was in force from" in plan["why"][0]
    assert "(receipt " in plan["why"][0]
    assert "decided" in plan["why"][1]
    changed = {row["part"] for row in plan["parts_changed"]}
    assert changed == {"model", "setting band_high"}  # the thresholds of that release come with it
    passed = [(row["model_version"], row["taken"], row["not_taken_because"]) for row in plan["considered"]]
    assert passed[:2] == [("1", False, "it decided nothing"), ("1", True, None)]
    assert passed[2][0] == "scorecard"
    assert {entry.path for entry in lake.house.store.entries("")} == before


def test_6_2_2_registry_stages_and_the_release_move_together(lake):
    store = lake.house.store
    good = next(row for row in lake.model_rollback(reason=REASON, dry_run=True).data["considered"] if row["taken"])
    done = lake.model_rollback(reason=REASON, demote_to="staging")
    assert done.ok
    found = versions(lake)
    assert (found["1"].stage, found["1"].aliases) == ("production", ("production",))
    assert (found["2"].stage, found["2"].aliases, found["2"].rolled_back_from) == ("staging", ("staging",), done.data["id"])
    present = releases.load(store, releases.current_id(store))
    assert present.model.version == "1"
    assert present == releases.load(store, good["release"])
    assert "band_high: 0.8\n" in (store.local / "conf" / "settings.yaml").read_text()
    assert lake.release_create().id == done.data["release"]


def test_6_2_2_a_second_person_approves_where_settings_ask_for_it(lake, monkeypatch):
    (Path(lake.house.store.root) / "conf" / "operations.yaml").write_text('second_person: ["model.rollback"]\n')
    before = releases.current_id(lake.house.store)
    with pytest.raises(LakeError, match="second person") as refused:
        lake.model_rollback(reason=REASON)
    change = next(word for word in refused.value.next.split() if word.startswith("change-")).strip(";,")
    assert releases.current_id(lake.house.store) == before
    with pytest.raises(UsageError, match="planned"):
        lake.model_approve(change)
    monkeypatch.setenv("LAKEWARDEN_ACTOR", "second.person")
    lakewarden.open(lake.house.store.root).model_approve(change)
    done = lake.model_resume(change)
    assert done.data["version"] == "1"
    assert read(lake.house.store, done.data["receipt"]).approvals[0]["who"] == "second.person"


def test_6_2_2_what_nobody_approves_is_called_off(lake):
    (Path(lake.house.store.root) / "conf" / "operations.yaml").write_text('second_person: ["model.rollback"]\n')
    with pytest.raises(LakeError, match="second person") as refused:
        lake.model_rollback(reason=REASON)
    change = next(word for word in refused.value.next.split() if word.startswith("change-")).strip(";,")
    assert lake.model_call_off(change).data["state"] == "called off"
    with pytest.raises(LakeError, match="called off"):
        lake.model_approve(change)
    (Path(lake.house.store.root) / "conf" / "operations.yaml").write_text("second_person: []\n")
    assert lake.model_rollback(reason=REASON).ok


def test_6_2_3_the_stream_takes_it_up_with_no_restart_needed_and_a_restarted_one_has_it_too(lake, degraded_path, tmp_path):
    done = lake.model_rollback(reason=REASON)
    more = tmp_path / "more"
    lakewarden.simulate(more, seed=12, days=1, customers=120, events_per_day=300, faults="none", start=None)
    newest = lake.house.published().batch
    report = lake.stream(more, once=True)
    assert report.releases == (done.data["release"],)
    gold = lake.table("risk_scores_gold").filter(pl.col("batch") > newest).select("release_id", "model_version").unique().collect()
    assert gold.rows() == [(done.data["release"], "1")]


def test_6_2_4_figures_before_and_after_are_watched_and_judged(lake, tmp_path):
    done = lake.model_rollback(reason=REASON)
    more = tmp_path / "more"
    lakewarden.simulate(more, seed=12, days=1, customers=120, events_per_day=1200, faults="none", start=None)
    passed = [timedelta(0)]

    def wait(seconds: float) -> bool:
        passed[0] += timedelta(seconds=seconds)
        lake.stream(more, once=True, batch_rows=400) if passed[0] == timedelta(hours=8) else None
        return False

    settings = WatchSettings(every_seconds=4 * 3600, least_events=100)
    seen = lake.model_watch(done.data["id"], "24h", settings=settings, now=lambda: utc_now() + passed[0], wait=wait).data
    assert seen["kpis"]["before"]["events"] > 0
    assert seen["kpis"]["after"]["events"] > 100
    assert {"high_rate", "medium_rate", "alerts_per_1000", "mean_score", "dq_critical_pass_rate", "latency_p95_ms"} <= set(
        seen["kpis"]["after"]
    )
    judged = {one["criterion"]: one["ok"] for one in seen["criteria"]}
    assert judged["time"]
    assert judged["events"]
    assert seen["samples"] == 7
    receipt = read(lake.house.store, seen["receipt"])
    assert (receipt.kind, receipt.outcome["stabilised"]) == ("model.watch", seen["stabilised"])
    assert lake.house.store.exists(f"_changes/{done.data['id']}/kpis.json")


def test_6_2_5_the_rollback_is_recorded_with_versions_time_and_reason(lake):
    incident = lake.incident_open("INC-ML01", REASON).data["id"]
    done = lake.model_rollback(reason=REASON, incident=incident)
    receipt = all_receipts(lake.house.store)[done.data["receipt"]]
    assert (receipt.kind, receipt.reason, receipt.incident, receipt.act_id) == ("model.rollback", REASON, incident, done.data["id"])
    assert (receipt.outcome["version_before"], receipt.outcome["version_after"]) == ("2", "1")
    assert receipt.outcome["in_force_at"] <= receipt.time
    assert receipt.releases == [done.data["release"]]
    assert receipt.outcome["confirmed"]
    assert receipt.plan["id"] == done.data["id"]
    assert [one["kind"] for one in lake.incident_show(incident).data["receipts"]] == ["incident.open", "model.rollback"]
    assert lake.receipts_verify().ok


def test_6_2_6_the_replay_of_what_the_bad_version_decided_is_planned_and_not_run(lake):
    decided = lake.model_decisions("2", band="HIGH", limit=5).data
    dates = [row["date"] for row in lake.model_decisions("2").data["by_date"]]
    assert decided["rows"] == sum(row["HIGH"] for row in decided["by_date"])
    done = lake.model_rollback(reason=REASON, replay=True)
    planned = lake.replay_show(done.data["replay"]["id"]).data
    assert (planned["plan"]["from"], planned["plan"]["to"]) == (dates[0], dates[-1])
    assert (planned["state"], planned["plan"]["release"]) == ("planned", done.data["release"])
    assert done.data["replay"]["next"].startswith("lakewarden replay run replay-")
    assert all_receipts(lake.house.store)[done.data["receipt"]].outcome["replay"]["id"] == done.data["replay"]["id"]
