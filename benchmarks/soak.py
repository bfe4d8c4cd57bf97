"""Stream for an hour at a set rate and see that nothing grows: commit time, memory, files, log entries.

python benchmarks/soak.py --minutes 60 --rate 1200

A stream that leaves its log and tail alone slows to a stop within an hour; so this is the test of the tidying between
micro-batches. Samples are printed as they come and kept in `benchmarks/results/soak.json`; the exit code is 1 when something
grew, or when the proofs at the end do not hold.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import psutil
from latency import feed, templates

import lakewarden
from lakewarden.tables import PIPELINE_RUNS, TABLES

RESULTS = Path(__file__).parent / "results" / "soak.json"
SLOWER = 1.5
"""How much more time, or how many more files, the last third may take than the first."""
FATTER = 1.25
"""How much more memory the stream may hold."""
SETTLED = 3
"""Minutes until the log has its usual length; what came before isn't judged."""


@dataclass(frozen=True)
class Sample:
    """One minute of the soak."""

    minute: int
    events: int
    micro_batches: int
    batch_seconds: float
    p95_ms: float
    memory_mb: float
    active_files: int
    log_files: int


def sample(lake: lakewarden.Lake, path: Path, process: psutil.Process, minute: int, after: int) -> tuple[Sample, int]:
    """What the last minute was like, and the newest micro-batch in it."""
    runs = lake.table(PIPELINE_RUNS.name).filter(pl.col("batch") > after).select("batch", "received", "seconds", "latency_p95_ms").collect()
    logs = max(sum(1 for _ in (path / name / "_delta_log").iterdir()) for name in TABLES)
    files = max(int(table["files"]) for table in lake.tables().to_dict()["tables"])
    taken = Sample(
        minute,
        int(runs["received"].sum()),
        runs.height,
        round(float(runs["seconds"].median() or 0), 4),
        round(float(runs["latency_p95_ms"].max() or 0), 1),
        round(process.memory_info().rss / 1e6, 1),
        files,
        logs,
    )
    return taken, int(runs["batch"].max() if runs.height else after)


def judge(samples: list[Sample]) -> list[str]:
    """What grew; empty when nothing did."""
    settled = samples[SETTLED:] or samples
    third = max(1, len(settled) // 3)
    first, last = settled[:third], settled[-third:]
    limits = {"batch_seconds": SLOWER, "p95_ms": SLOWER, "memory_mb": FATTER, "active_files": SLOWER, "log_files": SLOWER}
    found = []
    for name, limit in limits.items():
        before, now = (statistics.median(getattr(sample, name) for sample in part) for part in (first, last))
        if now > limit * before:
            found.append(f"{name} is {now:.6g} in the last third, {before:.6g} in the first")
    return found


def soak(folder: Path, minutes: int, rate: int) -> tuple[list[Sample], list[str]]:
    """Stream for so many minutes; the samples, and what is wrong."""
    simulation, path, incoming = folder / "sim", folder / "lake", folder / "incoming"
    lakewarden.simulate(simulation, seed=7, days=1, events_per_day=40_000, faults="none")
    lake = lakewarden.init(path)
    lake.reference_import(simulation / "reference")
    incoming.mkdir()
    lines = templates(simulation, 20_000)
    command = [
        sys.executable,
        "-m",
        "lakewarden",
        "stream",
        "--lake",
        str(path),
        "--source",
        str(incoming),
        "--batch-seconds",
        "0.1",
        "--json",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    samples: list[Sample] = []
    newest, written = -1, 0
    try:
        for minute in range(minutes):
            marked = [line.replace(b"#", b"%d#" % minute) for line in lines]
            written += feed(incoming / f"{minute:05}.jsonl", marked, rate, 60.0)
            if process.poll() is not None:
                break
            taken, newest = sample(lake, path, psutil.Process(process.pid), minute, newest)
            samples.append(taken)
            print(json.dumps(asdict(taken)), flush=True)
        time.sleep(2)
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=120)
    wrong = judge(samples) if samples else []
    if process.returncode:
        wrong.append(f"the stream ended with {process.returncode}: {out.decode()}{err.decode()}")
    if (rows := int(lake.status().to_dict()["rows"])) != written:
        wrong.append(f"{written} events were written and {rows} are in bronze")
    today = datetime.now(UTC).date()
    if not lake.conserve(today).ok:
        wrong.append("the conservation statement does not hold")
    if (differences := lake.verify(today).differences) != 0:
        wrong.append(f"verification found {differences} differences")
    return samples, wrong


def main() -> int:
    """Run the soak and write its results; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--rate", type=int, default=1200)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lakewarden-soak-") as folder:
        samples, wrong = soak(Path(folder), chosen.minutes, chosen.rate)
    result = {"ok": not wrong, "rate": chosen.rate, "wrong": wrong, "samples": [asdict(s) for s in samples]}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print("\n".join(wrong) if wrong else f"ok: nothing grew in {len(samples)} minutes at {chosen.rate} events a second")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
