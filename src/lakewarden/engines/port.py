"""What an operation asks of an engine: I/O, state and order. Under fifteen verbs; the stages are the same on every engine.

What events, states and outcomes are made of is the engine's own: operations hand them from verb to verb and don't look inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    import polars as pl

    from lakewarden.engines.arrival import Arrived
    from lakewarden.engines.lineage import Stamp
    from lakewarden.flow.release import Release
    from lakewarden.lake.lakehouse import Snapshot
    from lakewarden.lake.table import LakeTable
    from lakewarden.sources.port import Chunk
    from lakewarden.tables import TableSpec

T = TypeVar("T")
Frames = Mapping[str, "pl.DataFrame"]
"""Rows of tables, by the table's name."""


TakenBack: TypeAlias = Any
"""A state or an outcome that the same engine gave; another engine's is none of its business."""


@dataclass(frozen=True)
class Events:
    """Some events of one release and labels version.

    Attributes:
        bronze: their rows of bronze in `seq` order, at least all columns but `body`.
        content: what the engine derives: its own.
    """

    bronze: pl.DataFrame
    content: Any = None

    @property
    def first_seq(self) -> int:
        """The first event's place in the order of arrival."""
        return int(self.bronze["seq"][0])

    @property
    def last_seq(self) -> int:
        """The last event's place in the order of arrival."""
        return int(self.bronze["seq"][-1])

    @property
    def labels_version(self) -> int:
        """The labels that were known when they arrived."""
        return int(self.bronze["labels_version"][0])


@dataclass(frozen=True)
class MicroBatch:
    """One micro-batch on its way: number, lineage, and its events, which are in bronze."""

    number: int
    run_id: str
    release: Release
    events: Events
    source: str
    started: float

    @property
    def bronze(self) -> pl.DataFrame:
        """The events' rows of bronze."""
        return self.events.bronze

    @property
    def labels_version(self) -> int:
        """The labels that were known when the events arrived."""
        return self.events.labels_version

    @property
    def first_seq(self) -> int:
        """The first event's place in the order of arrival."""
        return self.events.first_seq

    @property
    def last_seq(self) -> int:
        """The last event's place in the order of arrival."""
        return self.events.last_seq


@dataclass(frozen=True)
class Taking:
    """What a micro-batch that is taken in is to be: its number, run, release, labels version, and when taking it was begun."""

    number: int
    run_id: str
    release: Release
    labels_version: int
    started: float


class State(Protocol):
    """What the stateful stages remember; deriving moves it on."""

    def fits(self, release: Release) -> bool:
        """Whether ids are remembered as far back as a release asks."""
        ...


class Outcome(Protocol):
    """What the flow made of some events."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Rows of each part of `flow.stages.Derived`."""
        ...

    @property
    def seconds(self) -> Mapping[str, float]:
        """Seconds by stage, as far as the engine can tell them apart."""
        ...

    def close(self) -> None:
        """Let go of the rows."""
        ...


@dataclass(frozen=True)
class Committed:
    """What a micro-batch left: counts, latency percentiles in milliseconds, stage seconds, table versions."""

    number: int
    counts: Mapping[str, int]
    latency_ms: Mapping[str, float]
    seconds: float
    stage_seconds: Mapping[str, float]
    versions: Mapping[str, int]


class Reader(Protocol):
    """The verbs that write nothing: deriving again and comparing need no other."""

    def labels_version(self) -> int:
        """The newest labels version."""
        ...

    def snapshot(self) -> Snapshot:
        """All tables at the published point."""
        ...

    def turns(self, first_seq: int, last_seq: int) -> list[int]:
        """Places in a stretch, behind its first, at which the history that rows see becomes another one (`lake.history`)."""
        ...

    def events_between(self, first_seq: int, last_seq: int) -> Iterator[Events]:
        """The published events of a stretch of arrivals, in order, a run of equal release and labels version at a time."""
        ...

    def state_before(
        self,
        seq: int,
        release: Release,
        min_clock: int | None = None,
        instead: tuple[int, Sequence[Any]] | None = None,
        silver: LakeTable | None = None,
    ) -> State:
        """The stages' state as it was when `seq` arrived, from silver; history that was brought in later is left out.

        Args:
            min_clock: earliest event time (microseconds) that will be asked for; None: any.
            instead: a `seq`, and outcomes whose silver counts from there on instead of the stored rows.
            silver: the rows of this table alone, all that are before `seq`; None: the lake's own silver.
        """
        ...

    def derive(
        self, events: Events, release: Release, state: TakenBack, labels_version: int, timer: Callable[[], float] | None = None
    ) -> Outcome:
        """Run events through every stage, behind the state, which moves on.

        Args:
            timer: a monotonic clock for each stage's seconds; None: not timed.
        """
        ...

    def by_places(
        self,
        specs: Sequence[TableSpec],
        snapshot: Snapshot,
        function: Callable[[Frames, Frames], T],
        *,
        day: date | None = None,
        seqs: tuple[int, int] | None = None,
        outcome: TakenBack = None,
        columns: Sequence[str] | None = None,
    ) -> list[T]:
        """Run a function over all rows of some places of arrival, then of others, until every place had its turn; gives its answers.

        Args:
            specs: tables of which each call gets the published rows (its first argument), and those of the outcome (its second).
            function: may run elsewhere, so it and its answers can be pickled.
            day: only rows of a date.
            seqs: only rows from the first to the last of these places.
            outcome: what was derived; None: nothing, and the second argument is empty.
            columns: only these of the published rows, `seq` among them; None: all.
        """
        ...


class Engine(Reader, Protocol):
    """Reads and writes a lake, and keeps the state of the stateful stages."""

    def heads(self) -> tuple[int, int]:
        """Newest micro-batch in bronze, newest one finished in every table (-1 before the first)."""
        ...

    def arrived(self) -> Arrived:
        """How far arrival has come: the next event's `seq`, the newest arrival time."""
        ...

    def positions(self) -> dict[str, dict[str, int]]:
        """Newest offset in bronze by source and source partition."""
        ...

    def receive(self, chunk: Chunk, arrived: Arrived, taking: Taking) -> tuple[MicroBatch, Arrived]:
        """Give a source's events their places in the order of arrival, and commit them to bronze, once; gives how far arrival has come."""
        ...

    def recall(self, number: int) -> Events:
        """The events of a micro-batch that is in bronze."""
        ...

    def write(
        self,
        outcome: TakenBack,
        stamp: Stamp,
        number: int,
        tables: Mapping[str, LakeTable] | None = None,
        record: Callable[[Mapping[str, int]], pl.DataFrame] | None = None,
        step: Callable[[str], None] = lambda _: None,
    ) -> dict[str, int]:
        """Commit all that events became, once a table under a number; gives the tables' versions.

        Args:
            stamp: completes the rows.
            tables: where they go; None: the lake's own tables.
            record: makes the run record from the versions; it is committed behind all others.
            step: told of each table before it is written; for tests that stop there.
        """
        ...

    def tidy(self, now: datetime) -> bool:
        """Keep tail and log short, beside the writing of micro-batches; says whether table versions moved."""
        ...
