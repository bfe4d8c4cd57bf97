"""Live: a stream runs and compacts while the dates it writes are replayed, swapped and put back; readers see one side or the other."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

import lakewarden
from crash.reader import Reader
from lakewarden.lake.lakehouse import Lakehouse
from lakewarden.tables import SILVER

DAYS = ("2026-01-05", "2026-01-06")
EVENTS = 9000
BATCH_ROWS = 25
FURTHER = 10
"""Micro-batches that the stream goes on for behind the undo, before it is stopped."""


@pytest.fixture
def bank(tmp_path) -> Path:
    """A lake that has streamed the first part of two dates' events; the rest waits in `rest/`."""
    lakewarden.simulate(tmp_path / "sim", seed=9, days=2, customers=150, events_per_day=EVENTS, faults="all")
    lines = [line for path in sorted((tmp_path / "sim" / "events").iterdir()) for line in path.read_bytes().splitlines(keepends=True)]
    lines = lines[::2] + lines[1::2]  # both dates are in both parts
    lake = lakewarden.init(tmp_path / "lake")
    lake.reference_import(tmp_path / "sim" / "reference")
    for name, part in (("first", lines[: len(lines) // 3]), ("rest", lines[len(lines) // 3 :])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "events.jsonl").write_bytes(b"".join(part))
    lake.stream(tmp_path / "first", once=True, batch_rows=1000)
    return tmp_path


@pytest.fixture
def streaming(bank) -> Iterator[subprocess.Popen[str]]:
    command = [
        sys.executable,
        "-m",
        "lakewarden",
        "stream",
        "--lake",
        str(bank / "lake"),
        "--source",
        str(bank / "rest"),
        "--once",
        "--json",
    ]
    process = subprocess.Popen([*command, "--batch-rows", str(BATCH_ROWS)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    house = Lakehouse.open(bank / "lake")
    before = house.published().batch
    while house.published().batch < before + 5 and process.poll() is None:
        time.sleep(0.05)
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


@pytest.fixture
def reader(bank) -> Iterator[Reader]:
    reader = Reader(bank / "lake")
    reader.start()
    yield reader
    reader.stop()


def proved(lake: lakewarden.Lake) -> None:
    for day in DAYS:
        verified, stated = lake.verify(day), lake.conserve(day)
        assert (verified.ok, stated.ok) == (True, True), (day, verified.first, stated.checks)


@pytest.mark.timeout(300)
def test_beside_a_stream_a_replay_is_swapped_and_undone_and_all_proofs_hold(bank, streaming, reader):
    lake = lakewarden.open(bank / "lake")
    path = bank / "lake" / "conf" / "settings.yaml"
    told = path.read_text()
    path.write_text(told.replace("reporting_threshold_minor: 1000000\n", "reporting_threshold_minor: 20000\n"))
    assert path.read_text() != told
    release = lake.release_create(reason="another threshold: other features, so another state of the stages").id
    replay_id = lake.replay_plan(*DAYS, release=release, reason="live", settings={"max_band_move_share": 1.0}).data["id"]
    lake.replay_run(replay_id)
    report = lake.replay_validate(replay_id)
    assert report.ok, report.data["gates"]
    assert report.data["state_changes"]
    cut = lake.replay_show(replay_id).data["plan"]["cut_seq"]
    kept = lake.table(SILVER.name).filter(pl.col("seq") <= cut).sort("seq").collect()
    assert streaming.poll() is None, "the stream ended before the swap"
    swapped = lake.replay_swap(replay_id)
    assert streaming.poll() is None, "the stream ended before it could carry the swap out"
    arrived = lake.table(SILVER.name).filter(pl.col("seq") > cut).select(pl.len()).collect().item()
    assert arrived > 0
    proved(lake)
    undone = lake.replay_undo(replay_id, "tried beside a stream")
    proved(lake)
    assert lake.table(SILVER.name).filter(pl.col("seq") <= cut).sort("seq").collect().equals(kept)
    newest = lake.house.published().batch
    while lake.house.published().batch < newest + FURTHER and streaming.poll() is None:
        time.sleep(0.05)
    streaming.send_signal(signal.SIGTERM)  # it may have come to the end of its files by itself
    out, err = streaming.communicate(timeout=200)
    assert streaming.returncode == 0, err
    told = json.loads(out)
    assert sum("carried out" in line for line in told["warnings"]) == 2, told["warnings"]
    assert lake.house.published().batch > newest
    proved(lake)
    reader.stop()
    assert (reader.mixtures, reader.looks > 5) == ([], True)
    assert max(swapped.data["swap_seconds"], undone.data["swap_seconds"]) < 10
    assert lake.receipts_verify().ok
