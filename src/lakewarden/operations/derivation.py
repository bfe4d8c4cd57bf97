"""Derives a stretch of arrivals again from bronze, through the same stages; `verify` and `replay` run it.

The state before the stretch is rebuilt from silver (architecture: "Order, windows, money").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Final, Protocol

import polars as pl

from lakewarden.flow.stages import Context, Derived, FlowState, decode_events, run_flow
from lakewarden.progress import Progress
from lakewarden.tables import BRONZE

if TYPE_CHECKING:
    from lakewarden.flow.labels import LabelIndex
    from lakewarden.flow.release import Release
    from lakewarden.lake.lakehouse import Snapshot
    from lakewarden.progress import OnProgress

DAY_US: Final = 86_400_000_000


class Reader(Protocol):
    """The verbs of an engine that derivation asks for; none of them writes. Each is described at `engines.port.Engine`."""

    def snapshot(self) -> Snapshot:
        """See `Engine.snapshot`."""
        ...

    def state_before(
        self, seq: int, release: Release, min_clock: int | None = None, instead: tuple[int, pl.DataFrame] | None = None
    ) -> FlowState:
        """See `Engine.state_before`."""
        ...

    def turns(self, first_seq: int, last_seq: int) -> list[int]:
        """See `Engine.turns`."""
        ...

    def labels(self, version: int) -> LabelIndex:
        """See `Engine.labels`."""
        ...

    def bronze_between(self, first_seq: int, last_seq: int) -> Iterator[pl.DataFrame]:
        """See `Engine.bronze_between`."""
        ...


@dataclass
class Loaded:
    """Releases by id, each loaded once.

    Args:
        load: gives a release by its id.
        only: the release that every row is derived under; None: the one that each row's bronze records.
    """

    load: Callable[[str], Release]
    only: str | None = None
    known: dict[str, Release] = field(default_factory=dict)

    def for_rows(self, bronze: pl.DataFrame) -> Release:
        """The release of bronze rows that record one release."""
        release_id = self.only or str(bronze["release_id"][0])
        if release_id not in self.known:
            self.known[release_id] = self.load(release_id)
        return self.known[release_id]


@dataclass(frozen=True)
class Chunk:
    """A part of a stretch, derived: its place in the order, bronze rows, the release they were derived under, what they became.

    `accounts`: `seq` and `account_id` of every event in it, as it was decoded.
    """

    number: int
    bronze: pl.DataFrame
    release: Release
    derived: Derived
    accounts: pl.DataFrame

    @property
    def first_seq(self) -> int:
        """The first event's place in the order of arrival."""
        return int(self.bronze["seq"][0])

    @property
    def last_seq(self) -> int:
        """The last event's place in the order of arrival."""
        return int(self.bronze["seq"][-1])


def derive(
    reader: Reader,
    stretch: tuple[int, int],
    releases: Loaded,
    *,
    what: str,
    chunk_rows: int | None = None,
    on_progress: OnProgress | None = None,
) -> Iterator[Chunk]:
    """Derive a stretch of arrivals, in order; the same stretch and `chunk_rows` give the same chunks, numbered from 0.

    Args:
        stretch: first and last `seq`.
        releases: gives the release of each chunk; labels are always those that bronze records.
        what: the work in a word, for progress.
        chunk_rows: most rows of a chunk; None: as many as the engine reads at a time.
    """
    state: FlowState | None = None
    turns = reader.turns(*stretch)
    kept: list[pl.DataFrame] = []
    for number, bronze in enumerate(_bronze(reader, stretch, turns, chunk_rows)):
        release = releases.for_rows(bronze)
        rows = decode_events(bronze, release)
        first = int(bronze["seq"][0])
        if state is None or first in turns or not state.fits(release):  # a release may remember ids for longer than the one before it
            instead = (stretch[0], pl.concat(kept)) if kept else None
            state = reader.state_before(first, release, earliest(reader.snapshot(), stretch), instead)
        derived = run_flow(rows, Context(release, state, reader.labels(int(bronze["labels_version"][0]))))
        if turns and first < turns[-1]:  # what lies before a turn is folded again there, as it is derived here
            kept.append(derived.silver)
        chunk = Chunk(number, bronze, release, derived, rows.select("seq", "account_id"))
        yield chunk
        if on_progress is not None:
            on_progress(Progress(chunk.last_seq - stretch[0] + 1, stretch[1] - stretch[0] + 1, what))


def _bronze(reader: Reader, stretch: tuple[int, int], turns: list[int], chunk_rows: int | None) -> Iterator[pl.DataFrame]:
    begins = [stretch[0], *turns]
    for begin, end in zip(begins, [*(turn - 1 for turn in turns), stretch[1]], strict=True):
        step = chunk_rows or end - begin + 1
        for first in range(begin, end + 1, step):
            yield from reader.bronze_between(first, min(first + step - 1, end))


def earliest(snapshot: Snapshot, stretch: tuple[int, int]) -> int:
    """The earliest event time (microseconds) in a stretch: no row in it looks at state older than this less the horizon.

    Taken from the dates under which bronze filed the events; an event whose date can't be believed is a dead letter and touches no state.
    """
    dates = snapshot.scan(BRONZE.name).filter(pl.col("seq").is_between(*stretch)).select(pl.col("event_date").min()).collect()
    return int((dates["event_date"][0] - date(1970, 1, 1)).days) * DAY_US
