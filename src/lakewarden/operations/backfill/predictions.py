"""What a backfill is predicted to write, to take and to touch (runbook section 5.1)."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.flow.behaviour import HORIZON_US
from lakewarden.lake.log import active_files
from lakewarden.operations.backfill.sandbox import BROUGHT_IN
from lakewarden.tables import BRONZE, PIPELINE_RUNS, SILVER

if TYPE_CHECKING:
    from lakewarden.lake.lakehouse import Snapshot
    from lakewarden.operations.backfill.plan import Scope
    from lakewarden.operations.backfill.sample import Sample
    from lakewarden.settings import BackfillSettings

WARM_UP_DAYS: Final = 30
"""The longest window: before so many days have passed, it isn't full."""

LEAST_ROWS: Final = 1000
"""Fewer rows don't say how large a row is, or how long it takes."""


def predict(snapshot: Snapshot, scope: Scope, earliest: date | None, found: Sample, settings: BackfillSettings) -> dict[str, Any]:
    """Rows, bytes, minutes, dates, the range in which windows aren't full, and the first live rows that were scored without history."""
    size, from_lake = _bytes_per_row(snapshot, settings)
    pace, measured = _seconds_per_row(snapshot, found, settings)
    days = sorted(found.dates)
    rows = found.rows(scope.span.last)
    total = rows * size
    return {
        "rows": rows,
        "rows_from": "all files, read" if found.whole else f"{found.fraction:.1%} of the files, read, and the dates asked for",
        "bytes": round(total),
        "bytes_from": "bytes a row as the lake has them" if from_lake else "a default: the lake has too few rows to measure",
        "space_bytes": round(total * settings.space_factor),
        "minutes": round(rows * pace / 60, 3),
        "minutes_from": measured,
        "sample": found.to_dict(),
        "warm_up": warm_up(days[0], days[-1] if found.whole else scope.span.last) if days else None,
        **first_live(snapshot, days[-1] if days and found.whole else scope.span.last, earliest),
    }


def warm_up(first: date, last: date) -> dict[str, str]:
    """The dates of a history whose windows of 30 days aren't full, since nothing comes before it."""
    return {"from": str(first), "to": str(min(last, first + timedelta(days=WARM_UP_DAYS - 1)))}


def first_live(snapshot: Snapshot, last: date, earliest: date | None) -> dict[str, Any]:
    """How many rows that are there already have windows which reach back into history; they keep the scores that they have."""
    if earliest is None:
        return {"first_live_rows": 0, "first_live_dates": None}
    end = (last - date(1970, 1, 1)).days * 86_400_000_000 + 86_400_000_000
    near = snapshot.scan(SILVER.name).filter((pl.col("clock") < end + HORIZON_US) | (pl.col("party_clock") < end + HORIZON_US))
    rows, a, b = near.select(pl.len(), pl.col("event_date").min(), pl.col("event_date").max().alias("b")).collect().row(0)
    return {"first_live_rows": rows, "first_live_dates": {"from": str(a), "to": str(b)} if rows else None}


def _bytes_per_row(snapshot: Snapshot, settings: BackfillSettings) -> tuple[float, bool]:
    files = {name: active_files(snapshot.tables[name], spec.partition_by) for name, spec in BROUGHT_IN.items()}
    rows = sum(file.rows for file in files[BRONZE.name])
    if rows < LEAST_ROWS:
        return settings.bytes_per_row, False
    return sum(file.size for some in files.values() for file in some) / rows, True


def _seconds_per_row(snapshot: Snapshot, found: Sample, settings: BackfillSettings) -> tuple[float, str]:
    runs = snapshot.scan(PIPELINE_RUNS.name).select(pl.col("seconds").sum(), pl.col("received").sum()).collect()
    seconds, received = runs.row(0)
    if received and received >= LEAST_ROWS and seconds:
        return seconds / received, "seconds a row as they were measured in this lake"
    if found.seconds_per_row and found.flow_rows >= LEAST_ROWS:
        return 2 * found.seconds_per_row, "twice the seconds a row of the sample in the stages: writing takes as long"
    return settings.seconds_per_row, "a default rate: none was measured"
