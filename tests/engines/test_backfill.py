"""Backfills on either engine: the same sandbox and the same lake behind the swap, which verifies; and an undo that leaves nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import lakewarden
from lakewarden.tables import BRONZE, DQ_RESULTS, SILVER, TABLES
from makers.histories import LIVE_FROM, bank
from makers.rows import PER_EVENT, assert_alike, checks


@dataclass(frozen=True)
class BroughtIn:
    """A lake with a backfill that was swapped in."""

    path: Path
    backfill_id: str


@pytest.fixture(scope="session")
def banked(tmp_path_factory) -> Path:
    return bank(tmp_path_factory.mktemp("history"), customers=100, events_per_day=200)


@pytest.fixture(scope="session")
def brought_in_on(tmp_path_factory, banked) -> Callable[[str], BroughtIn]:
    """Brings the history in on an engine, in two chunks; once on each."""
    made: dict[str, BroughtIn] = {}

    def bring(name: str) -> BroughtIn:
        if name not in made:
            path = tmp_path_factory.mktemp("brought") / "lake"
            shutil.copytree(banked / "lake", path)
            lake = lakewarden.open(path, engine=name)
            settings = {"chunk_rows": 300, "max_dead_letter_share": 1.0}
            backfill_id = lake.backfill_plan(banked / "history", reason="onboarding", settings=settings).data["id"]
            assert lake.backfill_run(backfill_id).data["chunks"] == 2
            report = lake.backfill_validate(backfill_id)
            assert report.ok, report.data["gates"]
            assert lake.backfill_swap(backfill_id).data["state"] == "swapped"
            made[name] = BroughtIn(path, backfill_id)
        return made[name]

    return bring


@pytest.fixture(scope="session")
def here(brought_in_on, engine) -> BroughtIn:
    return brought_in_on(engine)


def test_the_lake_has_the_rows_that_the_embedded_engine_brings_in(here, brought_in_on):
    ours, theirs = lakewarden.open(here.path), lakewarden.open(brought_in_on("embedded").path)
    for spec in PER_EVENT:
        found, expected = (lake.table(spec.name).collect() for lake in (ours, theirs))
        if expected.height or found.height:
            assert_alike(spec, found, expected)
    assert checks(ours.table(DQ_RESULTS.name).collect()).equals(checks(theirs.table(DQ_RESULTS.name).collect()))
    assert ours.table(BRONZE.name).collect()["seq"].min() < 0


def test_dates_of_history_verify_and_are_conserved(here, open_on):
    lake = open_on(here.path)
    historic = [row["date"] for row in lake.status().data["dates"] if row["date"] < LIVE_FROM]
    assert historic
    report = lake.verify(historic[-1])
    assert (report.ok, report.first) == (True, ())
    assert report.rows > 50
    assert lakewarden.open(here.path).conserve(historic[-1]).ok


def test_an_undo_leaves_what_was_there(here, open_on, tmp_path, banked):
    shutil.copytree(here.path, tmp_path / "lake")
    lake = open_on(tmp_path / "lake")
    assert lake.backfill_undo(here.backfill_id, "it was only tried").data["state"] == "undone"
    before = lakewarden.open(banked / "lake")
    assert_alike(TABLES[SILVER.name], lake.table(SILVER.name).collect(), before.table(SILVER.name).collect())
    assert lakewarden.open(tmp_path / "lake").verify(LIVE_FROM).ok
