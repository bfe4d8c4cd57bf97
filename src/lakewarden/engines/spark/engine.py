"""The Spark engine: Spark reads and writes the lake's tables, and runs the stages in its workers (docs/adr/0019, 0020)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final, TypeVar

import polars as pl

from lakewarden.engines.arrival import Arrived, arrive, bronze_rows
from lakewarden.engines.before import parts_before
from lakewarden.engines.embedded import runs
from lakewarden.engines.lake_engine import LakeEngine
from lakewarden.engines.lineage import PARTS
from lakewarden.engines.port import Events, Frames, MicroBatch, Taking
from lakewarden.engines.spark import delta, flow, parts, places
from lakewarden.engines.spark.columns import from_arrow, spark_schema, to_arrow
from lakewarden.engines.spark.outcome import SparkOutcome
from lakewarden.engines.spark.received import topic_bronze
from lakewarden.engines.spark.sending import Sent, send
from lakewarden.engines.spark.state import Before, SparkState
from lakewarden.engines.spark.topic import TopicChunk
from lakewarden.errors import LakeError
from lakewarden.tables import BRONZE, PIPELINE_RUNS, SILVER

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakewarden.engines.lineage import Stamp
    from lakewarden.flow.labels import LabelIndex
    from lakewarden.flow.release import Release
    from lakewarden.lake.lakehouse import Lakehouse, Snapshot
    from lakewarden.lake.table import LakeTable
    from lakewarden.sources.port import Chunk
    from lakewarden.tables import TableSpec

T = TypeVar("T")

SMALL_ROWS: Final = 25_000
"""Rows of a table that this process fetches and writes itself: a commit of Spark's takes longer than that, however few they are."""

READ_ROWS: Final = 2_000_000
"""Places of a stretch whose rows of bronze, without their bodies, are held by the driver at a time, at most."""

SHARD_ROWS: Final = 75_000
"""Of these, places for each shard: what the stages make of them, about 4 kB each, is held by Java until it is compared or written."""

NARROW: Final = pl.Schema({name: dtype for name, dtype in BRONZE.columns.items() if name != "body"})
"""What the driver holds of events."""


