"""Swap and undo, killed at every step and anywhere between: readers see one side or the other, and the same command finishes it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import lakewarden
from crash import ready
from crash.reader import Reader
from lakewarden.lake import orders
from lakewarden.tables import ALERTS, DLQ, DQ_RESULTS, DUPLICATES, GOLD, SILVER

DAY = "2026-01-05"
SCRIPT = Path(__file__).with_name("killed_operation.py")
RANDOM_KILLS = int(os.environ.get("LAKEWARDEN_KILLS", "8"))
"""At any moment; `make soak` asks for 50, and then both are killed at each step, instead of one at every other."""

ENDS = ("give the order", "publish", "say that it is done")
INSIDE = [f"{verb} {spec.name}" for spec in (SILVER, GOLD, DQ_RESULTS) for verb in ("exchange", "pin", "commit")]
REST = [f"commit {spec.name}" for spec in (ALERTS, DLQ, DUPLICATES)]
SWAPPED = (SILVER, GOLD, ALERTS, DLQ, DUPLICATES, DQ_RESULTS)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, str]:
    """A lake with a validated replay under stricter thresholds."""
    root = tmp_path_factory.mktemp("bank")
    lakewarden.simulate(root / "sim", seed=11, days=2, customers=120, events_per_day=800, faults="all")
    lake = lakewarden.init(root / "lake")
    lake.reference_import(root / "sim" / "reference")
    assert lake.stream(root / "sim", once=True, batch_rows=400).ok
    path = root / "lake" / "conf" / "settings.yaml"
    path.write_text(path.read_text().replace("band_medium: 0.3\n", "band_medium: 0.1\n"))
    release = lake.release_create(reason="stricter").id
    replay_id = lake.replay_plan(DAY, DAY, release=release, reason="stricter", settings={"max_band_move_share": 1.0}).data["id"]
    lake.replay_run(replay_id)
    assert lake.replay_validate(replay_id).ok
    return root / "lake", replay_id


@pytest.fixture
def trial(tmp_path, made) -> tuple[lakewarden.Lake, str]:
    shutil.copytree(made[0], tmp_path / "lake")
    return lakewarden.open(tmp_path / "lake"), made[1]


@pytest.fixture
def reader(trial) -> Iterator[Reader]:
    reader = Reader(Path(trial[0].house.store.root))
    reader.start()
    yield reader
    reader.stop()
    assert reader.mixtures == []


def start(lake: lakewarden.Lake, step: str, operation: str, subject: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(SCRIPT), lake.house.store.root, step, operation, subject]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def killed(process: subprocess.Popen[bytes]) -> bool:
    out, err = process.communicate(timeout=60)
    assert process.returncode in (0, -signal.SIGKILL), (out, err)
    return process.returncode != 0


def contents(lake: lakewarden.Lake) -> dict[str, tuple[int, int]]:
    found = {spec.name: lake.table(spec.name).collect() for spec in SWAPPED}
    return {name: (rows.height, int(rows.hash_rows().cast(pl.Int128).sum())) for name, rows in found.items()}


def receipts_of(lake: lakewarden.Lake, kind: str) -> int:
    return len(lake.receipts(kind=kind).data["receipts"])


@pytest.mark.timeout(400)
def test_killed_at_every_step_it_is_finished_by_the_same_command(trial, reader):
    lake, replay_id = trial
    old = contents(lake)
    new = None
    steps = (*ENDS, *INSIDE, *REST)
    pairs = zip(steps, steps, strict=True) if RANDOM_KILLS > 8 else zip(steps[::2], (*steps[1::2], steps[-1]), strict=True)
    for number, (step, step_back) in enumerate(pairs, 1):
        assert ready.killed("killed_operation", lake.house.store.root, step, "swap", replay_id), step
        assert contents(lake) in (old, new or contents(lake))
        assert lake.replay_swap(replay_id).data["state"] == "swapped"
        new = new or contents(lake)
        assert contents(lake) == new, step
        assert ready.killed("killed_operation", lake.house.store.root, step_back, "undo", replay_id), step_back
        assert contents(lake) in (old, new), step_back
        assert lake.replay_undo(replay_id, "killed on the way").data["state"] == "undone"
        assert contents(lake) == old, step_back
        assert (receipts_of(lake, "replay.swap"), receipts_of(lake, "replay.undo")) == (number, number)
        lake.replay_validate(replay_id)
    assert lake.verify(DAY).ok
    assert lake.conserve(DAY).ok
    assert lake.receipts_verify().ok
    assert reader.looks > 20


@pytest.mark.timeout(400)
def test_killed_at_any_moment_it_is_finished_or_put_back(trial, reader):
    """Either the same command finishes it, or an undo restores: called off where nothing was begun, taken back where it was."""
    lake, replay_id = trial
    dice, old = random.Random(7), contents(lake)
    new, met = None, 0
    for _ in range(RANDOM_KILLS):
        process = start(lake, "no such step", "swap", replay_id)
        time.sleep(dice.uniform(0.6, 1.6))
        process.kill()
        met += killed(process)
        state = lake.replay_show(replay_id).data["state"]
        if state == "validated":
            assert contents(lake) == old
            continue
        if dice.random() < 0.5:
            lake.replay_swap(replay_id) if state == "ordered" else None
            new = new or contents(lake)
            assert contents(lake) == new
        lake.replay_undo(replay_id, "killed at any moment")
        assert contents(lake) == old
        if lake.replay_show(replay_id).data["state"] == "undone":
            lake.replay_validate(replay_id)
    assert met > 0
    assert lake.verify(DAY).ok


@pytest.mark.timeout(300)
@pytest.mark.parametrize("step", [f"commit {GOLD.name}", "publish"])
def test_a_stream_that_dies_in_the_middle_of_a_swap_is_followed_by_one_that_finishes_it(trial, reader, tmp_path, step):
    lake, replay_id = trial
    old = contents(lake)
    (tmp_path / "nothing").mkdir()
    stream = start(lake, step, "stream", str(tmp_path / "nothing"))
    while lake.status().data["stream"] is None and stream.poll() is None:
        time.sleep(0.05)
    swap = subprocess.Popen(
        [sys.executable, "-m", "lakewarden", "replay", "swap", replay_id, "--lake", lake.house.store.root, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert killed(stream)
    out, err = swap.communicate(timeout=100)
    assert swap.returncode == 0, (out, err)
    assert lake.replay_show(replay_id).data["state"] == "swapped"
    assert contents(lake) != old
    assert lake.verify(DAY).ok
    assert receipts_of(lake, "replay.swap") == 1
    assert orders.pending(lake.house.store) == []
