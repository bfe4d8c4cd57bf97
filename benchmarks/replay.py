"""Replay against the stream that wrote the rows, in the same run; and how long readers wait for a swap and an undo, by size.

The time of a swap runs from the moment at which it is taken up to the published point: what stands before that (staging, splitting) nobody
waits for. The whole command is told beside it.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from row import Row

import lakewarden

BATCH_ROWS = 100_000
GOAL_SECONDS = 2.0
SMALL = 12_000
LARGE_DAYS = 20
LARGE_A_DAY = 520_000


def run(scratch: Path, trained: Path, big: Path) -> list[Row]:
    """All rows; `big` is some two million events of four dates, `trained` a lake with a model in force."""
    return [*_small(scratch), *_million(scratch, trained, big), *_ten_million(scratch)]


def _streamed(root: Path, source: Path) -> tuple[lakewarden.Lake, list[str], float]:
    """A lake that streamed a source; its dates by size, largest first; events a second."""
    lake = lakewarden.open(root) if root.exists() else lakewarden.init(root)
    lake.release_create(reason="benchmark")
    streamed = lake.stream(source, once=True, batch_rows=BATCH_ROWS)
    dates = sorted(lake.status().data["dates"], key=lambda row: int(row["events"]), reverse=True)
    return lake, [str(row["date"]) for row in dates], streamed.rows / streamed.seconds


def _validated(lake: lakewarden.Lake, first: str, last: str) -> tuple[str, float]:
    """A replay that can be swapped in, and the events a second of its run."""
    replay_id = str(lake.replay_plan(first, last, reason="benchmark").data["id"])
    ran = lake.replay_run(replay_id)
    if not lake.replay_validate(replay_id).ok:
        raise RuntimeError(f"{replay_id} differs from what it replayed")
    return replay_id, float(ran.data["events_per_second"])


def _swaps(lake: lakewarden.Lake, replay_id: str, times: int) -> tuple[int, list[float], list[float], float]:
    """Rows that came in, seconds of each swap and of each undo, seconds of the slowest whole command."""
    swaps, undos, rows, whole = [], [], 0, 0.0
    for number in range(times):
        if number:
            lake.replay_validate(replay_id)
        started = time.monotonic()
        swapped = lake.replay_swap(replay_id).data
        whole = max(whole, time.monotonic() - started)
        swaps.append(float(swapped["swap_seconds"]))
        rows = int(swapped["tables"]["transactions_silver"]["rows_in"])
        undos.append(float(lake.replay_undo(replay_id, "benchmark").data["swap_seconds"]))
    return rows, swaps, undos, whole


def _row(name: str, rows: int, seconds: list[float], whole: float | None = None) -> Row:
    told = f"{rows:,} transactions in six tables; worst of {len(seconds)}"
    return Row(name, max(seconds), "s", goal=GOAL_SECONDS, note=told + (f"; the whole command {whole:.2f} s" if whole else ""))


def _small(scratch: Path) -> list[Row]:
    source = scratch / "small"
    lakewarden.simulate(source, seed=7, days=1, customers=1_000, events_per_day=SMALL)
    lake, dates, _ = _streamed(scratch / "replay-small", source)
    rows, swaps, _, whole = _swaps(lake, _validated(lake, dates[0], dates[0])[0], 5)
    return [_row("swap_10k", rows, swaps, whole)]


def _million(scratch: Path, trained: Path, big: Path) -> list[Row]:
    root = scratch / "replay-lake"
    shutil.copytree(trained, root)
    lake, dates, rate = _streamed(root, big)
    first, last = min(dates[:4]), max(dates[:4])
    whole_id, replayed = _validated(lake, first, last)
    lake.replay_clean(whole_id)
    found = [
        Row(
            "replay",
            replayed,
            "events/s",
            anchor="file_to_gold, same run, same lake",
            anchor_value=rate,
            goal=0.9 * rate,
            note="four dates as recorded, into the sandbox; the goal is nine tenths of the stream's rate",
        )
    ]
    two = sorted(dates[:4])[:2]
    rows, swaps, undos, command = _swaps(lake, _validated(lake, two[0], two[1])[0], 3)
    shutil.rmtree(root)
    return [*found, _row("swap_1m", rows, swaps, command), _row("undo_1m", rows, undos)]


def _ten_million(scratch: Path) -> list[Row]:
    source, root = scratch / "large", scratch / "replay-large"
    lakewarden.simulate(source, seed=7, days=LARGE_DAYS, customers=60_000, events_per_day=LARGE_A_DAY)
    lake, dates, _ = _streamed(root, source)
    shutil.rmtree(source)
    rows, swaps, _, command = _swaps(lake, _validated(lake, min(dates), max(dates))[0], 1)
    shutil.rmtree(root)
    return [_row("swap_10m", rows, swaps, command)]
