"""How the lake stands (runbook section 2): published point, release, counts, latency, who holds it; and its tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from lakewarden.lake import lease, releases
from lakewarden.lake.log import active_files
from lakewarden.tables import BRONZE, DQ_RESULTS, GOLD, PIPELINE_RUNS, TABLES

if TYPE_CHECKING:
    from lakewarden.lake.lakehouse import Lakehouse


@dataclass(frozen=True)
class Report:
    """A report that is its data."""

    data: dict[str, Any]
    ok: bool = True

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"ok": self.ok, **self.data}


def status(lake: Lakehouse) -> Report:
    """The published point, the release in force, counts by date, latency of late, DQ pass rate, and who streams."""
    snapshot = lake.snapshot((BRONZE.name, PIPELINE_RUNS.name, GOLD.name, DQ_RESULTS.name))
    runs = snapshot.scan(PIPELINE_RUNS.name)
    names = ["received", "bronze", "silver", "gold", "alerts", "dead_letters", "duplicates"]
    totals = runs.select(pl.col(names).sum()).collect().row(0, named=True)
    recent = (
        runs.sort("batch")
        .tail(100)
        .select(pl.col("latency_p95_ms").max().alias("p95"), pl.col("committed_time").max())
        .collect()
        .row(0, named=True)
    )
    dates = snapshot.scan(BRONZE.name).group_by("event_date").agg(pl.len().alias("events")).sort("event_date").collect()
    bands = snapshot.scan(GOLD.name).group_by("risk_band").agg(pl.len().alias("n")).collect()
    critical = (
        snapshot.scan(DQ_RESULTS.name)
        .filter(pl.col("criticality") == "critical")
        .select(1 - pl.col("failed").sum() / pl.col("rows").sum())
        .collect()
        .item()
    )
    point = snapshot.point
    return Report(
        {
            "lake": lake.store.root,
            "published": {"point": point.point, "batch": point.batch, "time": point.published_time, "notice": point.notice or None},
            "release": releases.current_id(lake.store),
            "stream": lease.holder(lake.store),
            "rows": totals["bronze"],
            "counts": totals,
            "risk_bands": dict(sorted(bands.iter_rows())),
            "dq_critical_pass_rate": critical,
            "last_commit": None if recent["committed_time"] is None else recent["committed_time"].isoformat(),
            "latency_p95_ms": recent["p95"],
            "dates": [{"date": str(d), "events": n} for d, n in dates.iter_rows()][-31:],
        }
    )


def tables(lake: Lakehouse) -> Report:
    """Every table at the published point: version, rows, files, bytes, partition columns."""
    snapshot = lake.snapshot()
    rows: list[dict[str, Any]] = []
    for name, spec in TABLES.items():
        files = active_files(snapshot.tables[name], spec.partition_by)
        rows.append(
            {
                "table": name,
                "version": snapshot.point.versions[name],
                "rows": sum(f.rows for f in files),
                "files": len(files),
                "bytes": sum(f.size for f in files),
                "partitioned_by": ", ".join(spec.partition_by) or "-",
            }
        )
    return Report({"point": snapshot.point.point, "rows": sum(int(r["rows"]) for r in rows), "tables": rows})
