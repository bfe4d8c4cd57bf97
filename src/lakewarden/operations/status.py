"""How the lake stands (runbook section 2): published point, release, counts, latency, who holds it, its stream's pulse; and its tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.lake import lease, releases
from lakewarden.lake.log import active_files
from lakewarden.operations import last_pulse
from lakewarden.operations.latencies import SLO_SECONDS
from lakewarden.tables import BRONZE, DQ_RESULTS, GOLD, PIPELINE_RUNS, TABLES

if TYPE_CHECKING:
    from lakewarden.lake.lakehouse import Lakehouse

SILENT_SECONDS: Final = 15.0
"""A stream whose pulse is older than this hangs, or its outlet does; on an object store it has one every five seconds."""

PULSE_FIGURES: Final = (
    "rate",
    "lag",
    "latency_ms",
    "latency_from",
    "on_time",
    "skew",
    "unpublished_events",
    "unpublished_seconds",
    "idle_seconds",
    "troubles",
    "throttled_ms",
    "incidents",
    "partitions",
)
"""What `status` shows of a pulse; `pulse` gives all of it."""


NEWEST_BATCHES: Final = 500
"""Micro-batches whose checks are looked at."""


@dataclass(frozen=True)
class Report:
    """A report that is its data."""

    data: dict[str, Any]
    ok: bool = True

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"ok": self.ok, **self.data}


def pulse(lake: Lakehouse, now: datetime) -> Report:
    """How the stream stands: who holds the lake, the published point, the newest pulse and its age. Scans no table.

    `state` is recovering or streaming; `silent` when such a stream's pulse is old; `starting` before its first pulse; stopped or
    failed as the last stream said at its end; `gone` when it said nothing and holds the lake no longer (killed, or paused for too
    long); None before the first stream.
    """
    point, holder, found = lake.published(), lease.holder(lake.store), last_pulse.last(lake.store)
    age = None if found is None else max(0.0, (now - datetime.fromisoformat(found["time"])).total_seconds())
    return Report(
        {
            "lake": lake.store.root,
            "time": now.isoformat(timespec="milliseconds"),
            "state": state(holder, found, age),
            "age_seconds": age,
            "published": {"point": point.point, "batch": point.batch, "time": point.published_time, "notice": point.notice or None},
            "release": releases.current_id(lake.store),
            "stream": holder,
            "slo_seconds": SLO_SECONDS,
            "pulse": found,
        }
    )


def state(holder: Mapping[str, object] | None, found: Mapping[str, Any] | None, age: float | None) -> str | None:
    """What the lease and the newest pulse say together; see `pulse`."""
    if holder is None:
        return None if found is None else {"recovering": "gone", "streaming": "gone"}.get(found["state"], found["state"])
    if found is None or age is None or found["run_id"] != holder.get("run_id"):
        return "starting"
    return "silent" if age > SILENT_SECONDS and found["state"] in ("recovering", "streaming") else str(found["state"])


def status(lake: Lakehouse, now: datetime) -> Report:
    """The published point, the release in force, counts by date, latency of late, DQ pass rate, who streams, and the stream's pulse."""
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
    beat = pulse(lake, now).data
    return Report(
        {
            "lake": lake.store.root,
            "published": {"point": point.point, "batch": point.batch, "time": point.published_time, "notice": point.notice or None},
            "release": releases.current_id(lake.store),
            "stream": beat["stream"],
            "pulse": None if beat["pulse"] is None else shown(beat),
            "rows": totals["bronze"],
            "counts": totals,
            "risk_bands": dict(sorted(bands.iter_rows())),
            "dq_critical_pass_rate": critical,
            "last_commit": None if recent["committed_time"] is None else recent["committed_time"].isoformat(),
            "latency_p95_ms": recent["p95"],
            "dates": [{"date": str(d), "events": n} for d, n in dates.iter_rows()][-31:],
        }
    )


def shown(beat: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a pulse that belong into one screen, with the state and the age that it has by now."""
    found = beat["pulse"]
    figures = {name: found[name] for name in PULSE_FIGURES if found.get(name) not in ([], None)}
    known = {name: beat[name] for name in ("state", "age_seconds", "slo_seconds")}
    return {"as_of": found["time"], **known, **figures}


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


def newest_checks(lake: Lakehouse) -> pl.DataFrame:
    """Rows of `dq_results` of the newest micro-batches that readers see."""
    snapshot = lake.snapshot((DQ_RESULTS.name,))
    least = max(snapshot.point.batch - NEWEST_BATCHES, -1)  # history's micro-batches have negative numbers, and say nothing of today
    return snapshot.scan(DQ_RESULTS.name).filter(pl.col("batch") > least).collect()
