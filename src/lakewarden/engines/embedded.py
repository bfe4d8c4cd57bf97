"""The embedded engine: Polars and delta-rs in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from lakewarden.engines.arrival import Arrived, arrive, bronze_rows
from lakewarden.engines.before import parts_before
from lakewarden.engines.lake_engine import LakeEngine
from lakewarden.engines.lineage import PARTS, complete
from lakewarden.engines.port import Events, Frames, MicroBatch, Taking
from lakewarden.engines.state import CHUNK_ROWS, REMEMBERED, state_of
from lakewarden.flow.stages import Context, Derived, FlowState, decode_events, run_flow
from lakewarden.lake.past import pinned_rows
from lakewarden.tables import BRONZE, PIPELINE_RUNS, SILVER

if TYPE_CHECKING:
    from lakewarden.engines.lineage import Stamp
    from lakewarden.flow.release import Release
    from lakewarden.lake.lakehouse import Snapshot
    from lakewarden.lake.table import LakeTable
    from lakewarden.sources.port import Chunk
    from lakewarden.tables import TableSpec

T = TypeVar("T")


class EmbeddedEngine(LakeEngine):
    """Implements `engines.port.Engine` over one lake in this process.

    Events carry their decoded rows where they were just received; states are `flow.stages.FlowState`, outcomes `flow.stages.Derived`.
    """

    def positions(self) -> dict[str, dict[str, int]]:
        """See `Engine.positions`."""
        newest = self.lake.tables[BRONZE.name].scan().group_by("source", "source_partition").agg(pl.col("source_offset").max()).collect()
        found: dict[str, dict[str, int]] = {}
        for source, partition, offset in newest.iter_rows():
            found.setdefault(source, {})[partition] = offset
        return found

    # --- reading ------------------------------------------------------------------------------------------------

    def recall(self, number: int) -> Events:
        """See `Engine.recall`."""
        return Events(self.lake.tables[BRONZE.name].scan().filter(pl.col("batch") == number).sort("seq").collect())

    def events_between(self, first_seq: int, last_seq: int) -> Iterator[Events]:
        """See `Engine.events_between`."""
        scan = self.lake.table(BRONZE.name)
        for start in range(first_seq, last_seq + 1, CHUNK_ROWS):
            end = min(start + CHUNK_ROWS - 1, last_seq)
            yield from map(Events, runs(scan.filter(pl.col("seq").is_between(start, end)).sort("seq").collect()))

    def state_before(
        self,
        seq: int,
        release: Release,
        min_clock: int | None = None,
        instead: tuple[int, Sequence[Derived]] | None = None,
        silver: LakeTable | None = None,
    ) -> FlowState:
        """See `Engine.state_before`."""
        if silver is not None:
            return state_of(silver.scan().filter(pl.col("seq") < seq), release, min_clock)
        # Who holds the lease knows what it wrote; anybody else must not look into the middle of an order.
        stored = self.lake.tables[SILVER.name].scan() if self.lake.leased else self.lake.table(SILVER.name)
        columns = [*REMEMBERED, "event_date"]
        found: list[pl.LazyFrame] = []
        for part in parts_before(self.lake.store, seq, None if instead is None else instead[0]):
            if part.derived:
                rows = [derived.silver.select(columns).lazy() for derived in instead[1]] if instead is not None else []
            elif part.files is None:
                rows = [stored.select(columns)]
            else:
                rows = pinned_rows(self.lake.store, part.files, REMEMBERED)
            found += [some.filter(part.keep) for some in rows]
        return state_of(pl.concat(found).select(REMEMBERED), release, min_clock)

    def derive(
        self, events: Events, release: Release, state: FlowState, labels_version: int, timer: Callable[[], float] | None = None
    ) -> Derived:
        """See `Engine.derive`."""
        rows = decode_events(events.bronze, release) if events.content is None else events.content
        return run_flow(rows, Context(release, state, self.labels(labels_version)), timer)

    def by_places(
        self,
        specs: Sequence[TableSpec],
        snapshot: Snapshot,
        function: Callable[[Frames, Frames], T],
        *,
        day: date | None = None,
        seqs: tuple[int, int] | None = None,
        outcome: Derived | None = None,
        columns: Sequence[str] | None = None,
    ) -> list[T]:
        """See `Engine.by_places`."""
        within = pl.lit(value=True) if day is None else pl.col("event_date") == day
        if seqs is not None:
            within &= pl.col("seq").is_between(*seqs)
        stored = {spec.name: snapshot.scan(spec.name).filter(within).select(columns or pl.all()).collect() for spec in specs}
        derived = {} if outcome is None else {spec.name: getattr(outcome, PARTS[spec.name]).filter(within) for spec in specs}
        return [function(stored, derived)]

    # --- writing ------------------------------------------------------------------------------------------------

    def receive(self, chunk: Chunk, arrived: Arrived, taking: Taking) -> tuple[MicroBatch, Arrived]:
        """See `Engine.receive`."""
        rows, then = arrive(chunk, taking.release, arrived)
        bronze = bronze_rows(chunk, rows, taking)
        self.lake.tables[BRONZE.name].append(bronze, batch=taking.number)
        return MicroBatch(taking.number, taking.run_id, taking.release, Events(bronze, rows), chunk.source, taking.started), then

    def write(
        self,
        outcome: Derived,
        stamp: Stamp,
        number: int,
        tables: Mapping[str, LakeTable] | None = None,
        record: Callable[[Mapping[str, int]], pl.DataFrame] | None = None,
        step: Callable[[str], None] = lambda _: None,
    ) -> dict[str, int]:
        """See `Engine.write`."""
        into = self.lake.tables if tables is None else tables  # a sandbox counts its chunks by what every table has, also of nothing
        frames = {name: complete(name, getattr(outcome, part), stamp) for name, part in PARTS.items()}
        written = [(name, rows) for name, rows in frames.items() if rows.height or tables is not None]

        def append(item: tuple[str, pl.DataFrame]) -> tuple[str, int]:
            step(f"write {item[0]}")
            return item[0], into[item[0]].append(item[1], batch=number)

        versions: dict[str, int] = dict(self._writers.map(append, written))
        if record is not None:
            versions[BRONZE.name] = into[BRONZE.name].version
            step(f"write {PIPELINE_RUNS.name}")
            versions[PIPELINE_RUNS.name] = into[PIPELINE_RUNS.name].append(record(versions), batch=number)
        return versions


def runs(bronze: pl.DataFrame) -> list[pl.DataFrame]:
    """Rows of bronze in their order, apart where the release or the labels version becomes another."""
    pinned = pl.struct("release_id", "labels_version").rle_id()
    return bronze.with_columns(pinned.alias("_run")).partition_by("_run", include_key=False, maintain_order=True)
