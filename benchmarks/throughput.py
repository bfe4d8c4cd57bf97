"""File to all tables: two million events with every fault kind, a model, telemetry on; beside the naive script. Then verification."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import polars as pl
from row import Row

HERE = Path(__file__).parent
BATCH_ROWS = 100_000


def child(*arguments: str, **environment: str) -> str:
    """A process of its own, so that thread counts and peak memory are its own; its last line."""
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(HERE), **environment},
    )
    if done.returncode:
        raise RuntimeError(f"{arguments} failed:\n{done.stderr[-3000:]}")
    return done.stdout.strip().splitlines()[-1]


def run(scratch: Path, simulation: Path, clean: Path) -> list[Row]:
    """The naive script gets events without faults: it stops at the first malformed one."""
    os.sync()
    naive = float(child(str(HERE / "naive.py"), str(clean / "events"), str(scratch / "naive"), POLARS_MAX_THREADS="1", OMP_NUM_THREADS="1"))
    child(__file__, "prepare", str(scratch / "lake"), str(simulation))
    os.sync()  # what was written until now is no part of what is measured
    figures = json.loads(child(__file__, "measure", str(scratch / "lake"), str(simulation)))
    stages = figures["stage_seconds"]
    shares = [
        Row(f"share_{name}", seconds / figures["seconds"], "of wall time", note="steps overlap: shares don't sum to 1")
        for name, seconds in stages.items()
    ]
    return [
        Row("naive_script", naive, "events/s", "parts", 95_000, note="one thread, events without faults, no proof and no recovery"),
        Row(
            "file_to_gold",
            figures["rows"] / figures["seconds"],
            "events/s",
            "naive_script",
            naive,
            150_000,
            f"{figures['rows']} events, micro-batches of {BATCH_ROWS}",
        ),
        Row("file_to_gold_peak_memory", figures["peak_gb"], "GB"),
        *shares,
        Row(
            "verify",
            figures["verify_rows_per_second"],
            "rows/s",
            "file_to_gold",
            figures["rows"] / figures["seconds"],
            note=f"{figures['verify_rows']} rows, {figures['differences']} differences",
        ),
    ]


def prepare(lake_path: str, simulation: str) -> None:
    """Reference data and a model: commands that come before, in a process of their own."""
    import lakewarden

    lake = lakewarden.init(lake_path)
    lake.reference_import(Path(simulation) / "reference")
    history = Path(simulation).parent / "history"
    lake.train(history / "labels" / "labels.csv", source=history)
    print("ready")


def measure(lake_path: str, simulation: str) -> None:
    """The stream, and a verification."""
    import lakewarden

    history = Path(simulation).parent / "history"
    lake = lakewarden.open(lake_path)
    warm = lakewarden.init(lake_path + "-warm")
    warm.stream(history, once=True)  # compiled code and thread pools, not data
    report = lake.stream(simulation, once=True, batch_rows=BATCH_ROWS)
    day = lake.table("transactions_silver").group_by("event_date").agg(pl.len()).sort("len").collect()["event_date"][-1]
    verified = lake.verify(day)
    print(
        json.dumps(
            {
                "rows": report.rows,
                "seconds": report.seconds,
                "stage_seconds": report.stage_seconds,
                "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
                "verify_rows": verified.rows,
                "verify_rows_per_second": verified.rows / verified.seconds,
                "differences": verified.differences,
            }
        )
    )


def rate(lake_path: str, source: str, history: str) -> None:
    """The stream alone, over any source."""
    import lakewarden

    lakewarden.init(lake_path + "-warm").stream(history, once=True)
    before = resource.getrusage(resource.RUSAGE_SELF)
    report = lakewarden.open(lake_path).stream(source, once=True, batch_rows=BATCH_ROWS)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures = {"rows": report.rows, "seconds": report.seconds, "cpu_us": cpu / report.rows * 1e6, "peak_gb": after.ru_maxrss / 1e6}
    print(json.dumps({**figures, "stage_seconds": report.stage_seconds}))


if __name__ == "__main__":
    {"prepare": prepare, "measure": measure, "rate": rate}[sys.argv[1]](*sys.argv[2:])
