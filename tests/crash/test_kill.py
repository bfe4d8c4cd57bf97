"""Promise 2, exactly once: a stream killed at any instruction loses no event and writes none twice."""

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

import lakewarden
from lakewarden.audit.verification import comparable, compare
from lakewarden.tables import ALERTS, DLQ, DUPLICATES, GOLD, SILVER

SEEDS = (1, 2)
KILLS = int(os.environ.get("LAKEWARDEN_KILLS", "20")) // len(SEEDS)
"""Of each lake; `make soak` asks for 50 in all."""

EVENTS = 400 + 150 * KILLS
BATCH_ROWS = 16


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("sim") / "events"
    lakewarden.simulate(out, seed=5, days=1, customers=120, events_per_day=EVENTS, faults="all")
    return out


def start(lake: Path, source: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "lakewarden", "stream", "--lake", str(lake), "--source", str(source), "--once", "--json"]
    return subprocess.Popen([*command, "--batch-rows", str(BATCH_ROWS)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def new_lake(path: Path, source: Path) -> lakewarden.Lake:
    lake = lakewarden.init(path)
    lake.reference_import(source / "reference")
    return lake


def wait_for_a_moment(lake: Path, process: subprocess.Popen[bytes], dice: random.Random) -> None:
    """Some instruction: every other time anywhere from the start on (imports, recovery), else shortly after bronze has grown."""
    bronze = lake / "transactions_bronze"
    before = data_files(bronze)
    if dice.random() < 0.5:
        time.sleep(dice.uniform(0.5, 2.5))
        return
    while process.poll() is None and data_files(bronze) == before:
        time.sleep(0.002)
    time.sleep(dice.uniform(0.0, 0.25))


def data_files(table: Path) -> set[Path]:
    """Not log entries: a stream that starts claims the table with one before it writes anything."""
    return set(table.glob("*/*.parquet"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, simulated) -> lakewarden.Lake:
    lake = new_lake(tmp_path_factory.mktemp("undisturbed") / "lake", simulated)
    assert lake.stream(simulated, once=True, batch_rows=700).ok
    return lake


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_random_points_the_tables_are_as_if_undisturbed(tmp_path, simulated, undisturbed, seed):
    dice = random.Random(seed)
    lake = new_lake(tmp_path / "lake", simulated)
    killed = 0
    while killed < KILLS:
        process = start(tmp_path / "lake", simulated)
        wait_for_a_moment(tmp_path / "lake", process, dice)
        if process.poll() is not None:
            out, err = process.communicate()
            pytest.fail(f"the stream ended after {killed} kills, before it could be killed again: {out!r} {err!r}")
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        killed += 1
    assert lake.table("transactions_bronze").collect().height > 0, "no kill fell into the writing"
    process = start(tmp_path / "lake", simulated)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, (out, err)
    for spec in (SILVER, GOLD, ALERTS, DLQ, DUPLICATES):
        ours, theirs = (one.table(spec.name).drop("release_id").collect() for one in (lake, undisturbed))
        same = [name for name in comparable(spec) if name != "release_id"]
        plain = type(spec)(spec.name, {name: spec.columns[name] for name in same}, spec.partition_by)
        found = compare(plain, theirs.select(same), ours.select(same))
        assert (found.rows, found.differences, found.first) == (theirs.height, 0, ())
    days = lake.table("transactions_bronze").select(pl.col("event_date").unique()).collect()["event_date"]
    assert all(lake.conserve(day).ok for day in days)
    day = lake.table("transactions_silver").group_by("event_date").len().sort("len").last().collect()["event_date"][0]
    assert lake.verify(day).differences == 0
