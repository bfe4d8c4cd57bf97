"""What an operation asks of an engine: I/O, state and order. Under fifteen verbs; the stages are the same on every engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import polars as pl

    from lakewarden.flow.labels import LabelIndex
    from lakewarden.flow.release import Release
    from lakewarden.flow.stages import Derived, FlowState
    from lakewarden.lake.lakehouse import Snapshot


@dataclass(frozen=True)
class MicroBatch:
    """One micro-batch on its way: number, lineage, decoded rows (with `body`) and the bronze rows that belong to them."""

    number: int
    run_id: str
    release: Release
    labels_version: int
    rows: pl.DataFrame
    bronze: pl.DataFrame
    source: str
    started: float

    @property
    def first_seq(self) -> int:
        """The first event's place in the order of arrival."""
        return int(self.bronze["seq"][0])

    @property
    def last_seq(self) -> int:
        """The last event's place in the order of arrival."""
        return int(self.bronze["seq"][-1])


@dataclass(frozen=True)
class Committed:
    """What a micro-batch left: counts, latency percentiles in milliseconds, stage seconds, table versions."""

    number: int
    counts: Mapping[str, int]
    latency_ms: Mapping[str, float]
    seconds: float
    stage_seconds: Mapping[str, float]
    versions: Mapping[str, int]


class Engine(Protocol):
    """Reads and writes a lake, and keeps the state of the stateful stages."""

    def heads(self) -> tuple[int, int]:
        """Newest micro-batch in bronze, newest one finished in every table (-1 before the first)."""
        ...

    def next_arrival(self) -> tuple[int, datetime | None, bool]:
        """The next event's `seq`, the newest arrival time so far, and whether an envelope claimed it (it isn't the time of receipt)."""
        ...

    def positions(self) -> dict[str, dict[str, int]]:
        """Newest offset in bronze by source and source partition."""
        ...

    def bronze_batch(self, number: int) -> pl.DataFrame:
        """One micro-batch's bronze rows in order."""
        ...

    def write_bronze(self, batch: MicroBatch) -> None:
        """Commit a micro-batch's events, once."""
        ...

    def write_derived(self, batch: MicroBatch, derived: Derived, now: datetime) -> Committed:
        """Commit all that a micro-batch's events became, once a table, and its run record last."""
        ...

    def publish(self, number: int, now: datetime) -> None:
        """Move the published point behind a micro-batch."""
        ...

    def tidy(self, now: datetime) -> bool:
        """Keep tail and log short, beside the writing of micro-batches; says whether table versions moved."""
        ...

    def state_before(
        self, seq: int, release: Release, min_clock: int | None = None, instead: tuple[int, pl.DataFrame] | None = None
    ) -> FlowState:
        """The stages' state as it was when `seq` arrived, from silver; history that was brought in later is left out.

        Args:
            min_clock: earliest event time (microseconds) that will be asked for; None: any.
            instead: a `seq`, and the rows of silver that count from there on instead of the stored ones.
        """
        ...

    def turns(self, first_seq: int, last_seq: int) -> list[int]:
        """Places in a stretch, behind its first, at which the history that rows see becomes another one (`lake.history`)."""
        ...

    def labels(self, version: int) -> LabelIndex:
        """The labels known at a labels version."""
        ...

    def labels_version(self) -> int:
        """The newest labels version."""
        ...

    def snapshot(self) -> Snapshot:
        """All tables at the published point."""
        ...

    def bronze_between(self, first_seq: int, last_seq: int) -> Iterator[pl.DataFrame]:
        """Bronze rows of a stretch of arrivals, in order, a run of equal release and labels version at a time."""
        ...
