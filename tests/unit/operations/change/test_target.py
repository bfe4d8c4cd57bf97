"""The last known good: newest first, and every release that is passed over says why."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from lakewarden.errors import LakeError
from lakewarden.models.stages import Version
from lakewarden.operations.change import target
from lakewarden.operations.change.target import Decided, candidates, last_known_good, stints

MODELS = {"r0": "scorecard", "r1": "1", "r2": "2", "r2b": "2", "r3": "3"}


@pytest.fixture(autouse=True)
def made_up(monkeypatch):
    monkeypatch.setattr(target, "version_of", lambda store, release_id: MODELS[release_id])


def receipts(*released: str, kind: str = "model.train") -> list:
    made = [SimpleNamespace(number=n, kind=kind, time=f"t{n}", releases=[one] if one else []) for n, one in enumerate(released)]
    return made


def version(name: str, **tags: str) -> Version:
    return Version(name, "run", datetime(2026, 1, 5, tzinfo=UTC), (), tags)


def looked(history: str, present: str, decided: str = "", **changed: Version):
    versions = {name: version(name, stage="archived", superseded_by="9") for name in "123"} | {one.version: one for one in changed.values()}
    by_release = {name: Decided(10, 0, 1, "a", "b") for name in decided.split()}
    return candidates(None, stints(receipts(*history.split())), present, versions, by_release)


def test_stints_are_told_by_acts_that_put_a_release_in_force():
    told = [*receipts("r0", "r1", "", "r1", "r2"), SimpleNamespace(number=5, kind="replay.swap", time="t5", releases=["r1"])]
    found = stints(told)
    assert [(one.release, one.receipt, one.since, one.until) for one in found] == [
        ("r0", 0, "t0", "t1"),
        ("r1", 1, "t1", "t4"),
        ("r2", 4, "t4", None),
    ]


def test_the_newest_that_decided_something_is_taken():
    found = looked("r0 r1 r2 r2b r3", "3", "r0 r1 r2 r3")
    assert last_known_good(found).stint.release == "r2"
    assert [one.told(last_known_good(found))["not_taken_because"] for one in found] == [
        "it decided nothing",
        None,
        "it is older than the one that is taken",
        "it has no model; name it, if that is wanted: --to scorecard",
    ]


def test_where_none_decided_anything_the_newest_is_taken_and_it_is_said():
    chosen = last_known_good(looked("r0 r1 r2 r3", "3"))
    assert chosen.stint.release == "r2"
    assert "decided nothing" in chosen.why[1]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (version("2", rolled_back_from="change-1", stage="archived", superseded_by="3"), "rolled back from"),
        (version("2", stage="archived"), "archived by hand"),
    ],
)
def test_a_version_that_was_found_bad_is_passed_over(other, reason):
    found = looked("r0 r1 r2 r3", "3", "r1 r2", other=other)
    assert last_known_good(found).stint.release == "r1"
    assert reason in found[0].against


def test_a_version_that_the_registry_has_no_more_is_passed_over():
    found = candidates(None, stints(receipts("r1", "r3")), "3", {}, {})
    with pytest.raises(LakeError, match=r"r1 .version 1.: version 1 isn't in the registry"):
        last_known_good(found)


@pytest.mark.parametrize(("history", "told"), [("r0 r1", "r0 .version scorecard.: it has no model"), ("r1", "no other model was ever")])
def test_without_a_last_known_good_it_is_said_what_was_considered(history, told):
    with pytest.raises(LakeError, match=told):
        last_known_good(looked(history, "1"))


def test_the_same_version_under_other_rules_is_no_way_back():
    assert [one.stint.release for one in looked("r1 r2 r2b", "2")] == ["r1"]


def test_a_named_version_is_found_by_what_it_decided(monkeypatch):
    monkeypatch.setattr(target.releases, "list_ids", lambda store: [(name, None) for name in MODELS])
    known = stints(receipts("r1", "r2", "r2b", "r3"))
    assert target.release_of(None, "2", known, {"r2": Decided(1, 0, 0, "a", "b")}) == "r2"
    assert target.release_of(None, "2", known, {}) == "r2b"
    assert target.release_of(None, "2", [], {}) == "r2b"
    assert target.release_of(None, "7", known, {}) is None
