"""A topic's events as rows of bronze, inside Spark: a place in the order of arrival for each, and the date that it is filed under."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow as pa

from lakewarden.engines.arrival import EPOCH, instant
from lakewarden.engines.spark.columns import from_arrow, spark_schema, to_arrow
from lakewarden.engines.spark.sending import send
from lakewarden.engines.spark.tasks import gathered
from lakewarden.flow.stages import decode_events
from lakewarden.tables import BRONZE, UTC_US

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from lakewarden.engines.arrival import Arrived
    from lakewarden.engines.port import Taking
    from lakewarden.engines.spark.topic import TopicChunk
    from lakewarden.flow.release import Release
    from lakewarden.sources.mapping import EventMapping

NUMBERED: Final = pl.Schema(
    {
        "seq": pl.Int64(),
        "arrival_time": UTC_US,
        "enqueued_time": UTC_US,
        "source_partition": pl.String(),
        "source_offset": pl.Int64(),
        "body": pl.Binary(),
    }
)
"""Events with their places."""


def topic_bronze(chunk: TopicChunk, arrived: Arrived, taking: Taking) -> DataFrame:
    """Rows of bronze of a micro-batch, in no particular order.

    An event arrived when the broker says so, never later than now and never before an earlier one of its partition; places follow the time
    of arrival, then partition and offset. So arrival never runs backwards in `seq` order (docs/adr/0003).
    """
    told = pl.DataFrame(
        {
            "received_time": [instant(chunk.received_time)],
            "source": [chunk.source],
            "labels_version": [taking.labels_version],
            "batch": [taking.number],
            "run_id": [taking.run_id],
            "release_id": [taking.release.id],
        },
        schema_overrides={name: dtype for name, dtype in BRONZE.columns.items() if name not in NUMBERED and name != "event_date"},
    )
    rows = numbered(chunk.rows, chunk.received_time, arrived)
    sent = send(rows.sparkSession, (taking.release, chunk.mapping, told))

    def filed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for some in gathered(batches):
            yield from to_arrow(file(from_arrow(some, NUMBERED), *sent.value), BRONZE.schema).to_batches()

    return rows.mapInArrow(filed, spark_schema(BRONZE.schema))


def numbered(events: DataFrame, now: int, arrived: Arrived) -> DataFrame:
    """Events of a topic with their places, columns `NUMBERED`.

    Args:
        events: `partition`, `offset`, `timestamp`, `value`.
        now: microseconds UTC.
        arrived: how far arrival has come.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    wall, floor = (f.timestamp_micros(f.lit(_micros_of(time))) for time in (instant(now), arrived.time or EPOCH))
    enqueued = f.coalesce(f.col("timestamp"), wall)
    in_partition = Window.partitionBy("partition").orderBy("offset")
    timed = events.select(
        "partition",
        "offset",
        f.coalesce(f.col("value"), f.lit(b"")).alias("body"),
        enqueued.alias("enqueued_time"),
        f.greatest(f.max(f.least(enqueued, wall)).over(in_partition), floor).alias("arrival_time"),
    )
    place = f.row_number().over(Window.orderBy("arrival_time", "partition", "offset"))
    return timed.select(
        (place + f.lit(arrived.seq - 1)).cast("bigint").alias("seq"),
        "arrival_time",
        "enqueued_time",
        f.col("partition").cast("string").alias("source_partition"),
        f.col("offset").alias("source_offset"),
        "body",
    )


def file(rows: pl.DataFrame, release: Release, mapping: EventMapping | None, told: pl.DataFrame) -> pl.DataFrame:
    """Events with their places as rows of bronze, each under its date."""
    if mapping is not None:
        rows = rows.with_columns(mapping.map_lines(rows["body"]).alias("body"))
    days = decode_events(rows, release)["event_date"]
    return rows.with_columns(days, *(pl.lit(told[name][0], told.schema[name]).alias(name) for name in told.columns))


def _micros_of(time: object) -> int:
    micros: int = pl.Series([time], dtype=UTC_US).to_physical()[0]
    return micros
