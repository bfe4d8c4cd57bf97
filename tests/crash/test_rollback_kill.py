"""A rollback killed at any step: the same command finishes it, with one receipt, and no mixture is ever in force."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import lakewarden
from crash import ready
from crash.faults import Step
from lakewarden.audit.receipts import all_receipts
from lakewarden.lake import releases
from lakewarden.models import registry, stages
from lakewarden.operations import release, restoring
from lakewarden.operations.change import journal as papers
from lakewarden.operations.dates import utc_now
from makers.versions import trained

REASON = "killed on the way"
PUT = "lakewarden.lake.store:Store.put"
STEPS = {
    "state of the new change": (Step(PUT, r"^_changes/change-\w+/state.json"), 1, "behind"),
    "plan": (Step(PUT, r"^_changes/change-\w+/plan.json"), 1, "behind"),
    "tags": (Step("mlflow.tracking:MlflowClient.set_model_version_tag", "stage"), 1, "behind"),
    "alias": (Step("mlflow.tracking:MlflowClient.set_registered_model_alias"), 1, "before"),
    "registry is done": (Step(PUT, r"^_changes/change-\w+/state.json"), 2, "before"),
    "registry is noted": (Step(PUT, r"^_changes/change-\w+/state.json"), 2, "behind"),
    "restoration is begun": (Step(PUT, "^_releases/restoring.json"), 1, "behind"),
    "first file of conf": (Step(PUT, "^conf/"), 1, "behind"),
    "second file of conf": (Step(PUT, "^conf/"), 2, "behind"),
    "third file of conf": (Step(PUT, "^conf/"), 3, "behind"),
    "last file of conf": (Step(PUT, "^conf/model.json"), 1, "behind"),
    "restored": (Step(PUT, "^_releases/restoring.json"), 2, "behind"),
    "release in force": (Step(PUT, "^_releases/current.json"), 1, "behind"),
    "settled": (Step(PUT, "^_releases/restoring.json"), 3, "behind"),
    "release is noted": (Step(PUT, r"^_changes/change-\w+/state.json"), 3, "behind"),
    "confirmed": (Step(PUT, r"^_changes/change-\w+/state.json"), 4, "behind"),
    "receipt": (Step("lakewarden.lake.store:Store.put_new", r"^_receipts/\d"), 1, "before"),
    "receipt is written": (Step("lakewarden.lake.store:Store.put_new", r"^_receipts/\d"), 1, "behind"),
    "receipt is noted": (Step(PUT, r"^_changes/change-\w+/state.json"), 5, "behind"),
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> lakewarden.Lake:
    """Versions 1 and 2, whose releases differ in contract, both rule files, settings and model."""
    root = tmp_path_factory.mktemp("bank") / "lake"
    made = lakewarden.init(root)
    trained(made)
    contract = root / "conf" / "transactions.schema.json"
    contract.write_text(json.dumps(json.loads(contract.read_text())))  # other bytes, the same meaning
    for name in ("dq_rules.yaml", "compliance_rules.yaml"):
        path = root / "conf" / name
        path.write_text("# changed together with version 2\n" + path.read_text())
    settings = root / "conf" / "settings.yaml"
    settings.write_text(settings.read_text().replace("band_high: 0.8\n", "band_high: 0.7\n"))
    registered = trained(made, labels=False)
    assert registered.version == "2"
    return made


def legal(lake: lakewarden.Lake) -> dict[str, str]:
    """The two releases between which a rollback goes: by version, the first with 1 and the newest with 2."""
    found: dict[str, str] = {}
    for receipt in all_receipts(lake.house.store):
        if receipt.kind == "model.train":
            found[receipt.outcome["version"]] = receipt.outcome["release"]
    return found


def killed(lake: lakewarden.Lake, step: Step, n: int, side: str, *, certain: bool = True) -> None:
    """Start a rollback that kills itself at a call; beside a stream that does the same work it may not come to that call."""
    fault = json.dumps({"target": step.target, "wanted": step.wanted, "side": side, "n": n})
    words = ["model", "rollback", "--to", "1", "--reason", REASON, "--lake", lake.house.store.root, "--json"]
    assert ready.killed("faulty_stream", fault, *words) or not certain


@contextmanager
def watching(lake: lakewarden.Lake) -> Iterator[set[str]]:
    """A stream's watch that looks without pause, and a look at what is in force beside it; gives every release that was seen."""
    seen: set[str] = set()
    warned: list[object] = []
    stop, looks = threading.Event(), itertools.count()
    store = lake.house.store
    watch = release.ReleaseWatch(store, utc_now, lambda: 2.0 * next(looks), warned.append, lake._receipt_of_release)

    def look() -> None:
        while not stop.is_set():
            seen.update((watch.current(), str(releases.current_id(store))))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
    assert not warned


