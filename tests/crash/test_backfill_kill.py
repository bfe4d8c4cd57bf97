"""A backfill killed at every step of its run, its swap and its undo: readers see all of it or nothing, and the same command finishes it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import lakewarden
from crash import ready
from crash.reader import Follower
from lakewarden.lake.lakehouse import Snapshot
from lakewarden.tables import ALERTS, BRONZE, DLQ, DQ_RESULTS, DUPLICATES, GOLD, PIPELINE_RUNS, SILVER
from makers.histories import bank

BROUGHT_IN = (BRONZE, SILVER, GOLD, ALERTS, DLQ, DUPLICATES, DQ_RESULTS, PIPELINE_RUNS)
CHUNKS = 4

RUN_STEPS = [
    ("load chunk 1", 1),
    ("staging is whole", 1),
    *((f"write {spec.name}", 1 + number % 2) for number, spec in enumerate((BRONZE, SILVER, GOLD, DLQ, PIPELINE_RUNS))),
    ("say that it is run", 1),
]
ENDS = ["give the order", "publish", "say that it is done"]
SWAP_STEPS = [*ENDS, *(f"{('exchange', 'pin', 'commit')[number % 3]} {spec.name}" for number, spec in enumerate(BROUGHT_IN))]
"""Of each table one of its steps; the swaps of replays go through all."""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, str]:
    """A lake, and a backfill that is planned."""
    root = bank(tmp_path_factory.mktemp("bank"), customers=100, events_per_day=300)
    lake = lakewarden.open(root / "lake")
    settings = {"chunk_rows": 140, "max_dead_letter_share": 0.3}
    plan = lake.backfill_plan(root / "history", reason="onboarding", settings=settings)
    assert plan.ok
    return root / "lake", plan.data["id"]


@pytest.fixture
def trial(tmp_path, made) -> tuple[lakewarden.Lake, str]:
    shutil.copytree(made[0], tmp_path / "lake")
    return lakewarden.open(tmp_path / "lake"), made[1]


class HistoryReader(Follower):
    """Notes how much history each table has at a published point."""

    def __init__(self, root: Path, backfill_id: str) -> None:
        super().__init__(root, tuple(spec.name for spec in BROUGHT_IN))
        self._id = backfill_id
        self.seen: set[tuple[int, ...]] = set()

    def look(self, snapshot: Snapshot) -> None:
        rows = [snapshot.scan(spec.name).filter(pl.col("run_id") == self._id).select(pl.len()) for spec in BROUGHT_IN]
        self.seen.add(tuple(int(one.item()) for one in pl.collect_all(rows)))


@pytest.fixture
def readers(trial) -> Iterator[HistoryReader]:
    histories = HistoryReader(Path(trial[0].house.store.root), trial[1])
    histories.start()
    yield histories
    histories.stop()
    assert len(histories.seen) <= 2, histories.seen  # nothing of it, or all of it


def killed(lake: lakewarden.Lake, at: tuple[str, int], operation: str, subject: str) -> None:
    assert ready.killed("killed_backfill", lake.house.store.root, *at, operation, subject), (at, operation)


def contents(lake: lakewarden.Lake) -> dict[str, tuple[int, int]]:
    found = {spec.name: lake.table(spec.name).collect() for spec in BROUGHT_IN}
    return {name: (rows.height, int(rows.hash_rows().cast(pl.Int128).sum())) for name, rows in found.items()}


@pytest.mark.timeout(200)
def test_a_run_killed_at_every_step_is_carried_on_and_doubles_nothing(trial, made, tmp_path, readers):
    lake, backfill_id = trial
    before = contents(lake)
    for at in RUN_STEPS:
        killed(lake, at, "run", backfill_id)
    ran = lake.backfill_run(backfill_id)
    assert ran.data["chunks"] == ran.data["chunks_before"] >= CHUNKS
    killed_totals = lake.backfill_validate(backfill_id).data["hash_totals"]
    assert contents(lake) == before
    shutil.copytree(made[0], tmp_path / "undisturbed")
    undisturbed = lakewarden.open(tmp_path / "undisturbed")
    undisturbed.backfill_run(backfill_id)
    report = undisturbed.backfill_validate(backfill_id)
    assert (report.ok, report.data["hash_totals"]) == (True, killed_totals)


@pytest.mark.timeout(200)
def test_swap_and_undo_killed_at_every_step_are_finished_by_the_same_command(trial, readers):
    lake, backfill_id = trial
    lake.backfill_run(backfill_id)
    assert lake.backfill_validate(backfill_id).ok
    old = contents(lake)
    new = None
    for number, (step, step_back) in enumerate(zip(SWAP_STEPS[::2], [*SWAP_STEPS[1::2], "publish"], strict=False), 1):
        killed(lake, (step, 1), "swap", backfill_id)
        seen = contents(lake)
        assert lake.backfill_swap(backfill_id).data["state"] == "swapped"
        new = new or contents(lake)
        assert seen in (old, new), step
        assert contents(lake) == new, step
        killed(lake, (step_back, 1), "undo", backfill_id)
        assert contents(lake) in (old, new), step_back
        assert lake.backfill_undo(backfill_id, "killed on the way").data["state"] == "undone"
        assert contents(lake) == old, step_back
        told = [len(lake.receipts(kind=f"backfill.{kind}").data["receipts"]) for kind in ("swap", "undo")]
        assert told == [number, number]
        lake.backfill_validate(backfill_id)
    for day in [row["date"] for row in lake.status().data["dates"]]:
        report = lake.verify(day)
        assert report.ok, [(one.table, one.seq, one.kind, one.columns) for one in report.first]
        assert lake.conserve(day).ok
    assert lake.receipts_verify().ok


@pytest.mark.timeout(100)
def test_a_swap_killed_before_it_was_begun_is_called_off_and_one_begun_is_taken_back(trial, readers):
    lake, backfill_id = trial
    lake.backfill_run(backfill_id)
    lake.backfill_validate(backfill_id)
    old = contents(lake)
    killed(lake, (f"commit {GOLD.name}", 1), "swap", backfill_id)
    assert contents(lake) == old
    assert lake.backfill_undo(backfill_id, "abort").data["state"] == "undone"
    assert contents(lake) == old
