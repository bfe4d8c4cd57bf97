"""The stream on a real lake: what goes in, what comes out, what it does with bad input and bad luck."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import polars as pl
import pytest

import lakewarden
from lakewarden.errors import LakeBusyError, StorageError
from lakewarden.lake.lease import Lease

GOOD = {
    "transaction_id": "T1",
    "event_time": "2026-01-05T10:00:00Z",
    "account_id": "A1",
    "amount": 12.5,
    "currency": "EUR",
    "channel": "POS",
    "country": "DE",
    "enqueued_time": "2026-01-05T10:00:01Z",
}


def write(folder: Path, name: str, *bodies: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"".join(body + b"\n" for body in bodies))
    return folder


def good(number: int, **changed: object) -> bytes:
    return json.dumps({**GOOD, "transaction_id": f"T{number}", **changed}).encode()


def count(lake: lakewarden.Lake, table: str) -> int:
    return lake.table(table).select(pl.len()).collect().item()


def test_every_table_fills_and_every_row_says_where_it_is_from(lake):
    totals = lake.status().to_dict()["counts"]
    assert totals["bronze"] == totals["silver"] + totals["dead_letters"] + totals["duplicates"]
    assert min(totals.values()) > 0
    for name in ("transactions_bronze", "transactions_silver", "risk_scores_gold", "anomaly_alerts", "transactions_dlq", "dq_results"):
        nulls = lake.table(name).select(pl.col("batch", "run_id", "release_id").null_count()).collect()
        assert nulls.row(0) == (0, 0, 0)
        assert count(lake, name) > 0


def test_streaming_again_finds_nothing_new(lake, simulated):
    before = count(lake, "transactions_bronze")
    report = lake.stream(simulated, once=True)
    assert (report.rows, count(lake, "transactions_bronze")) == (0, before)


def test_a_new_file_goes_on_where_bronze_ends(empty, tmp_path):
    folder = write(tmp_path / "in", "a.jsonl", good(1), good(2))
    assert empty.stream(folder, once=True).rows == 2
    write(folder, "b.jsonl", good(3), good(1))
    report = empty.stream(folder, once=True)
    assert (report.rows, report.counts["silver"], report.counts["duplicates"]) == (2, 1, 1)
    assert empty.table("transactions_bronze").select("seq").collect()["seq"].sort().to_list() == [0, 1, 2, 3]


def test_hostile_events_are_dead_letters_with_a_reason_and_nothing_is_lost(empty, tmp_path):
    deep = b'{"a":' * 1000 + b"1" + b"}" * 1000
    hostile = {
        b'{"transaction_id": "T1"': "malformed",
        b"\x00\x00\x00": "NUL bytes",
        b'{"transaction_id": "\xff\xfe"}': "bad UTF-8",
        b'{"transaction_id": "' + b"x" * 10_000_000 + b'"}': "10 MB",
        deep: "deep",
        good(5).replace(b"12.5", b"NaN"): "NaN",
        good(6).replace(b"12.5", b"Infinity"): "Infinity",
        good(7, amount=-1): "negative",
        good(8, amount=1e15): "huge",
        b"[]": "an array",
        good(9, event_time="2096-01-01T00:00:00Z"): "future",
        good(10, currency="XXQ"): "unknown currency",
        good(11, amount="12.5"): "mistyped",
    }
    report = empty.stream(write(tmp_path / "in", "a.jsonl", *hostile, good(99)), once=True)
    letters = empty.table("transactions_dlq").sort("seq").collect()
    assert (report.counts["silver"], letters.height) == (1, len(hostile))
    assert letters["reasons"].list.len().min() >= 1
    assert letters["body_excerpt"].str.len_chars().max() <= 4000
    days = empty.table("transactions_bronze").select(pl.col("event_date").unique()).collect()["event_date"]
    assert all(empty.conserve(day).ok for day in days)
    assert all(empty.verify(day).differences == 0 for day in days)


def test_the_same_id_with_other_content_names_the_first(empty, tmp_path):
    empty.stream(write(tmp_path / "in", "a.jsonl", good(1), good(1), good(1, amount=99)), once=True)
    letter = empty.table("transactions_dlq").collect().row(0, named=True)
    assert (letter["codes"], letter["first_seq"]) == (["conflicting_duplicate"], 0)
    assert count(empty, "transactions_duplicates") == 1


def test_unknown_properties_are_kept(empty, tmp_path):
    empty.stream(write(tmp_path / "in", "a.jsonl", good(1, loyalty={"tier": 2}, note="x")), once=True)
    assert json.loads(empty.table("transactions_silver").collect()["extra"][0]) == {"loyalty": {"tier": 2}, "note": "x"}


def test_a_changed_threshold_is_a_new_release_from_the_next_micro_batch_on(empty, tmp_path):
    folder = write(tmp_path / "in", "a.jsonl", good(1))
    empty.stream(folder, once=True)
    settings = tmp_path / "empty" / "conf" / "settings.yaml"
    settings.write_text(settings.read_text().replace("band_high: 0.8", "band_high: 0.7"))
    write(folder, "b.jsonl", good(2))
    empty.stream(folder, once=True)
    releases = empty.table("risk_scores_gold").sort("seq").collect()["release_id"].to_list()
    assert len(set(releases)) == 2
    assert empty.release_show(releases[1]).manifest["settings"]["band_high"] == 0.7
    assert empty.verify("2026-01-05").releases == tuple(releases)
    assert empty.verify("2026-01-05").differences == 0


def test_a_second_stream_is_refused_and_told_who_holds_the_lake(empty, tmp_path):
    folder = write(tmp_path / "in", "a.jsonl", good(1))
    with Lease(empty.house.store, "run-first", "2026-01-05"), pytest.raises(LakeBusyError, match="run-first"):
        empty.stream(folder, once=True)
    assert count(empty, "transactions_bronze") == 0


def test_a_stop_finishes_what_was_read(empty, tmp_path):
    folder = write(tmp_path / "in", "a.jsonl", *(good(n) for n in range(500)))
    stop = threading.Event()
    report = empty.stream(folder, batch_rows=50, stop=stop, on_progress=lambda _: stop.set())
    assert report.stopped
    assert count(empty, "transactions_bronze") == count(empty, "risk_scores_gold") == report.rows
    assert empty.stream(folder, once=True).rows == 500 - report.rows


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="mounting a small disk needs root")
def test_a_full_disk_is_a_clear_error_and_the_next_start_finishes(tmp_path, simulated):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    try:
        lake = lakewarden.init(disk / "lake")
        with pytest.raises(StorageError, match="disk is full"):
            lake.stream(simulated, once=True, batch_rows=100)
        subprocess.run(["mount", "-o", "remount,size=300m", str(disk)], check=True)
        lake = lakewarden.open(disk / "lake")
        lake.stream(simulated, once=True, batch_rows=500)
        totals = lake.status().to_dict()["counts"]
        assert totals["received"] == totals["bronze"] == sum(f.read_bytes().count(b"\n") for f in (simulated / "events").iterdir())
        assert lake.conserve("2026-01-05").ok
        assert lake.verify("2026-01-05").differences == 0
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
