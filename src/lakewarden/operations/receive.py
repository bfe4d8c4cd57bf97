"""Receiving: cut micro-batches from a source, give every event its place in the order of arrival, commit bronze."""

from __future__ import annotations

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
        source.resume(engine.positions().get(source.name, {}))

    def next_batch(self) -> MicroBatch | None:
        """The next micro-batch, already in bronze; None when the source has nothing now."""
        chunk = self._source.read(self._job.settings.batch_rows, self._job.settings.batch_seconds)
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
