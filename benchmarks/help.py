"""How long `lakewarden --help` takes, start of the interpreter included."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from row import Row


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def run(times: int = 11) -> list[Row]:
    """The median, beside that of an interpreter that does nothing."""
    shown = statistics.median(seconds([sys.executable, "-m", "lakewarden", "--help"]) for _ in range(times))
    bare = statistics.median(seconds([sys.executable, "-c", "pass"]) for _ in range(times))
    return [Row("help_seconds", shown, "s", "an interpreter that does nothing", bare, 0.3, f"median of {times}")]
