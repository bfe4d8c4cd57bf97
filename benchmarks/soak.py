"""Stream at a set rate, in real time, and see that nothing grows: commit time, memory, files, log entries.

python benchmarks/soak.py --minutes 60 --rate 1200

A stream that leaves its log and tail alone slows to a stop within an hour; so this is the test of the tidying between
micro-batches. Samples are printed as they come and kept in `benchmarks/results/soak.json`; the exit code is 1 when something
grew, or when the proofs at the end do not hold.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl
from latency import feed, templates
from long_stream import LongStream, Standing, proofs

import lakewarden
from lakewarden.tables import PIPELINE_RUNS

RESULTS = Path(__file__).parent / "results" / "soak.json"
SLOWER = 1.5
"""How much more time, or how many more files, the last third may take than the first."""
FATTER = 1.25
"""How much more memory the stream may hold."""
SETTLED = 3
"""Minutes until the log has its usual length; what came before isn't judged."""


@dataclass(frozen=True)
class Sample(Standing):
    """One minute of the soak."""

    minute: int
    events: int
    micro_batches: int
    batch_seconds: float
    p95_ms: float


def sample(lake: lakewarden.Lake, stream: LongStream, minute: int, after: int) -> tuple[Sample, int]:
    """What the last minute was like, and the newest micro-batch in it."""
    runs = lake.table(PIPELINE_RUNS.name).filter(pl.col("batch") > after).select("batch", "received", "seconds", "latency_p95_ms").collect()
    taken = Sample(
        **asdict(stream.standing()),
        minute=minute,
        events=int(runs["received"].sum()),
        micro_batches=runs.height,
        batch_seconds=round(float(runs["seconds"].median() or 0), 4),
        p95_ms=round(float(runs["latency_p95_ms"].max() or 0), 1),
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
    samples: list[Sample] = []
    newest, written = -1, 0
    with LongStream(path, incoming, "--batch-seconds", 0.1) as stream:
        for minute in range(minutes):
            marked = [line.replace(b"#", b"%d#" % minute) for line in lines]
            written += feed(incoming / f"{minute:05}.jsonl", marked, rate, 60.0)
            if not stream.running:
                break
            taken, newest = sample(lake, stream, minute, newest)
            samples.append(taken)
            print(json.dumps(asdict(taken)), flush=True)
        time.sleep(2)
    wrong = judge(samples) if samples else []
    if stream.error:
        wrong.append(stream.error)
    return samples, wrong + proofs(lake, written)


def main() -> int:
    """Run the soak and write its results; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=5)
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
