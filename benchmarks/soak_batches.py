"""Twenty thousand micro-batches back to back, from a real broker, and see that nothing grows: time compressed.

python benchmarks/soak_batches.py --batches 20000 --events 40

At one micro-batch a second that is most of a working day; here it takes about twenty minutes. What a stream does between micro-batches
(compaction, checkpoints, cleaning) has to hold their commits, its memory, the logs and the number of files where they are. Results go to
`benchmarks/results/soak_batches.json`; the exit code is 1 when something grew, or when the proofs at the end do not hold.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import polars as pl
import psutil
from long_stream import LongStream, proofs

import lakewarden
from lakewarden.tables import PIPELINE_RUNS

HERE = Path(__file__).resolve().parent
sys.path += [str(HERE.parent / "tests"), str(HERE.parent / "scripts")]

from crash.material import messages_of  # noqa: E402
from servers.kafka import KafkaBroker  # noqa: E402

RESULTS = HERE / "results" / "soak_batches.json"
PARTITIONS = 4
WARM_UP = 50
WINDOW = 1000
"""Micro-batches behind the warm-up, and at the end, whose commits are compared."""

SLOWER = 1.5
FATTER = 1.15
MORE = 1.25
"""How much more time a commit may take in the last window than in the first; how much more memory, log entries and active files there may
be in the last quarter than in the second: by then the stream has its usual ones."""

FEW = {"log_files": 100, "active_files": 50}
"""A table that has no more isn't judged: the sawtooth of its tidying is all there is to see."""

SAMPLES = 80
POLL_SECONDS = 0.2
PIECE = 50_000


@dataclass(frozen=True)
class Sample:
    """How the stream stood at one micro-batch."""

    batch: int
    seconds: float
    memory_mb: float
    log_files: dict[str, int]
    active_files: dict[str, int]


def produced(broker: KafkaBroker, topic: str, simulation: Path) -> int:
    """Write the whole simulation to the topic; gives the number of events."""
    events, written = messages_of(simulation), 0
    while piece := list(islice(events, PIECE)):
        broker.produce(topic, piece)
        written += len(piece)
    return written


def watched(stream: LongStream, every: int) -> list[Sample]:
    """Samples, one every so many micro-batches, until the stream has come to its end."""
    samples: list[Sample] = []
    started, due = time.monotonic(), 0
    while stream.running:
        if (batch := stream.batch) < due:
            time.sleep(POLL_SECONDS)
            continue
        try:
            taken = Sample(batch, round(time.monotonic() - started, 1), stream.memory_mb, stream.log_files(), stream.active_files())
        except psutil.NoSuchProcess:
            break
        samples.append(taken)
        print(
            f"{batch:7,} micro-batches  {taken.seconds:7.1f} s  {taken.memory_mb:6.1f} MB  {most([taken], 'log_files'):4} log entries  "
            f"{most([taken], 'active_files'):4} active files",
            flush=True,
        )
        due = batch + every
    return samples


