"""The real command in a process of its own, watched for what must not grow, and the proofs behind it."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import psutil

import lakewarden
from lakewarden.tables import BRONZE, TABLES

ENDING_SECONDS = 120


@dataclass(frozen=True)
class Standing:
    """What must not grow: the process's memory, and of the table that has most of it, log entries and active files."""

    memory_mb: float
    log_files: int
    active_files: int


class LongStream:
    """A stream, from the beginning of the block to its end; then it finishes its micro-batch.

    Attributes:
        error: how it ended, if not as it should.
    """

    def __init__(self, lake: Path, source: str | Path, *options: object) -> None:
        command = [sys.executable, "-m", "lakewarden", "stream", "--lake", lake, "--source", source, "--json", *options]
        self.error = ""
        self._root = lake
        self._lake = lakewarden.open(lake)
        self._process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def __enter__(self) -> LongStream:
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            self._process.send_signal(signal.SIGTERM)
        try:
            out, err = self._process.communicate(timeout=ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            out, err = self._process.communicate()
        if self._process.returncode:
            self.error = f"the stream ended with {self._process.returncode}: {out.decode()}{err.decode()}"

    @property
    def running(self) -> bool:
        """Whether it is at work still."""
        return self._process.poll() is None

    @property
    def batch(self) -> int:
        """The newest micro-batch that readers see."""
        return self._lake.house.published().batch

    @property
    def memory_mb(self) -> float:
        """What the process holds; for a stream that runs."""
        return round(psutil.Process(self._process.pid).memory_info().rss / 1e6, 1)

    def log_files(self) -> dict[str, int]:
        """Entries of each table's log."""
        return {name: sum(1 for _ in (self._root / name / "_delta_log").iterdir()) for name in TABLES}

    def active_files(self) -> dict[str, int]:
        """Files that readers of each table open."""
        return {table["table"]: int(table["files"]) for table in self._lake.tables().to_dict()["tables"]}

    def standing(self) -> Standing:
        """How it stands now; for a stream that runs."""
        return Standing(self.memory_mb, max(self.log_files().values()), max(self.active_files().values()))


def proofs(lake: lakewarden.Lake, written: int) -> list[str]:
    """What doesn't hold of a lake that took so many events: every one is there once, every date is conserved and derives again."""
    wrong = []
    place = ("source", "source_partition", "source_offset")
    found = lake.table(BRONZE.name).select(pl.len().alias("rows"), pl.struct(place).n_unique().alias("places")).collect().row(0)
    if found != (written, written):
        wrong.append(f"{written} events were written; bronze has {found[0]} rows of {found[1]} offsets")
    for day in lake.table(BRONZE.name).select(pl.col("event_date").unique().sort()).collect()["event_date"]:
        if not lake.conserve(day).ok:
            wrong.append(f"the conservation statement of {day} does not hold")
        if (differences := lake.verify(day).differences) != 0:
            wrong.append(f"verification of {day} found {differences} differences")
    return wrong
