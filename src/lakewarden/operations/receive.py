"""Receiving: cut micro-batches from a source, give every event its place in the order of arrival, commit bronze."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from lakewarden.engines.port import MicroBatch
from lakewarden.operations.arrival import Arrived, arrive, instant
from lakewarden.tables import BRONZE, UTC_US

if TYPE_CHECKING:
    from lakewarden.flow.release import Release
    from lakewarden.operations.job import StreamJob
    from lakewarden.sources.port import Chunk


class Receiver:
    """Turns chunks of a source into micro-batches whose bronze rows are committed.

    A change of the release in force is picked up here, at a micro-batch boundary, and recorded in the micro-batch's rows.
    """

    def __init__(self, job: StreamJob) -> None:
        self._job = job
        self._engine = engine = job.engine
        self._source = source = job.source
        self._clocks = job.clocks
        self._release: Release | None = None
        self._number = engine.heads()[0] + 1
        self._arrived = Arrived(*engine.next_arrival())
        source.resume(merged(job.bookmarks.read(), engine.positions()))
        self._take_notices()

    def next_batch(self) -> MicroBatch | None:
        """The next micro-batch, already in bronze; None when the source has nothing now."""
        chunk = self._source.read(self._job.settings.batch_rows, self._job.settings.batch_seconds)
        self._take_notices()  # before the events behind a gap are in bronze: then it couldn't be found again
        if chunk is None or chunk.bodies.len() == 0:
            return None
        started = self._clocks.monotonic()
        release = self._release_in_force()
        rows, arrived = arrive(chunk, release, self._arrived)
        labels = self._engine.labels_version()
        batch = MicroBatch(
            self._number, self._job.run_id, release, labels, rows, self._bronze(chunk, rows, release, labels), chunk.source, started
        )
        self._engine.write_bronze(batch)
        self._number += 1
        self._arrived = arrived
        return batch

    def _take_notices(self) -> None:
        notices = self._source.take_notices()
        for name, begun in notices.begun.items():
            self._job.bookmarks.add(name, begun)
        for gap in notices.gaps:
            self._job.on_gap(gap)
        for remark in notices.remarks:
            self._job.on_remark(remark)

    def _release_in_force(self) -> Release:
        wanted = self._job.releases.current()
        if self._release is None or self._release.id != wanted:
            self._release = self._job.releases.load(wanted)
        return self._release

    def _bronze(self, chunk: Chunk, rows: pl.DataFrame, release: Release, labels_version: int) -> pl.DataFrame:
        received = instant(chunk.received_time)
        return (
            rows.select("seq", "event_date", "arrival_time", "body")
            .with_columns(
                pl.lit(None, UTC_US).alias("enqueued_time") if chunk.arrival is None else chunk.arrival.cast(UTC_US).alias("enqueued_time"),
                pl.lit(received, UTC_US).alias("received_time"),
                pl.lit(chunk.source).alias("source"),
                chunk.partitions.cast(pl.String).alias("source_partition"),
                chunk.offsets.cast(pl.Int64).alias("source_offset"),
                pl.lit(labels_version, pl.Int64).alias("labels_version"),
                pl.lit(self._number, pl.Int64).alias("batch"),
                pl.lit(self._job.run_id).alias("run_id"),
                pl.lit(release.id).alias("release_id"),
            )
            .select(list(BRONZE.columns))
        )


def merged(begun: Mapping[str, Mapping[str, int]], recorded: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Where each source's partitions were left: what bronze recorded, or else where reading of them was begun."""
    return {name: {**begun.get(name, {}), **recorded.get(name, {})} for name in {*begun, *recorded}}
