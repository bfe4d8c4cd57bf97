"""A small bank's events, cut into history, and two parts of live data, and a lake that has streamed the first of these."""

from __future__ import annotations

import re
from pathlib import Path

import lakewarden

LIVE_FROM = "2026-01-07"


EVENT_TIME = re.compile(rb'"event_time": ?"([0-9]{4}-[0-9]{2}-[0-9]{2})T')


def day(line: bytes) -> str:
    """The date that an event claims, without reading the whole of it: some are broken on purpose."""
    found = EVENT_TIME.search(line)
    return found[1].decode() if found else ""


def bank(root: Path, *, customers: int = 100, events_per_day: int = 500) -> Path:
    """Write `history/`, `live1/`, `live2/` (days of `LIVE_FROM` on), `reference/`, and a lake in `lake/` that has streamed `live1/`."""
    lakewarden.simulate(root / "sim", seed=11, days=4, customers=customers, events_per_day=events_per_day, faults="all", start=None)
    lines = [line for path in sorted((root / "sim" / "events").iterdir()) for line in path.read_bytes().splitlines(keepends=True)]
    cut = next(at for at, line in enumerate(lines) if day(line) == LIVE_FROM)
    live = [line for line in lines[cut:] if not day(line) or day(line) >= LIVE_FROM]  # no late events of historic dates
    half = len(live) * 2 // 3
    for name, part in (("history", lines[:cut]), ("live1", live[:half]), ("live2", live[half:])):
        (root / name).mkdir()
        (root / name / "events.jsonl").write_bytes(b"".join(part))
    lake = lakewarden.init(root / "lake")
    lake.reference_import(root / "sim" / "reference")
    assert lake.stream(root / "live1", once=True, batch_rows=300).ok
    return root
