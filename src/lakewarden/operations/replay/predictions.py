"""What a replay is predicted to write, to take and to touch (runbook section 4.2 step 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.flow.behaviour import HORIZON_US
from lakewarden.lake.log import active_files
from lakewarden.operations.replay.sandbox import REPLAYED
from lakewarden.tables import PIPELINE_RUNS, SILVER, SNAPSHOTS

if TYPE_CHECKING:
    from lakewarden.lake.lakehouse import Snapshot
    from lakewarden.lake.log import DataFile
    from lakewarden.operations.replay.preconditions import Scope
    from lakewarden.settings import ReplaySettings

SHOWN: Final = 50
"""How many partitions of a table a plan names; it counts all of them."""


def predict(snapshot: Snapshot, scope: Scope, settings: ReplaySettings) -> dict[str, Any]:
    """Rows, bytes, partitions, minutes, later transactions whose windows reach back, and regulatory snapshots."""
    tables = [_table(snapshot, scope, name) for name in REPLAYED]
    arrivals = 0 if scope.stretch is None else scope.stretch[1] - scope.stretch[0] + 1
    per_row, measured = _seconds_per_row(snapshot, scope, settings)
    return {
        "arrivals": arrivals,
        "rows": sum(table["rows"] for table in tables),
        "bytes": sum(table["bytes"] for table in tables),
        "minutes": round(arrivals * per_row / 60, 3),
        "minutes_from": "seconds a row as the stream measured them" if measured else "a default rate: none was measured",
        "later_transactions": _later(snapshot, scope),
        "tables": tables,
        "regulatory_snapshots": _snapshots(snapshot, scope),
    }


def _table(snapshot: Snapshot, scope: Scope, name: str) -> dict[str, Any]:
    spec = REPLAYED[name]
    files = [file for file in active_files(snapshot.tables[name], spec.partition_by) if _within(file, scope)]
    partitions = sorted({"/".join(f"{key}={value}" for key, value in file.partition.items()) for file in files})
    return {
        "table": name,
        "rows": sum(file.rows for file in files),
        "bytes": sum(file.size for file in files),
        "partitions": len(partitions),
        "which": partitions[:SHOWN],
    }


def _within(file: DataFile, scope: Scope) -> bool:
    day = file.partition.get("event_date")
    return day is not None and scope.dates[0].isoformat() <= day <= scope.dates[1].isoformat()


def _seconds_per_row(snapshot: Snapshot, scope: Scope, settings: ReplaySettings) -> tuple[float, bool]:
    if scope.stretch is None:
        return settings.seconds_per_row, False
    runs = snapshot.scan(PIPELINE_RUNS.name).filter(pl.col("last_seq") >= scope.stretch[0], pl.col("first_seq") <= scope.stretch[1])
    seconds, received = runs.select(pl.col("seconds").sum(), pl.col("received").sum()).collect().row(0)
    return (seconds / received, True) if received and seconds else (settings.seconds_per_row, False)


def _later(snapshot: Snapshot, scope: Scope) -> int:
    """Silver rows outside the dates that arrived later and share an account or a party with them, within the behaviour horizon."""
    if scope.stretch is None:
        return 0
    silver = snapshot.scan(SILVER.name)
    within = silver.filter(scope.range, pl.col("seq") <= scope.cut)
    ends = within.select(pl.col("clock").max(), pl.col("party_clock").max()).collect().row(0)
    later = silver.filter(~scope.range, pl.col("seq") > scope.stretch[0])
    touched = [
        later.filter(pl.col(clock) <= end + HORIZON_US).join(within.select(key).unique(), on=key, how="semi").select("seq")
        for key, clock, end in (("account_id", "clock", ends[0]), ("party_id", "party_clock", ends[1]))
        if end is not None
    ]
    return int(pl.concat(touched).select(pl.col("seq").n_unique()).collect().item()) if touched else 0


def _snapshots(snapshot: Snapshot, scope: Scope) -> list[dict[str, Any]]:
    rows = snapshot.scan(SNAPSHOTS.name).filter(scope.range).group_by("snapshot_date").agg(pl.len().alias("rows")).sort("snapshot_date")
    return [{"snapshot_date": str(day), "rows": count} for day, count in rows.collect().iter_rows()]
