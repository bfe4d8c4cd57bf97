"""Arrival: from a chunk of a source to decoded rows with `seq`, `arrival_time` and `event_date`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from lakewarden.flow.decode import decode, file_under
from lakewarden.tables import UTC_US

if TYPE_CHECKING:
    from lakewarden.flow.release import Release
    from lakewarden.sources.port import Chunk

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def instant(microseconds: int) -> datetime:
    """Microseconds since 1970 UTC as a time."""
    return EPOCH + timedelta(microseconds=microseconds)


def arrive(chunk: Chunk, release: Release, seq: int, arrived: datetime | None) -> pl.DataFrame:
    """Decode a chunk and give each event its place in the order of arrival.

    Args:
        chunk: events as read.
        release: its contract and settings.
        seq: the first event's place.
        arrived: the newest arrival so far: arrival never runs backwards in `seq` order, whatever clocks a producer has.
    """
    decoded = decode(chunk.bodies, release.contract, release.settings)
    if chunk.arrival is not None:
        arrival = chunk.arrival.cast(UTC_US)
    else:
        wall = pl.lit(instant(chunk.received_time), UTC_US)
        claimed = pl.col("enqueued_time")
        arrival = decoded.select(pl.when(claimed <= wall).then(claimed).otherwise(wall).alias("arrival_time")).to_series()
    before = pl.Series([arrived or EPOCH], dtype=UTC_US)
    in_order = before.append(arrival).fill_null(strategy="forward").cum_max()[1:]
    rows = pl.DataFrame(
        {
            "seq": pl.int_range(seq, seq + decoded.height, dtype=pl.Int64, eager=True),
            "arrival_time": in_order,
            "body": chunk.bodies,
        }
    )
    return file_under(pl.concat([rows, decoded], how="horizontal"), release.settings)