def quarters(samples: Sequence[Sample], batches: int) -> list[list[Sample]]:
    """The samples by quarter of the run."""
    found: list[list[Sample]] = [[], [], [], []]
    for sample in samples:
        found[min(3, max(0, sample.batch) * 4 // batches)].append(sample)
    return found


def peaks(part: Sequence[Sample], name: str) -> dict[str, int]:
    """Of log entries or active files: the most that each table had."""
    return {table: max(getattr(sample, name)[table] for sample in part) for table in getattr(part[0], name)} if part else {}


def most(part: Sequence[Sample], name: str) -> int:
    """Of log entries or active files: the most that any table had."""
    return max(peaks(part, name).values(), default=0)


def mean_memory(part: Sequence[Sample]) -> float:
    return sum(sample.memory_mb for sample in part) / len(part) if part else float("nan")


def judge(parts: Sequence[Sequence[Sample]], seconds: pl.Series) -> list[str]:
    """What grew; empty when nothing did."""
    wrong = []
    window = min(WINDOW, len(seconds) // 4)
    first, last = (float(part.quantile(0.95) or 0) for part in (seconds[WARM_UP : WARM_UP + window], seconds[-window:]))
    if last > SLOWER * first:
        wrong.append(f"commits: p95 is {last:.4f} s in the last {window} micro-batches, {first:.4f} s in the first")
    if not (parts[1] and parts[3]):
        return [*wrong, "too few samples to judge memory, logs and files: take more micro-batches"]
    if (now := mean_memory(parts[3])) > FATTER * (before := mean_memory(parts[1])):
        wrong.append(f"memory: {now:.1f} MB in the last quarter, {before:.1f} MB in the second")
    for name, few in FEW.items():
        then, ended = (peaks(part, name) for part in (parts[1], parts[3]))
        wrong += [
            f"{name} of {table}: {count} in the last quarter, {then[table]} in the second"
            for table, count in ended.items()
            if count > MORE * max(then[table], few)
        ]
    return wrong


def by_quarter(parts: Sequence[Sequence[Sample]], seconds: pl.Series) -> list[dict[str, object]]:
    """The run in four rows."""
    found = []
    for number, part in enumerate(parts):
        took = seconds[number * len(seconds) // 4 : (number + 1) * len(seconds) // 4]
        found.append(
            {
                "quarter": number + 1,
                "micro_batches": len(took),
                "commit_p50_s": round(float(took.quantile(0.5) or 0), 4),
                "commit_p95_s": round(float(took.quantile(0.95) or 0), 4),
                "memory_mean_mb": round(mean_memory(part), 1),
                **{f"{name}_most": most(part, name) for name in FEW},
                **{f"{name}_by_table": peaks(part, name) for name in FEW},
            }
        )
    return found


def soak(folder: Path, batches: int, events: int) -> dict[str, object]:
    """Stream so many micro-batches of so many events; what came of it, JSON-ready."""
    simulation, path = folder / "sim", folder / "lake"
    lakewarden.simulate(simulation, seed=7, days=1, events_per_day=batches * events, faults="all")
    lake = lakewarden.init(path)
    lake.reference_import(simulation / "reference")
    broker = KafkaBroker(folder / "broker")
    broker.start_again()
    try:
        topic = broker.new_topic(PARTITIONS, retention_ms=-1)  # simulated events are older than a week
        written = produced(broker, topic, simulation)
        print(f"{written:,} events are in the topic", flush=True)
        with LongStream(path, broker.uri(topic), "--once", "--batch-rows", events, "--batch-seconds", 0.01) as stream:
            samples = watched(stream, max(1, batches // SAMPLES))
    finally:
        broker.broker.stop()
    runs = lake.table(PIPELINE_RUNS.name).select("batch", "seconds").collect().sort("batch")
    parts = quarters(samples, runs.height)
    wrong = ([stream.error] if stream.error else []) + judge(parts, runs["seconds"]) + proofs(lake, written)
    return {
        "ok": not wrong,
        "events": written,
        "micro_batches": runs.height,
        "minutes": round(samples[-1].seconds / 60, 1) if samples else 0.0,
        "wrong": wrong,
        "quarters": by_quarter(parts, runs["seconds"]),
        "samples": [{**asdict(sample), **{name: most([sample], name) for name in FEW}} for sample in samples],
    }


def main() -> int:
    """Run the soak and write its results; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=20_000, help="micro-batches in all")
    parser.add_argument("--events", type=int, default=40, help="events in a micro-batch")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lakewarden-soak-batches-") as folder:
        result = soak(Path(folder), chosen.batches, chosen.events)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    with pl.Config(tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True, tbl_cols=-1, tbl_width_chars=140):
        print(pl.DataFrame(result["quarters"]).select(pl.exclude("^.*_by_table$")))
    wrong = result["wrong"]
    print("\n".join(wrong) if wrong else f"ok: nothing grew in {result['micro_batches']:,} micro-batches, {result['minutes']} minutes")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
