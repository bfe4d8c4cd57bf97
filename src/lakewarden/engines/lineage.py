"""From what the flow derived to rows of tables: lineage, wall-clock columns and the run record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

import polars as pl

from lakewarden.tables import ALERTS, DLQ, DQ_RESULTS, DUPLICATES, GOLD, PIPELINE_RUNS, SILVER, TABLES, UTC_US

if TYPE_CHECKING:
    from lakewarden.engines.port import MicroBatch

PARTS: Final = {
    SILVER.name: "silver",
    GOLD.name: "gold",
    ALERTS.name: "alerts",
    DLQ.name: "dead_letters",
    DUPLICATES.name: "duplicates",
    DQ_RESULTS.name: "dq_results",
}
"""The tables that events become, and the part of `flow.stages.Derived` that each comes from."""

ENTERED: Final = pl.coalesce("enqueued_time", "received_time")
"""When an event became ours to deal with: latency counts from the broker's timestamp, for files from the moment of reading."""


@dataclass(frozen=True)
class Stamp:
    """What rows get besides what they were derived to: lineage, wall-clock times, latency.

    Attributes:
        day: the date of rows that stand for no event.
        entered: `seq` and `_entered` of every event; None: nobody waited for them, so they have no latency.
        places: `seq` and `batch`: only these events' rows, each with the micro-batch in which it arrived; None: all, with this one.
    """

    batch: int
    run_id: str
    release_id: str
    now: datetime
    day: date
    entered: pl.DataFrame | None
    places: pl.DataFrame | None = None

    @classmethod
    def of(cls, batch: MicroBatch, now: datetime) -> Stamp:
        """That of a micro-batch that is streamed."""
        entered = batch.bronze.select("seq", ENTERED.alias("_entered"))
        return cls(batch.number, batch.run_id, batch.release.id, now, day_of(batch.bronze), entered)


def day_of(bronze: pl.DataFrame) -> date:
    """The date on which the last of some events arrived."""
    day: date = bronze["arrival_time"][-1].date()
    return day


def complete(name: str, rows: pl.DataFrame, stamp: Stamp) -> pl.DataFrame:
    """Derived rows with all columns of their table."""
    spec, wall = TABLES[name], pl.lit(stamp.now, UTC_US)
    if stamp.places is not None and spec.per_event:
        rows = rows.join(stamp.places.select("seq"), on="seq", how="semi", maintain_order="left")
    if name == GOLD.name:
        rows = _waited(rows, stamp).with_columns(
            wall.alias("scored_time"),
            pl.lit(stamp.run_id).alias("pipeline_run_id"),
            pl.lit(f"{stamp.run_id}-{stamp.batch}").alias("dq_run_id"),
        )
    elif name == ALERTS.name:
        rows = rows.with_columns(wall.alias("created_time"))
    elif name == DQ_RESULTS.name:
        rows = rows.with_columns(wall.alias("checked_time"), pl.lit(stamp.day, pl.Date).alias("event_date"))
    rows = rows.with_columns(
        pl.lit(stamp.batch, pl.Int64).alias("batch"),
        pl.lit(stamp.run_id, pl.String).alias("run_id"),
        pl.lit(stamp.release_id, pl.String).alias("release_id"),
    )
    if stamp.places is not None and spec.per_event:
        rows = rows.drop("batch").join(stamp.places, on="seq", how="left", maintain_order="left")
    return rows.select(pl.col(column).cast(dtype) for column, dtype in spec.columns.items())


def _waited(gold: pl.DataFrame, stamp: Stamp) -> pl.DataFrame:
    if stamp.entered is None:
        return gold.with_columns(pl.lit(None, pl.Float64).alias("latency_ms"))
    waited = (pl.lit(stamp.now, UTC_US) - pl.col("_entered")).dt.total_microseconds() / 1000
    joined = gold.join(stamp.entered, on="seq", how="left", maintain_order="left")
    return joined.with_columns(waited.alias("latency_ms")).drop("_entered")


@dataclass(frozen=True)
class RunRecord:
    """The row of `pipeline_runs` for a micro-batch, with its counts and latency percentiles (milliseconds)."""

    record: pl.DataFrame
    counts: Mapping[str, int]
    latency_ms: Mapping[str, float]


def run_record(
    batch: MicroBatch,
    derived: Mapping[str, int],
    stage_seconds: Mapping[str, float],
    versions: Mapping[str, int],
    now: datetime,
    seconds: float,
) -> RunRecord:
    """The run record of a micro-batch whose tables are all committed.

    Args:
        derived: rows of each part of what it became.
    """
    counts = {
        "received": batch.bronze.height,
        "bronze": batch.bronze.height,
        **{part: derived[part] for part in ("silver", "dead_letters", "duplicates", "gold", "alerts")},
    }
    waited = (pl.lit(now, UTC_US) - ENTERED).dt.total_microseconds() / 1000
    percentiles = batch.bronze.select(*(waited.quantile(q).alias(name) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)))).row(
        0, named=True
    )
    record = pl.DataFrame(
        {
            "event_date": [day_of(batch.bronze)],
            "committed_time": [now],
            "code_version": [batch.release.code_version],
            "source": [batch.source],
            "labels_version": [batch.labels_version],
            "first_seq": [batch.first_seq],
            "last_seq": [batch.last_seq],
            **{name: [count] for name, count in counts.items()},
            "seconds": [seconds],
            **{f"latency_{name}_ms": [value] for name, value in percentiles.items()},
            "stage_seconds": [json.dumps({k: round(v, 6) for k, v in stage_seconds.items()})],
            "table_versions": [json.dumps(dict(versions))],
            "batch": [batch.number],
            "run_id": [batch.run_id],
            "release_id": [batch.release.id],
        },
        schema=PIPELINE_RUNS.columns,
    )
    return RunRecord(record, counts, percentiles)
