"""A snapshot that is killed at every step on its way in and out: readers see the old or the new one, and the same command finishes it."""

from __future__ import annotations

import json

import polars as pl
import pytest

import lakewarden
from crash import ready
from lakewarden.lake import orders
from lakewarden.tables import SNAPSHOTS

DAY = "2026-01-05"
STEPS = ("carry out", f"exchange {SNAPSHOTS.name}", f"pin {SNAPSHOTS.name}", f"commit {SNAPSHOTS.name}", "publish", "say that it is done")


@pytest.fixture
def lake(tmp_path) -> lakewarden.Lake:
    """A date with a snapshot, and one event of it that came later."""
    lakewarden.simulate(tmp_path / "sim", seed=4, days=1, customers=100, events_per_day=200, faults="none")
    lake = lakewarden.init(tmp_path / "lake")
    lake.reference_import(tmp_path / "sim" / "reference")
    assert lake.stream(tmp_path / "sim", once=True).ok
    lake.snapshot_take(DAY)
    event = {"transaction_id": "T-LATE", "event_time": f"{DAY}T10:00:00Z", "account_id": "A1", "amount": 10.5, "currency": "EUR"}
    (tmp_path / "late.jsonl").write_text(json.dumps({**event, "channel": "POS", "country": "DE"}) + "\n")
    assert lake.stream(tmp_path / "late.jsonl", once=True).ok
    return lake


def held(lake) -> list[tuple]:
    return sorted(lake.table(SNAPSHOTS.name).drop("batch").collect().rows())


def number(lake) -> int:
    return lake.snapshot_list().data["rows"]


@pytest.mark.timeout(200)
def test_killed_at_every_step_it_is_finished_by_the_same_command(lake):
    old, new = held(lake), None
    for nth, step in enumerate(STEPS, 2):
        assert ready.killed("killed_operation", lake.house.store.root, step, "snapshot", DAY), step
        seen = {row[-2]: row for row in held(lake)}
        assert len(seen) == 1, "rows of one snapshot, never a mixture"
        assert len(held(lake)) in (len(old), len(old) + 1)
        lake.snapshot_take(DAY)
        assert len(held(lake)) == len(old) + 1, step
        new = [row[:-2] for row in held(lake)]
        assert lake.table(SNAPSHOTS.name).select(pl.col("snapshot_id").unique()).collect().item() == f"snapshot-{DAY}-{nth}"
        assert ready.killed("killed_operation", lake.house.store.root, step, "snapshot undo", DAY), step
        lake.snapshot_undo(DAY, "killed on the way")
        assert held(lake) == old, step
        assert number(lake) == 1
        kinds = [row["kind"] for row in lake.receipts(kind="snapshot").data["receipts"]]
        assert (kinds.count("snapshot.take"), kinds.count("snapshot.undo")) == (nth, nth - 1), step
    assert new is not None
    assert orders.pending(lake.house.store) == []
    assert lake.snapshot_verify().ok
