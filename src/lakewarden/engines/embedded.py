"""The embedded engine: Polars and delta-rs in one process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from lakewarden.engines.lineage import derived_tables, run_record
from lakewarden.engines.port import Committed, MicroBatch
from lakewarden.engines.state import CHUNK_ROWS, REMEMBERED, state_of
from lakewarden.flow.labels import LabelIndex
from lakewarden.lake import history, past
from lakewarden.lake.maintenance import Maintenance
from lakewarden.tables import BRONZE, LABELS, PIPELINE_RUNS, SILVER

if TYPE_CHECKING:
    from lakewarden.flow.release import Release
    from lakewarden.flow.stages import Derived, FlowState
    from lakewarden.lake.lakehouse import Lakehouse, Snapshot


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

    def bronze_between(self, first_seq: int, last_seq: int) -> Iterator[pl.DataFrame]:
        """See `Engine.bronze_between`."""
        scan = self.lake.table(BRONZE.name)
        for start in range(first_seq, last_seq + 1, CHUNK_ROWS):
            end = min(start + CHUNK_ROWS - 1, last_seq)
            chunk = scan.filter(pl.col("seq").is_between(start, end)).sort("seq").collect()
            pinned = pl.struct("release_id", "labels_version").rle_id()
            yield from chunk.with_columns(pinned.alias("_run")).partition_by("_run", include_key=False, maintain_order=True)

    def state_before(
        self, seq: int, release: Release, min_clock: int | None = None, instead: tuple[int, pl.DataFrame] | None = None
    ) -> FlowState:
        """See `Engine.state_before`."""
        # Who holds the lease knows what it wrote; anybody else must not look into the middle of an order.
        silver = self.lake.tables[SILVER.name].scan() if self.lake.leased else self.lake.table(SILVER.name)
        known = past.turns(self.lake.store)
        within = (pl.col("seq") < seq) & history.seen(self._blocks(), seq)
        before = past.as_seen(self.lake.store, silver, known, seq, REMEMBERED).filter(within)
        if instead is not None:
            first, derived = instead[0], instead[1].select(*REMEMBERED, "event_date").lazy().filter(within)
            swapped = past.exchanged(known, first, seq)
            if swapped is None:
                before = pl.concat([before.filter(pl.col("seq") < first), derived])
            else:  # what swaps brought in behind the first row was seen from then on, and not what is derived here in its place
                before = pl.concat([before.filter((pl.col("seq") < first) | swapped), derived.filter(~swapped)])
        return state_of(before.select(REMEMBERED), release, min_clock)

    def turns(self, first_seq: int, last_seq: int) -> list[int]:
        """See `Engine.turns`."""
        swapped = {turn.seen_from for turn in past.turns(self.lake.store) if first_seq < turn.seen_from <= last_seq}
        return sorted(swapped | set(history.turns(self._blocks(), first_seq, last_seq)))

    def _blocks(self) -> list[history.Block]:
        return history.blocks(self.lake.store)

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
