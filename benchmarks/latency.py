"""Event to gold while events keep coming: percentiles at a set rate, from the moment an event was written to the moment the
published point held its gold row. The real command in a process of its own; a feeder that appends to a watched file.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
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


def stamped(lines: list[bytes], first: int, end: int) -> list[bytes]:
    """Templates `first` to `end` as events of this moment, each with an id of its own."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()
    return [lines[i % len(lines)].replace(b"@", now).replace(b"#", str(i).encode()) for i in range(first, end)]


def feed(target: Path, lines: list[bytes], rate: float, seconds: float) -> int:
    """Append `rate` events a second, each stamped with the time at which it is written."""
    started, written = time.monotonic(), 0
    with target.open("ab", buffering=0) as file:
        while (elapsed := time.monotonic() - started) < seconds:
            due = int(elapsed * rate)
            piece = stamped(lines, written, due)
            if piece:
                file.write(b"\n".join(piece) + b"\n")
            written = due
            time.sleep(TICK)
    return written


@contextmanager
def streaming(trained: Path, lake_path: Path, source: str) -> Iterator[Path]:
    """The real command on a copy of a trained lake, its log beside the lake; stopped as an operator would stop it."""
    shutil.copytree(trained, lake_path)
    log = lake_path.with_suffix(".log")
    command = [sys.executable, "-m", "lakewarden", "stream", "--lake", str(lake_path), "--source", source, "--batch-seconds", "0.1"]
    process = subprocess.Popen(
        [*command, "--log", str(log), "--log-level", "debug", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield lake_path
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    if process.returncode:
        raise RuntimeError(f"the stream failed: {out!r} {err!r}")


def published(lake_path: Path, began: str, since: datetime) -> pl.Series:
    """Seconds from an event's beginning (a column of bronze) to the moment at which readers saw its gold row, of events since a moment."""
    told = [json.loads(line) for line in lake_path.with_suffix(".log").read_text().splitlines()]
    seen = pl.DataFrame(
        [(line["batch"], datetime.fromisoformat(line["time"])) for line in told if line["event"] == "micro_batch.published"],
        schema={"batch": pl.Int64, "seen": pl.Datetime("us", "UTC")},
        orient="row",
    )
    rows = lakewarden.open(lake_path).table("transactions_bronze").filter(pl.col(began) >= since).select("batch", began).collect()
    return rows.join(seen, on="batch").select((pl.col("seen") - pl.col(began)).dt.total_microseconds() / 1e6).to_series()


def measure(scratch: Path, simulation: Path, rate: int, seconds: float, goal: float) -> list[Row]:
    incoming = scratch / f"incoming-{rate}"
    incoming.mkdir()
    lines = templates(simulation, round(rate * (WARM_UP + seconds)) + 1)  # no event twice: an account's bursts are the simulator's
    warm = round(rate * WARM_UP)
    with streaming(scratch / "trained", scratch / f"lake-{rate}", str(incoming)) as lake_path:
        feed(incoming / "warm-up.jsonl", lines[:warm], rate, WARM_UP)
        since = datetime.now(UTC)
        written = feed(incoming / "watched.jsonl", [line.replace(b"#", b"m#") for line in lines[warm:]], rate, seconds)
        time.sleep(2)
    waited = published(lake_path, "arrival_time", since)
    if waited.len() < written * 0.98:
        raise RuntimeError(f"only {waited.len()} of {written} events arrived in time at {rate} a second")
    note = f"{waited.len()} events in {seconds:.0f} s, to the published point"
    return [
        Row(f"p50_{rate}", float(waited.quantile(0.5)), "s", note=note),
        Row(f"p95_{rate}", float(waited.quantile(0.95)), "s", "service level", 60.0, goal, note),
        Row(f"p99_{rate}", float(waited.quantile(0.99)), "s", note=note),
    ]


def run(scratch: Path, simulation: Path, seconds: float = 30.0) -> list[Row]:
    """At the platform's peak rate and at ten times it."""
    return [*measure(scratch, simulation, 1_200, seconds, 0.5), *measure(scratch, simulation, 12_000, seconds, 1.0)]
