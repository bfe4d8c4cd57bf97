"""The embedded engine: Polars and delta-rs in one process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from typing import TYPE_CHECKING, Final

import polars as pl

from lakewarden.engines.lineage import derived_tables, run_record
from lakewarden.engines.port import Committed, MicroBatch
from lakewarden.flow.behaviour import HORIZON_US, BehaviourState, rebuild_sharded
from lakewarden.flow.deduplicate import DedupState
from lakewarden.flow.labels import LabelIndex
from lakewarden.flow.stages import FlowState
from lakewarden.lake.maintenance import Maintenance
from lakewarden.tables import BRONZE, LABELS, PIPELINE_RUNS, SILVER

if TYPE_CHECKING:
    from lakewarden.flow.release import Release
    from lakewarden.flow.stages import Derived
    from lakewarden.lake.lakehouse import Lakehouse, Snapshot

CHUNK_ROWS: Final = 500_000
"""Rows of a replayed or rebuilt stretch held in memory at a time."""


class EmbeddedEngine:
    """Implements `engines.port.Engine` over one lake in this process.

    Args:
        lake: the lake.
        monotonic: seconds for durations; injected so that tests are deterministic.
    """

    def __init__(self, lake: Lakehouse, monotonic: Callable[[], float]) -> None:
        self.lake = lake
        self._monotonic = monotonic
        self._writers = ThreadPoolExecutor(max(2, os.cpu_count() or 2), thread_name_prefix="writer")
        self._maintenance = Maintenance(lake.store, lake.tables, lake.settings)
        self._labels: tuple[int, LabelIndex] | None = None

    def close(self) -> None:
        """Wait for writer threads; an interpreter that exits while they work can abort."""
        self._writers.shutdown(wait=True)
        self._maintenance.close()

    # --- where we are -------------------------------------------------------------------------------------------

    def heads(self) -> tuple[int, int]:
        """See `Engine.heads`."""
        for table in self.lake.tables.values():
            table.refresh()
        return self.lake.tables[BRONZE.name].last_batch(), self.lake.tables[PIPELINE_RUNS.name].last_batch()

    def next_arrival(self) -> tuple[int, datetime | None, bool]:
        """See `Engine.next_arrival`."""
        bronze = self.lake.tables[BRONZE.name]
        number = bronze.last_batch()
        if number < 0:
            return 0, None, False
        last = bronze.scan().filter(pl.col("batch") == number).sort("seq").tail(1).collect().row(0, named=True)
        return int(last["seq"]) + 1, last["arrival_time"], last["arrival_time"] != last["received_time"]

    def positions(self) -> dict[str, dict[str, int]]:
        """See `Engine.positions`."""
        newest = self.lake.tables[BRONZE.name].scan().group_by("source", "source_partition").agg(pl.col("source_offset").max()).collect()
        found: dict[str, dict[str, int]] = {}
        for source, partition, offset in newest.iter_rows():
            found.setdefault(source, {})[partition] = offset
        return found

    # --- reading ------------------------------------------------------------------------------------------------

    def bronze_batch(self, number: int) -> pl.DataFrame:
        """See `Engine.bronze_batch`."""
        return self.lake.tables[BRONZE.name].scan().filter(pl.col("batch") == number).sort("seq").collect()

    def snapshot(self) -> Snapshot:
        """See `Engine.snapshot`."""
        return self.lake.snapshot()

    def stretch(self, day: date) -> tuple[int, int] | None:
        """See `Engine.stretch`."""
        ends = (
            self.lake.table(BRONZE.name)
            .filter(pl.col("event_date") == day)
            .select(pl.col("seq").min().alias("a"), pl.col("seq").max().alias("b"))
            .collect()
        )
        first, last = ends.row(0)
        return None if first is None else (int(first), int(last))

    def bronze_between(self, first_seq: int, last_seq: int) -> Iterator[pl.DataFrame]:
        """See `Engine.bronze_between`."""
        scan = self.lake.table(BRONZE.name)
        for start in range(first_seq, last_seq + 1, CHUNK_ROWS):
            end = min(start + CHUNK_ROWS - 1, last_seq)
            chunk = scan.filter(pl.col("seq").is_between(start, end)).sort("seq").collect()
            pinned = pl.struct("release_id", "labels_version").rle_id()
            yield from chunk.with_columns(pinned.alias("_run")).partition_by("_run", include_key=False, maintain_order=True)

    def state_before(self, seq: int, release: Release, min_clock: int | None = None) -> FlowState:
        """See `Engine.state_before`."""
        state = FlowState.empty()
        silver = self.lake.tables[SILVER.name].scan()
        before = silver.filter(pl.col("seq") < seq)
        if min_clock is not None:
            floor = min_clock - HORIZON_US
            before = before.filter((pl.col("clock") >= floor) | (pl.col("party_clock") >= floor))
        ends = before.select(pl.col("seq").min().alias("a"), pl.col("seq").max().alias("b")).collect()
        if ends["a"][0] is not None:
            for start in range(int(ends["a"][0]), int(ends["b"][0]) + 1, CHUNK_ROWS):
                part = before.filter(pl.col("seq").is_between(start, start + CHUNK_ROWS - 1)).select(BehaviourState.NEEDS)
                rebuild_sharded(part.sort("seq").collect(), release.settings, state.behaviour)
        self._warm_dedup(state.dedup[0], silver.filter(pl.col("seq") < seq), release)
        return state

    def _warm_dedup(self, dedup: DedupState, before: pl.LazyFrame, release: Release) -> None:
        newest = before.select(pl.col("arrival_time").max()).collect().item()
        if newest is None:
            return
        horizon = pl.duration(hours=release.settings.dedup_horizon_hours)
        recent = before.filter(pl.col("arrival_time") >= pl.lit(newest) - horizon).select(DedupState.NEEDS)
        dedup.rebuild(recent.sort("seq").collect(), release)

    def labels(self, version: int) -> LabelIndex:
        """See `Engine.labels`."""
        if self._labels is None or self._labels[0] != version:
            known = self.lake.tables[LABELS.name].scan().filter(pl.col("labels_version") <= version).collect()
            self._labels = (version, LabelIndex.build(known))
        return self._labels[1]

    def labels_version(self) -> int:
        """See `Engine.labels_version`."""
        table = self.lake.tables[LABELS.name]
        table.refresh()
        return table.last_batch()

    # --- writing ------------------------------------------------------------------------------------------------

    def write_bronze(self, batch: MicroBatch) -> None:
        """See `Engine.write_bronze`."""
        self.lake.tables[BRONZE.name].append(batch.bronze, batch=batch.number)

    def write_derived(self, batch: MicroBatch, derived: Derived, now: datetime) -> Committed:
        """See `Engine.write_derived`."""
        frames = derived_tables(batch, derived, now)
        written = [(name, rows) for name, rows in frames.items() if rows.height]
        append = lambda item: (item[0], self.lake.tables[item[0]].append(item[1], batch=batch.number))  # noqa: E731  (a name for the pool's map)
        versions: dict[str, int] = dict(self._writers.map(append, written))
        versions[BRONZE.name] = self.lake.tables[BRONZE.name].version
        committed = run_record(batch, derived, versions, now, self._monotonic() - batch.started)
        versions[PIPELINE_RUNS.name] = self.lake.tables[PIPELINE_RUNS.name].append(committed.record, batch=batch.number)
        return Committed(batch.number, committed.counts, committed.latency_ms, self._monotonic() - batch.started, derived.seconds, versions)

    def publish(self, number: int, now: datetime) -> None:
        """See `Engine.publish`."""
        self.lake.publish(number, now)

    def tidy(self, now: datetime) -> bool:
        """See `Engine.tidy`."""
        return self._maintenance.look(now)
