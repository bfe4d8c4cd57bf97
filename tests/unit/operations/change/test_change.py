"""Changes of the model end to end, in one process: what moves, what stays, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

import lakewarden
from lakewarden.audit.receipts import all_receipts
from lakewarden.errors import LakeBusyError, LakeError, ModelError, UsageError
from lakewarden.lake import releases
from lakewarden.models import registry, stages
from lakewarden.operations import conf
from lakewarden.operations.change import building, journal, steps
from lakewarden.operations.change.plan import Plan
from makers import models
from makers.versions import copied, two_versions

WHY = "worse"


@pytest.fixture(scope="module")
def versioned(tmp_path_factory) -> Path:
    return two_versions(tmp_path_factory.mktemp("versioned") / "lake")


@pytest.fixture
def lake(tmp_path, versioned) -> lakewarden.Lake:
    """The scorecard, version 1, other thresholds, version 2."""
    return lakewarden.open(copied(versioned, tmp_path / "lake"))


def present(lake: lakewarden.Lake) -> releases.Manifest:
    return releases.load(lake.house.store, releases.current_id(lake.house.store))


def standing(lake: lakewarden.Lake) -> dict[str, tuple[str | None, tuple[str, ...]]]:
    return {one.version: (one.stage, one.aliases) for one in stages.versions(registry.store_uri(lake.house.store), "lakewarden")}


def registered(lake: lakewarden.Lake) -> str:
    """A version that no release has."""
    made = models.model().renamed("lakewarden", "0", "")
    uri = registry.store_uri(lake.house.store)
    before = next(one.version for one in stages.versions(uri, "lakewarden") if registry.PRODUCTION in one.aliases)
    found = registry.register(uri, made.to_bytes(), made, {}).version
    stages.move(uri, stages.Move("lakewarden", "production", before, found))
    return found


def test_thresholds_come_back_with_the_model_unless_only_the_model_is_wanted(lake):
    whole = lake.model_rollback(reason=WHY, dry_run=True).data
    alone = lake.model_rollback(reason=WHY, model_only=True, dry_run=True).data
    assert {row["part"] for row in whole["parts_changed"]} == {"model", "setting band_high"}
    assert {row["part"] for row in alone["parts_changed"]} == {"model"}
    assert any("differs in: setting band_high" in note for note in alone["notes"])
    done = lake.model_rollback(reason=WHY, model_only=True)
    assert done.ok
    assert (present(lake).model.version, present(lake).settings["band_high"]) == ("1", 0.7)


def test_back_to_the_scorecard_there_is_no_model_and_nobody_in_production(lake):
    done = lake.model_rollback(to="scorecard", reason=WHY)
    assert done.ok
    assert present(lake).model is None
    assert not lake.house.store.exists(conf.MODEL)
    assert standing(lake)["2"] == ("archived", ())
    forth = lake.model_promote("1", reason="again", with_release=True)
    assert (forth.ok, present(lake).model.version, present(lake).settings["band_high"]) == (True, "1", 0.8)


def test_a_second_rollback_does_not_go_back_to_what_was_rolled_back_from(lake):
    lake.model_rollback(reason=WHY)
    with pytest.raises(LakeError, match="rolled back from") as caught:
        lake.model_rollback(reason=WHY)
    assert "--to scorecard" in caught.value.next


def test_promotion_changes_the_model_alone_and_the_former_may_go_to_staging(lake):
    lake.model_rollback(reason=WHY)
    done = lake.model_promote("2", reason="it was not the model", demote_to="staging")
    assert done.ok
    assert (present(lake).model.version, present(lake).settings["band_high"]) == ("2", 0.8)
    assert standing(lake) == {"1": ("staging", ("staging",)), "2": ("production", ("production",))}
    assert stages.versions(registry.store_uri(lake.house.store), "lakewarden")[1].rolled_back_from is None


def test_to_staging_only_the_registry_changes(lake):
    before = releases.current_id(lake.house.store)
    done = lake.model_promote("1", alias="staging", reason="to be tried")
    assert (done.ok, releases.current_id(lake.house.store)) == (True, before)
    assert standing(lake)["1"] == ("staging", ("staging",))
    receipt = all_receipts(lake.house.store)[done.data["receipt"]]
    assert (receipt.kind, receipt.releases) == ("model.promote", [])
    with pytest.raises(ModelError, match="in staging already"):
        lake.model_promote("1", alias="staging", reason="to be tried")
    with pytest.raises(LakeError, match="nothing to watch"):
        lake.model_watch(done.data["id"], "1m")


def test_a_version_that_no_release_has_can_be_promoted_and_not_rolled_back_to(lake):
    version = registered(lake)
    with pytest.raises(ModelError, match="was in no release") as caught:
        lake.model_rollback(to=version, reason=WHY)
    assert f"model promote {version}" in caught.value.next
    done = lake.model_promote(version, reason="from elsewhere")
    assert (done.ok, present(lake).model.version) == (True, version)
    assert lake.release_create().id == done.data["release"]


def test_a_file_in_the_registry_that_was_changed_is_refused(lake):
    for path in Path(lake.house.store.root).rglob(registry.PACKED):
        path.write_bytes(models.model(labels=False).renamed("lakewarden", "0", "").to_bytes())
    plan = lake.model_rollback(reason=WHY, dry_run=True)
    assert {one["name"]: one["ok"] for one in plan.data["preconditions"]}["same bytes"] is False
    with pytest.raises(ModelError, match="has the hash"):
        lake.model_rollback(reason=WHY)
    assert present(lake).model.version == "2"
    assert journal.listed(lake.house.store) == []


def test_under_other_code_the_parts_come_back_as_a_new_release_and_it_is_said(lake, monkeypatch):
    from lakewarden.operations import release

    for module in (building, release):
        monkeypatch.setattr(module, "code_version", lambda: "0.2.0+new")
    plan = lake.model_rollback(reason=WHY, dry_run=True).data
    assert plan["release_after"] != plan["source"]
    assert any("under the present code" in note for note in plan["notes"])
    done = lake.model_rollback(reason=WHY)
    assert (done.ok, present(lake).code_version, present(lake).settings["band_high"]) == (True, "0.2.0+new", 0.8)


def test_edits_that_are_in_no_release_are_kept_by_their_hash(lake):
    rules = Path(lake.house.store.root) / conf.DQ_RULES
    rules.write_text("# mine\n" + rules.read_text())
    mine = rules.read_bytes()
    done = lake.model_rollback(reason=WHY)
    kept = all_receipts(lake.house.store)[done.data["receipt"]].outcome["replaced_edits"]
    assert releases.get_blob(lake.house.store, kept[conf.DQ_RULES]) == mine
    assert rules.read_bytes() != mine


def test_approvals_stand_in_the_receipt(lake):
    told = {"who": "bea", "when": "2026-01-06T09:00:00+00:00", "plan_hash": "f" * 64}
    done = lake.model_rollback(reason=WHY, approvals=[told])
    assert all_receipts(lake.house.store)[done.data["receipt"]].approvals == [told]


def test_a_release_that_came_between_ends_the_change_and_nothing_of_it_is_in_force(lake, monkeypatch):
    move = stages.move

    def slowly(uri, wanted):
        move(uri, wanted)
        settings = Path(lake.house.store.root) / conf.SETTINGS
        settings.write_text(settings.read_text().replace("band_high: 0.7\n", "band_high: 0.6\n"))
        lake.release_create()

    monkeypatch.setattr(steps.stages, "move", slowly)
    with pytest.raises(LakeError, match="came into force after"):
        lake.model_rollback(reason=WHY)
    monkeypatch.undo()
    assert (present(lake).settings["band_high"], present(lake).model.version) == (0.6, "2")
    assert lake.model_rollback(reason=WHY).ok
    assert [row["state"] for row in lake.models().data["changes"]] == ["done", "stale"]


def test_one_change_at_a_time(lake):
    with lake._alone(), pytest.raises(LakeBusyError, match="Another process"):
        lakewarden.open(lake.house.store.root).model_rollback(reason=WHY)
    assert present(lake).model.version == "2"


def test_receipts_that_are_not_whole_choose_nothing_and_a_named_version_needs_none(lake):
    path = Path(lake.house.store.root) / "_receipts" / f"{1:020d}.json"
    path.write_text(path.read_text().replace("made for a test", "made for a joke"))
    with pytest.raises(LakeError, match="can't say what was in force") as caught:
        lake.model_rollback(reason=WHY)
    assert "--to VERSION" in caught.value.next
    done = lake.model_rollback(to="1", reason=WHY)
    assert done.ok
    assert "the newest one that was made" in done.data["why"][1]


def test_a_replay_of_nothing_is_said_and_the_change_is_made(lake):
    done = lake.model_rollback(reason=WHY, replay=True)
    assert done.ok
    assert "decided nothing" in done.data["replay"]["what"]


def test_a_plan_that_was_changed_is_refused(lake):
    change = lake.model_rollback(reason=WHY).data["id"]
    plan = json.loads(lake.house.store.get(f"_changes/{change}/plan.json"))
    assert Plan.from_dict(plan, change).to_dict() == plan
    with pytest.raises(LakeError, match="was changed after it was made"):
        Plan.from_dict({**plan, "who": "mallory"}, plan["id"])
    with pytest.raises(LakeError, match="can't be read"):
        Plan.from_dict({}, plan["id"])


@pytest.mark.parametrize("reason", ["", "  "])
def test_a_reason_is_wanted(lake, reason):
    with pytest.raises(UsageError, match="needs a reason"):
        lake.model_rollback(reason=reason)


def test_decisions_of_the_scorecard_and_into_a_file(lake, tmp_path):
    lakewarden.simulate(tmp_path / "sim", seed=3, days=1, customers=120, events_per_day=200, faults="none")
    lake.model_rollback(to="scorecard", reason=WHY)
    lake.stream(tmp_path / "sim", once=True)
    told = lake.model_decisions("scorecard", limit=3, out=tmp_path / "rows.parquet").data
    rows = pl.read_parquet(tmp_path / "rows.parquet")
    assert (len(told["decisions"]), told["truncated"], told["rows"]) == (3, True, rows.height)
    assert rows["alert"].sum() == lake.table("anomaly_alerts").collect().height == sum(row["HIGH"] for row in told["by_date"])
    assert lake.model_decisions("2").data["rows"] == 0
    shown = lake.model_decisions("scorecard", band="LOW", first="2026-01-05", last="2026-01-05", out=tmp_path / "rows.csv").data
    assert shown["rows"] == pl.read_csv(tmp_path / "rows.csv").height


def test_a_damaged_plan_is_listed_as_such(lake):
    done = lake.model_rollback(reason=WHY)
    lake.house.store.put(f"_changes/{done.data['id']}/plan.json", b"{}")
    (row,) = lake.models().data["changes"]
    assert (row["id"], row["state"]) == (done.data["id"], "damaged")
    assert lake.model_show("1").data["changes"] == []
