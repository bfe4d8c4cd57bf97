"""Event to gold while events keep coming: percentiles at a set rate, from the moment an event was written to the moment the
published point held its gold row. The real command in a process of its own; a feeder that appends to a watched file.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from row import Row

import lakewarden

TICK = 0.02
WARM_UP = 15.0
TIMES = re.compile(rb'"(event_time|enqueued_time)":"[^"]*"')


def templates(simulation: Path, count: int) -> list[bytes]:
    """Well-formed events whose times are left to be filled in."""
    found: list[bytes] = []
    for path in sorted((simulation / "events").glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            if len(TIMES.findall(line)) == 2 and line.endswith(b"}") and b'"late"' not in line:
                found.append(TIMES.sub(rb'"\1":"@"', line).replace(b'"transaction_id":"', b'"transaction_id":"#-'))
            if len(found) == count:
                return found
    return found


def feed(target: Path, lines: list[bytes], rate: float, seconds: float) -> int:
    """Append `rate` events a second, each stamped with the time at which it is written."""
    started, written = time.monotonic(), 0
    with target.open("ab", buffering=0) as file:
        while (elapsed := time.monotonic() - started) < seconds:
            due = int(elapsed * rate)
            now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()
            piece = [lines[i % len(lines)].replace(b"@", now).replace(b"#", str(i).encode()) for i in range(written, due)]
            if piece:
                file.write(b"\n".join(piece) + b"\n")
            written = due
            time.sleep(TICK)
    return written


def measure(scratch: Path, simulation: Path, rate: int, seconds: float, goal: float) -> list[Row]:
    name = f"p95_{rate}"
    lake_path, incoming = scratch / f"lake-{rate}", scratch / f"incoming-{rate}"
    shutil.copytree(scratch / "trained", lake_path)
    incoming.mkdir()
    command = [
        sys.executable,
        "-m",
        "lakewarden",
        "stream",
        "--lake",
        str(lake_path),
        "--source",
        str(incoming),
        "--batch-seconds",
        "0.1",
        "--json",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lines = templates(simulation, round(rate * (WARM_UP + seconds)) + 1)  # no event twice: an account's bursts are the simulator's
    warm = round(rate * WARM_UP)
    feed(incoming / "warm-up.jsonl", lines[:warm], rate, WARM_UP)
    written = feed(incoming / "watched.jsonl", [line.replace(b"#", b"m#") for line in lines[warm:]], rate, seconds)
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    if process.returncode:
        raise RuntimeError(f"the stream failed: {out!r} {err!r}")
    lake = lakewarden.open(lake_path)
    runs = lake.table("pipeline_runs").select("batch", "committed_time")
    waited = (
        lake.table("transactions_bronze")
        .filter(pl.col("source_partition") == "watched.jsonl")
        .select("batch", "arrival_time")
        .join(runs, on="batch")
        .select(((pl.col("committed_time") - pl.col("arrival_time")).dt.total_microseconds() / 1e6).alias("s"))
        .collect()["s"]
    )
    if waited.len() < written * 0.99:
        raise RuntimeError(f"only {waited.len()} of {written} events arrived in time at {rate} a second")
    note = f"{waited.len()} events in {seconds:.0f} s"
    return [
        Row(f"p50_{rate}", float(waited.quantile(0.5)), "s", note=note),
        Row(name, float(waited.quantile(0.95)), "s", "service level", 60.0, goal, note),
        Row(f"p99_{rate}", float(waited.quantile(0.99)), "s", note=note),
    ]


def run(scratch: Path, simulation: Path, seconds: float = 30.0) -> list[Row]:
    """At the platform's peak rate and at ten times it."""
    return [*measure(scratch, simulation, 1_200, seconds, 0.5), *measure(scratch, simulation, 12_000, seconds, 1.0)]
