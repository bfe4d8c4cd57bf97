"""The conservation statement of a date, drawn up at the published point and stored as evidence."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from typing import TYPE_CHECKING

from lakewarden.audit.conservation import STATED, Share, Statement, counted, received, stated, statement
from lakewarden.errors import LakeError
from lakewarden.lake import releases
from lakewarden.lake.release_loader import materialise
from lakewarden.tables import BRONZE, PIPELINE_RUNS, TABLES

if TYPE_CHECKING:
    from lakewarden.engines.port import Frames, Reader
    from lakewarden.flow.release import Release
    from lakewarden.lake.lakehouse import Lakehouse


def conserve(lake: Lakehouse, engine: Reader, day: date, now: datetime, monotonic: Callable[[], float]) -> Statement:
    """Draw up the statement of one date and keep it below `_evidence/conservation/`.

    Raises:
        LakeError: the date has no events, or there is no release in force.
    """
    started = monotonic()
    release_id = releases.current_id(lake.store)
    if release_id is None:
        raise LakeError("The lake has no release.", next=f"lakewarden init --lake {lake.store.root}")
    drawn = _drawn_up(engine, day, materialise(lake.store, release_id))
    if sum(drawn.counts.values()) == 0:
        raise LakeError(f"There are no events of {day}.", state="nothing was stated", next="lakewarden status (shows the dates there are)")
    drawn = replace(drawn, seconds=monotonic() - started)
    evidence = {**drawn.to_dict(), "stated": now.isoformat(), "lake": lake.store.root}
    lake.store.put(f"_evidence/conservation/{day}-{drawn.point}.json", json.dumps(evidence, indent=2).encode())
    return drawn


def _drawn_up(engine: Reader, day: date, release: Release) -> Statement:
    snapshot = engine.snapshot()
    shares = engine.by_places([TABLES[name] for name in STATED], snapshot, partial(_share, release=release), day=day)
    bronze = engine.by_places([BRONZE], snapshot, _counted, columns=("seq",))
    rows, places = (sum(side) for side in zip(*bronze, strict=True))
    return statement(day, snapshot.point.point, shares, received(snapshot.scan(PIPELINE_RUNS.name), rows, places), 0.0)


def _share(stored: Frames, derived: Frames, release: Release) -> Share:
    return stated({name: rows.lazy() for name, rows in stored.items()}, release)


def _counted(stored: Frames, derived: Frames) -> tuple[int, int]:
    return counted(stored[BRONZE.name].lazy())