def finish(lake: lakewarden.Lake) -> None:
    """The same command again, unless the rollback was at its end when it was killed."""
    if papers.unfinished(lake.house.store) is not None or lake.models().data["in_force"] != "1":
        assert lake.model_rollback(to="1", reason=REASON).ok


def check(lake: lakewarden.Lake, receipts: int) -> None:
    """Registry, release, files and receipt tell the same."""
    store = lake.house.store
    found = {one.version: one for one in stages.versions(registry.store_uri(store), "lakewarden")}
    assert (found["1"].stage, found["1"].aliases, found["1"].superseded_by) == ("production", ("production",), None)
    assert (found["2"].stage, found["2"].aliases) == ("archived", ())
    assert found["2"].rolled_back_from is not None
    assert releases.current_id(store) == legal(lake)["1"]
    assert restoring.edits(store, releases.load(store, legal(lake)["1"])) == {}
    told = all_receipts(store)
    assert sum(receipt.kind == "model.rollback" for receipt in told) == receipts + 1
    assert sum(receipt.kind == "release.create" for receipt in told) == 0
    assert told[-1].outcome["confirmed"]
    assert papers.unfinished(store) is None


def back(lake: lakewarden.Lake) -> None:
    assert lake.model_promote("2", reason="once more", with_release=True).ok
    assert releases.current_id(lake.house.store) == legal(lake)["2"]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "beside a stream"])
def test_a_rollback_killed_at_any_step_is_finished_by_the_same_command(lake, alone):
    store = lake.house.store
    made = {release_id for release_id, _ in releases.list_ids(store)}
    chosen = list(STEPS.items())
    for name, (step, n, side) in chosen if alone else chosen[6:14:2]:
        receipts = sum(receipt.kind == "model.rollback" for receipt in all_receipts(store))
        if alone:
            killed(lake, step, n, side)
            finish(lake)
        else:
            with watching(lake) as seen:
                killed(lake, step, n, side, certain=False)
                finish(lake)
            assert seen <= set(legal(lake).values()), name
        check(lake, receipts)
        assert {release_id for release_id, _ in releases.list_ids(store)} == made, name
        back(lake)
    assert lake.receipts_verify().ok


def test_what_a_killed_rollback_left_is_healed_by_whatever_composes_next(lake):
    step, n, side = STEPS["second file of conf"]
    killed(lake, step, n, side)
    assert restoring.read(lake.house.store).state == restoring.BEGUN
    made = lake.release_create(reason="somebody else")
    assert (made.id, made.receipt, made.change) == (legal(lake)["1"], None, papers.unfinished(lake.house.store).id)
    (unfinished,) = [row for row in lake.models().data["changes"] if row["next"]]
    assert unfinished["next"] == f"lakewarden model rollback --resume {made.change}"
    with pytest.raises(lakewarden.errors.LakeError, match="isn't at its end"):
        lake.model_promote("2", reason="in between")
    resumed = lake.model_resume(made.change)
    assert resumed.ok
    assert lake.release_create().receipt == resumed.data["receipt"]
    back(lake)
