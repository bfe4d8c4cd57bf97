"""Arrival: from a chunk of a source to decoded rows with `seq`, `arrival_time` and `event_date`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from lakewarden.flow.decode import decode, file_under
from lakewarden.tables import BRONZE, UTC_US

if TYPE_CHECKING:
    from lakewarden.engines.port import Taking
    from lakewarden.flow.release import Release
    from lakewarden.sources.port import Chunk

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def instant(microseconds: int) -> datetime:
    """Microseconds since 1970 UTC as a time."""
    return EPOCH + timedelta(microseconds=microseconds)


@dataclass(frozen=True)
class Arrived:
    """How far arrival has come: the next event's `seq`, the newest arrival time, and whether it was claimed by an envelope."""

    seq: int
    time: datetime | None = None
    claimed: bool = False


def arrive(chunk: Chunk, release: Release, before: Arrived) -> tuple[pl.DataFrame, Arrived]:
    """Decode a chunk and give each event its place in the order of arrival.

    The arrival time is the broker's timestamp, or the time that a file's events carry in their envelope (`enqueued_time`), neither ever
    later than the wall clock, or the wall clock. An event whose envelope can't be read arrived with the one before it: the wall
    clock would make all later events of a file of last year late. Arrival never runs backwards in `seq` order.
    """
    decoded = decode(chunk.bodies, release.contract, release.settings)
    wall = instant(chunk.received_time)
    if chunk.arrival is not None:
        arrival, claimed = chunk.arrival.cast(UTC_US), False
        arrival = arrival.set(arrival > wall, wall)  # one producer whose clock runs ahead must not make all later events old
    else:
        times = decoded["enqueued_time"].cast(UTC_US)
        times = times.set(times > wall, None)
        claimed = before.claimed or times.null_count() < times.len()
        seed = pl.Series([before.time if before.claimed else None], dtype=UTC_US)
        arrival = seed.append(times.rename("")).fill_null(strategy="forward")[1:].fill_null(strategy="backward").fill_null(wall)
    newest = pl.Series([before.time or EPOCH], dtype=UTC_US)
    in_order = newest.append(arrival.rename("")).fill_null(strategy="forward").cum_max()[1:]
    rows = pl.DataFrame(
        {
            "seq": pl.int_range(before.seq, before.seq + decoded.height, dtype=pl.Int64, eager=True),
            "arrival_time": in_order,
            "body": chunk.bodies,
        }
    )
    filed = file_under(pl.concat([rows, decoded], how="horizontal"), release.settings)
    return filed, Arrived(before.seq + filed.height, filed["arrival_time"][-1], claimed)


def bronze_rows(chunk: Chunk, rows: pl.DataFrame, taking: Taking) -> pl.DataFrame:
    """The rows of bronze of a chunk whose events have their places."""
    return (
        rows.select("seq", "event_date", "arrival_time", "body")
        .with_columns(
            pl.lit(None, UTC_US).alias("enqueued_time") if chunk.arrival is None else chunk.arrival.cast(UTC_US).alias("enqueued_time"),
            pl.lit(instant(chunk.received_time), UTC_US).alias("received_time"),
            pl.lit(chunk.source).alias("source"),
            chunk.partitions.cast(pl.String).alias("source_partition"),
            chunk.offsets.cast(pl.Int64).alias("source_offset"),
            pl.lit(taking.labels_version, pl.Int64).alias("labels_version"),
            pl.lit(taking.number, pl.Int64).alias("batch"),
            pl.lit(taking.run_id).alias("run_id"),
            pl.lit(taking.release.id).alias("release_id"),
        )
        .select(list(BRONZE.columns))
    )


@dataclass(frozen=True)
class Span:
    """What history may hold.

    Attributes:
        first, last: the dates of its events; `first` None: as old as they come.
        before: the time before which all of it arrived: live data begin there.
    """

    first: date | None
    last: date
    before: datetime

    @property
    def dates(self) -> pl.Expr:
        """Whether a row's `event_date` is one of the dates."""
        upto = pl.col("event_date") <= self.last
        return upto if self.first is None else upto & (pl.col("event_date") >= self.first)

    @property
    def begin(self) -> datetime:
        """The first date's beginning."""
        return EPOCH if self.first is None else datetime.combine(self.first, time(), UTC)


@dataclass(frozen=True)
class Past:
    """How far the arrival of history has come: events kept, the newest arrival of these, and when the event read last arrived."""

    seq: int = 0
    newest: datetime | None = None
    previous: datetime | None = None


def arrive_as_history(chunk: Chunk, release: Release, before: Past, span: Span) -> tuple[pl.DataFrame, Past, int]:
    """Decode a chunk of history and tell which of its events are of the dates; also gives how many of these stand behind a later one.

    An event arrived when its envelope says so, if that was before live data, else when it happened; one that says neither arrived with the
    one before it. Arrival never runs backwards among the events that are kept; these are numbered one behind the other.
    """
    decoded = decode(chunk.bodies, release.contract, release.settings)
    own = decoded.select(_told(span, instant(chunk.received_time)).alias("own"))["own"]
    known = pl.Series([before.previous], dtype=UTC_US).append(own.rename("")).fill_null(strategy="forward")[1:]
    alone = known.fill_null(strategy="backward").fill_null(span.begin)
    rows = pl.concat([pl.DataFrame({"arrival_time": alone, "body": chunk.bodies}), decoded], how="horizontal")
    kept = file_under(rows, release.settings).select(span.dates)["event_date"].rename("kept")
    floor = pl.Series([before.newest or EPOCH], dtype=UTC_US)
    in_order = floor.append(alone.rename("").set(~kept, None)).fill_null(strategy="forward").cum_max()[1:]
    rows = rows.with_columns(pl.when(kept).then(in_order).otherwise(alone).alias("arrival_time"), kept)
    seq = before.seq + kept.cast(pl.Int64).cum_sum() - 1
    filed = file_under(rows, release.settings).with_columns(seq.alias("seq"))
    newest = in_order[-1] if kept.any() else before.newest
    return filed, Past(before.seq + int(kept.sum()), newest, alone[-1]), int(((own < in_order) & kept).sum())


def _told(span: Span, wall: datetime) -> pl.Expr:
    """When an event says that it arrived; null where it doesn't, or says a time that can't be."""
    event, envelope = pl.col("event_time").cast(UTC_US), pl.col("enqueued_time").cast(UTC_US)
    late = (envelope >= pl.lit(span.before, UTC_US)) & (event < pl.lit(span.before, UTC_US))
    told = pl.when(late).then(event).otherwise(pl.coalesce(envelope, event))
    return pl.when(told <= pl.lit(wall, UTC_US)).then(told)
