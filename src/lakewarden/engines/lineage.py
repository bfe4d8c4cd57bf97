"""From what the flow derived to rows of tables: lineage, wall-clock columns and the run record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import polars as pl

from lakewarden.tables import ALERTS, DLQ, DQ_RESULTS, DUPLICATES, GOLD, PIPELINE_RUNS, SILVER, UTC_US

if TYPE_CHECKING:
    from lakewarden.engines.port import MicroBatch
    from lakewarden.flow.stages import Derived


ENTERED: Final = pl.coalesce("enqueued_time", "received_time")
"""When an event became ours to deal with: latency counts from the broker's timestamp, for files from the moment of reading."""


@dataclass(frozen=True)
class RunRecord:
    """The row of `pipeline_runs` for a micro-batch, with its counts and latency percentiles (milliseconds)."""

    record: pl.DataFrame
    counts: Mapping[str, int]
    latency_ms: Mapping[str, float]


def lineage(rows: pl.DataFrame, batch: MicroBatch) -> pl.DataFrame:
    """Stamp rows with micro-batch, run and release."""
    return rows.with_columns(
        pl.lit(batch.number, pl.Int64).alias("batch"),
        pl.lit(batch.run_id, pl.String).alias("run_id"),
        pl.lit(batch.release.id, pl.String).alias("release_id"),
    )


def derived_tables(batch: MicroBatch, derived: Derived, now: datetime) -> dict[str, pl.DataFrame]:
    """Complete the derived frames to the tables' columns, by table name."""
    wall = pl.lit(now, UTC_US)
    received = batch.bronze.select("seq", ENTERED.alias("_entered"))
    gold = derived.gold.join(received, on="seq", how="left", maintain_order="left").with_columns(
        wall.alias("scored_time"),
        ((wall - pl.col("_entered")).dt.total_microseconds() / 1000).alias("latency_ms"),
        pl.lit(batch.run_id).alias("pipeline_run_id"),
        pl.lit(f"{batch.run_id}-{batch.number}").alias("dq_run_id"),
    )
    day = batch.bronze["arrival_time"][-1].date()
    checks = derived.dq_results.with_columns(wall.alias("checked_time"), pl.lit(day, pl.Date).alias("event_date"))
    frames = {
        SILVER.name: derived.silver,
        GOLD.name: gold,
        ALERTS.name: derived.alerts.with_columns(wall.alias("created_time")),
        DLQ.name: derived.dead_letters,
        DUPLICATES.name: derived.duplicates,
        DQ_RESULTS.name: checks,
    }
    return {name: lineage(rows, batch) for name, rows in frames.items()}


def run_record(batch: MicroBatch, derived: Derived, versions: Mapping[str, int], now: datetime, seconds: float) -> RunRecord:
    """The run record of a micro-batch whose tables are all committed."""
    counts = {
        "received": batch.bronze.height,
        "bronze": batch.bronze.height,
        "silver": derived.silver.height,
        "dead_letters": derived.dead_letters.height,
        "duplicates": derived.duplicates.height,
        "gold": derived.gold.height,
        "alerts": derived.alerts.height,
    }
    waited = (pl.lit(now, UTC_US) - ENTERED).dt.total_microseconds() / 1000
    percentiles = batch.bronze.select(*(waited.quantile(q).alias(name) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)))).row(
        0, named=True
    )
    record = pl.DataFrame(
        {
            "event_date": [batch.bronze["arrival_time"][-1].date()],
            "committed_time": [now],
            "code_version": [batch.release.code_version],
            "source": [batch.source],
            "labels_version": [batch.labels_version],
            "first_seq": [batch.first_seq],
            "last_seq": [batch.last_seq],
            **{name: [count] for name, count in counts.items()},
            "seconds": [seconds],
            **{f"latency_{name}_ms": [value] for name, value in percentiles.items()},
            "stage_seconds": [json.dumps({k: round(v, 6) for k, v in derived.seconds.items()})],
            "table_versions": [json.dumps(dict(versions))],
            "batch": [batch.number],
            "run_id": [batch.run_id],
            "release_id": [batch.release.id],
        },
        schema=PIPELINE_RUNS.columns,
    )
    return RunRecord(record, counts, percentiles)
