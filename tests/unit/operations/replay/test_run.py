"""A run writes the sandbox and nothing else, once, however often it is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from lakewarden.errors import LakeBusyError, LakeError
from lakewarden.lake.lease import Lease
from lakewarden.lake.store import Store
from lakewarden.operations.replay.sandbox import Sandbox
from lakewarden.tables import DQ_RESULTS

DAY = "2026-01-05"


def files(lake) -> dict[str, tuple[int, int]]:
    """Every file of the lake outside `_replays` and the receipts, with size and time of its last write."""
    root = Path(lake.house.store.root)
    found = (path for path in root.rglob("*") if path.is_file() and path.relative_to(root).parts[0] not in ("_replays", "_receipts"))
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}


def sandbox(lake, replay_id: str) -> Sandbox:
    return Sandbox(Store(lake.house.store.uri(f"_replays/{replay_id}")))


def same_as_production(lake, replay_id: str) -> bool:
    report = lake.replay_validate(replay_id).data
    return report["differences"] == 0 and all(row["old"] == row["new"] > 0 for row in report["rows"])


def test_no_production_file_moves_and_no_row_differs(lake, planned):
    before, replay_id = files(lake), planned()
    report = lake.replay_run(replay_id)
    assert report.data["counts"]["transactions_silver"] > 1000
    assert same_as_production(lake, replay_id)
    assert files(lake) == before


def test_the_tables_are_named_as_the_runbook_names_them(lake, planned):
    replay_id = planned()
    lake.replay_run(replay_id)
    assert {path.name for path in (Path(lake.house.store.root) / "_replays" / replay_id / "sandbox").iterdir()} == {
        "transactions_silver_tmp",
        "risk_scores_gold_tmp",
        "anomaly_alerts_tmp",
        "transactions_dlq_tmp",
        "transactions_duplicates_tmp",
        "dq_results_tmp",
    }


def test_what_reads_for_a_replay_can_not_write(lake):
    before = files(lake)
    with lake.reading() as engine:
        bronze = engine.recall(0).bronze
        append = engine.lake.tables["transactions_bronze"].append
        for attempt in (lambda: append(bronze, batch=99), lambda: engine.lake.store.delete(["lake.json"])):
            with pytest.raises(LakeError, match="for reading only"):
                attempt()
    assert files(lake) == before


@pytest.mark.parametrize("chunk_rows", [150, 500_000])
def test_the_cut_into_chunks_changes_no_row(lake, planned, chunk_rows):
    replay_id = planned(chunk_rows=chunk_rows)
    lake.replay_run(replay_id)
    assert same_as_production(lake, replay_id)


def test_rows_keep_their_micro_batch_and_have_no_latency(lake, planned):
    replay_id = planned()
    lake.replay_run(replay_id)
    gold = sandbox(lake, replay_id).scan("risk_scores_gold").collect()
    arrived = dict(lake.table("risk_scores_gold").select("seq", "batch").collect().iter_rows())
    assert all(arrived[seq] == batch for seq, batch in gold.select("seq", "batch").iter_rows())
    assert gold["latency_ms"].null_count() == gold.height
    assert gold["run_id"].unique().to_list() == [replay_id]


def test_running_again_writes_nothing_again(lake, planned):
    replay_id = planned()
    first, again = lake.replay_run(replay_id).data, lake.replay_run(replay_id).data
    assert again["counts"] == first["counts"]
    assert (again["chunks_before"], again["chunks"]) == (first["chunks"], first["chunks"])


def test_a_run_that_failed_half_way_is_carried_on(lake, planned):
    replay_id = planned()

    def fail(progress):
        if progress.done > 1000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lake.replay_run(replay_id, on_progress=fail)
    assert lake.replay_show(replay_id).data["state"] == "running"
    with pytest.raises(LakeError, match="is running"):
        lake.replay_validate(replay_id)
    assert lake.replay_run(replay_id).data["chunks_before"] > 0
    assert same_as_production(lake, replay_id)


def test_one_process_runs_a_replay_at_a_time(lake, planned):
    replay_id = planned()
    with Lease(Store(lake.house.store.uri(f"_replays/{replay_id}")), "other", "now"):
        for command in (lake.replay_run, lake.replay_clean):
            with pytest.raises(LakeBusyError, match="Another process runs"):
                command(replay_id)
    assert lake.replay_run(replay_id).ok


def test_other_code_does_not_write_into_the_same_sandbox(lake, planned, monkeypatch):
    replay_id = planned()
    monkeypatch.setattr("lakewarden.app_replay.code_version", lambda: "9.9.9+other")
    with pytest.raises(LakeError, match="was planned under code"):
        lake.replay_run(replay_id)


def test_a_run_killed_at_any_moment_doubles_and_loses_nothing(lake, planned):
    dice, replay_id = random.Random(4), planned(chunk_rows=40)
    root = Path(lake.house.store.root)
    command = [sys.executable, "-m", "lakewarden", "replay", "run", replay_id, "--lake", str(root), "--json"]
    killed = 0
    for _ in range(4):
        before = sum(1 for _ in (root / "_replays" / replay_id).rglob("*.json"))
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if sum(1 for _ in (root / "_replays" / replay_id).rglob("*.json")) > before + dice.randrange(2, 60):
                break
            time.sleep(0.005)
        time.sleep(dice.uniform(0, 0.05))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
    assert killed >= 2
    assert lake.replay_run(replay_id).ok
    assert same_as_production(lake, replay_id)
    tables = sandbox(lake, replay_id)
    for name in tables.tables:
        rows = tables.scan(name).collect()
        key = ["rule", "batch"] if name == DQ_RESULTS.name else ["seq"]
        assert rows.select(pl.struct(key).n_unique()).item() == rows.height
