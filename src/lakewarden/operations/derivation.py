"""Derives a stretch of arrivals again from bronze, through the same stages; `verify` and `replay` run it.

The state before the stretch is rebuilt from silver (architecture: "Order, windows, money").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Final

import polars as pl

from lakewarden.progress import Progress
from lakewarden.tables import BRONZE

if TYPE_CHECKING:
    from lakewarden.engines.port import Events, Outcome, Reader, State
    from lakewarden.flow.release import Release
    from lakewarden.lake.lakehouse import Snapshot
    from lakewarden.progress import OnProgress

DAY_US: Final = 86_400_000_000


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
    """A part of a stretch, derived: its place in the order, its events, the release they were derived under, what they became."""

    number: int
    events: Events
    release: Release
    derived: Outcome

    @property
    def bronze(self) -> pl.DataFrame:
        """The events' rows of bronze."""
        return self.events.bronze

    @property
    def first_seq(self) -> int:
        """The first event's place in the order of arrival."""
        return self.events.first_seq

    @property
    def last_seq(self) -> int:
        """The last event's place in the order of arrival."""
        return self.events.last_seq


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

    What a chunk became is let go when the next one is asked for.

    Args:
        stretch: first and last `seq`.
        releases: gives the release of each chunk; labels are always those that bronze records.
        what: the work in a word, for progress.
        chunk_rows: most rows of a chunk; None: as many as the engine reads at a time.
    """
    state: State | None = None
    turns = reader.turns(*stretch)
    kept: list[Outcome] = []
    for number, events in enumerate(_events(reader, stretch, turns, chunk_rows)):
        release, first = releases.for_rows(events.bronze), events.first_seq
        if state is None or first in turns or not state.fits(release):  # a release may remember ids for longer than the one before it
            instead = (stretch[0], kept) if kept else None
            state = reader.state_before(first, release, earliest(reader.snapshot(), stretch), instead)
        derived = reader.derive(events, release, state, events.labels_version)
        keep = bool(turns) and first < turns[-1]
        if keep:  # what lies before a turn is folded again there, as it is derived here
            kept.append(derived)
        chunk = Chunk(number, events, release, derived)
        yield chunk
        if not keep:
            derived.close()
        if on_progress is not None:
            on_progress(Progress(chunk.last_seq - stretch[0] + 1, stretch[1] - stretch[0] + 1, what))
    for derived in kept:
        derived.close()


def _events(reader: Reader, stretch: tuple[int, int], turns: list[int], chunk_rows: int | None) -> Iterator[Events]:
    begins = [stretch[0], *turns]
    for begin, end in zip(begins, [*(turn - 1 for turn in turns), stretch[1]], strict=True):
        step = chunk_rows or end - begin + 1
        for first in range(begin, end + 1, step):
            yield from reader.events_between(first, min(first + step - 1, end))


def earliest(snapshot: Snapshot, stretch: tuple[int, int]) -> int:
    """The earliest event time (microseconds) in a stretch: no row in it looks at state older than this less the horizon.

    Taken from the dates under which bronze filed the events; an event whose date can't be believed is a dead letter and touches no state.
    """
    dates = snapshot.scan(BRONZE.name).filter(pl.col("seq").is_between(*stretch)).select(pl.col("event_date").min()).collect()
    return int((dates["event_date"][0] - date(1970, 1, 1)).days) * DAY_US