class SparkEngine(LakeEngine):
    """Implements `engines.port.Engine` over one lake with a Spark session.

    Events carry a Spark frame of their rows of bronze; states are `SparkState`, outcomes `SparkOutcome`. The driver holds what doesn't grow
    with the events, and their rows of bronze without the bodies while they are at work.

    Args:
        lake: the lake.
        monotonic: seconds for durations.
        session: classic or Spark Connect; its time zone is UTC.
        shards: pieces that ids and accounts are worked on in; None: one a task of a shuffle.
    """

    def __init__(self, lake: Lakehouse, monotonic: Callable[[], float], session: SparkSession, shards: int | None = None) -> None:
        super().__init__(lake, monotonic)
        self.session = session
        self._shards = flow.Shards.spread(session, shards)
        self._sent: tuple[parts.Shared, Sent[parts.Shared]] | None = None

    def positions(self) -> dict[str, dict[str, int]]:
        """See `Engine.positions`."""
        from pyspark.sql import functions as f

        newest = delta.read(self.session, self.lake.tables[BRONZE.name]).groupBy("source", "source_partition")
        found: dict[str, dict[str, int]] = {}
        for source, partition, offset in newest.agg(f.max("source_offset")).collect():
            found.setdefault(source, {})[partition] = int(offset)
        return found

    # --- reading ------------------------------------------------------------------------------------------------

    def recall(self, number: int) -> Events:
        """See `Engine.recall`."""
        bronze = delta.read(self.session, self.lake.tables[BRONZE.name])
        return self._events(bronze.filter(bronze["batch"] == number))

    def events_between(self, first_seq: int, last_seq: int) -> Iterator[Events]:
        """See `Engine.events_between`."""
        snapshot = self.lake.snapshot((BRONZE.name,))
        bronze, most = self._at(snapshot, BRONZE), min(READ_ROWS, SHARD_ROWS * len(self._shards))
        for start in range(first_seq, last_seq + 1, most):
            end = min(start + most - 1, last_seq)
            for run in runs(self._narrow(bronze.filter(bronze["seq"].between(start, end)))):
                within = bronze["seq"].between(int(run["seq"][0]), int(run["seq"][-1]))
                yield Events(run, bronze.filter(within))

    def state_before(
        self,
        seq: int,
        release: Release,
        min_clock: int | None = None,
        instead: tuple[int, Sequence[SparkOutcome]] | None = None,
        silver: LakeTable | None = None,
    ) -> SparkState:
        """See `Engine.state_before`."""
        if silver is not None:
            sources = [Before(delta.read(self.session, silver), pl.col("seq") < seq, seq, empty=not silver.files())]
        else:
            sources = self._sources(seq, instead)
        nothing = all(source.empty for source in sources)
        frame = None if nothing else flow.fold(self.session, sources, release, self._shards, min_clock)
        return SparkState(frame, release.settings.dedup_horizon_hours)

    def _sources(self, seq: int, instead: tuple[int, Sequence[SparkOutcome]] | None) -> list[Before]:
        # Who holds the lease knows what it wrote; anybody else must not look into the middle of an order.
        table = self.lake.tables[SILVER.name]
        stored = delta.read(self.session, table) if self.lake.leased else self._at(self.lake.snapshot((SILVER.name,)), SILVER)
        found: list[Before] = []
        for part in parts_before(self.lake.store, seq, None if instead is None else instead[0]):
            if part.derived:
                found += [Before(outcome.silver(), part.keep, packed=True) for outcome in instead[1]] if instead is not None else []
            elif part.files is None:
                found.append(Before(stored, part.keep, seq, empty=table.refresh() >= 0 and not table.files()))
            else:
                by_day: dict[str, list[str]] = {}
                for file in part.files:
                    by_day.setdefault(str(file.partition["event_date"]), []).append(delta.address(f"{table.uri}/{file.path}"))
                found += [Before(places.dated(self.session.read.parquet(*paths), day), part.keep) for day, paths in by_day.items()]
        return found

    def derive(
        self, events: Events, release: Release, state: SparkState, labels_version: int, timer: Callable[[], float] | None = None
    ) -> SparkOutcome:
        """See `Engine.derive`."""
        bronze = self._frame(events.bronze) if events.content is None else events.content
        passed = flow.run(bronze, state.frame, self._shared(release, self.labels(labels_version)), self._shards)
        counts, seconds = flow.worked(passed, timer or self._monotonic)
        state.move_on(passed, release.settings.dedup_horizon_hours)
        return SparkOutcome(passed, counts, seconds)

    def _shared(self, release: Release, labels: LabelIndex) -> Sent[parts.Shared]:
        """What every worker needs, sent once for as long as it is the same: workers take a while to unpack it."""
        if self._sent is None or self._sent[0].release is not release or self._sent[0].labels is not labels:
            shared = parts.Shared(release, labels)
            self._sent = shared, send(self.session, shared)
        return self._sent[1]

    def by_places(
        self,
        specs: Sequence[TableSpec],
        snapshot: Snapshot,
        function: Callable[[Frames, Frames], T],
        *,
        day: date | None = None,
        seqs: tuple[int, int] | None = None,
        outcome: SparkOutcome | None = None,
        columns: Sequence[str] | None = None,
    ) -> list[T]:
        """See `Engine.by_places`."""
        stored = {spec.name: places.narrowed(self._at(snapshot, spec), day, seqs) for spec in specs}
        names = {PARTS[spec.name]: spec.name for spec in specs if spec.name in PARTS}
        derived = None if outcome is None else outcome.parcels(*names)
        within = pl.lit(value=True) if day is None else pl.col("event_date") == day
        if seqs is not None:
            within &= pl.col("seq").is_between(*seqs)
        return places.over(stored, derived, names, within, function, self._shards, columns)

    def _at(self, snapshot: Snapshot, spec: TableSpec) -> DataFrame:
        rows = delta.read(self.session, self.lake.tables[spec.name], snapshot.point.versions[spec.name])
        return rows.filter(rows["batch"] <= snapshot.point.batch) if spec is BRONZE else rows  # it runs ahead while a stream works

    def _narrow(self, bronze: DataFrame) -> pl.DataFrame:
        return from_arrow(bronze.select(*NARROW.names()).toArrow(), NARROW).sort("seq")

    def _events(self, bronze: DataFrame) -> Events:
        return Events(self._narrow(bronze), bronze)

    def _frame(self, bronze: pl.DataFrame) -> DataFrame:
        return self.session.createDataFrame(to_arrow(bronze.select(parts.ENTERING.names()), parts.ENTERING), spark_schema(parts.ENTERING))

    # --- writing ------------------------------------------------------------------------------------------------

    def receive(self, chunk: Chunk | TopicChunk, arrived: Arrived, taking: Taking) -> tuple[MicroBatch, Arrived]:
        """See `Engine.receive`.

        What Spark reads it writes to bronze as well; what this process reads it writes itself, and Spark reads it there.
        """
        table = self.lake.tables[BRONZE.name]
        then: Arrived | None = None
        if isinstance(chunk, TopicChunk):
            delta.append(topic_bronze(chunk, arrived, taking), table, taking.number)
        else:
            rows, then = arrive(chunk, taking.release, arrived)
            table.append(bronze_rows(chunk, rows, taking), batch=taking.number)
        events = self.recall(taking.number)
        if events.bronze.is_empty() or set(events.bronze["run_id"]) != {taking.run_id}:  # Spark skips what is there already, without a word
            raise LakeError(
                f"Micro-batch {taking.number} was not committed to {BRONZE.name}: another writer committed it.",
                state="nothing was written twice; the next start goes on behind it",
                next="lakewarden status",
            )
        if isinstance(chunk, TopicChunk):
            chunk.taken(dict(events.bronze.group_by("source_partition").agg(pl.col("source_offset").max()).iter_rows()))
        then = then or Arrived(events.last_seq + 1, events.bronze["arrival_time"][-1])
        return MicroBatch(taking.number, taking.run_id, taking.release, events, chunk.source, taking.started), then

    def write(
        self,
        outcome: SparkOutcome,
        stamp: Stamp,
        number: int,
        tables: Mapping[str, LakeTable] | None = None,
        record: Callable[[Mapping[str, int]], pl.DataFrame] | None = None,
        step: Callable[[str], None] = lambda _: None,
    ) -> dict[str, int]:
        """See `Engine.write`."""
        into = self.lake.tables if tables is None else tables
        written = [name for name, part in PARTS.items() if outcome.counts[part] or tables is not None]
        # what each rule found is a handful of rows, of which every task has only a share
        small = [name for name in written if PARTS[name] == parts.CHECKED or outcome.counts[PARTS[name]] <= SMALL_ROWS]
        frames = outcome.small_rows(small, stamp)

        def append(name: str) -> tuple[str, int]:
            step(f"write {name}")
            if name in frames:
                return name, into[name].append(frames[name], batch=number)
            return name, delta.append(outcome.rows(name, stamp), into[name], number)

        versions = dict(append(name) for name in written if name not in frames)  # one by one: each has all cores
        versions |= dict(self._writers.map(append, frames))
        if record is not None:
            versions[BRONZE.name] = into[BRONZE.name].refresh()
            step(f"write {PIPELINE_RUNS.name}")
            versions[PIPELINE_RUNS.name] = into[PIPELINE_RUNS.name].append(record(versions), batch=number)
        return versions
