"""What historical files hold, from the first events of them (runbook section 5.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl

from lakewarden.engines.arrival import Past, arrive_as_history
from lakewarden.flow.stages import Context, FlowState, run_flow
from lakewarden.operations.backfill.loading import Loaded, chunks

if TYPE_CHECKING:
    from lakewarden.flow.labels import LabelIndex
    from lakewarden.flow.release import Release
    from lakewarden.operations.backfill.plan import Scope
    from lakewarden.settings import BackfillSettings


@dataclass(frozen=True)
class Sample:
    """What was read, and what it makes of the whole.

    Attributes:
        loaded: counts of the events that were read.
        fraction: how much of the files that was.
        dates: events by date, of those kept.
        newest: the newest date that was read, kept or not.
        flow_rows, dead_letters, duplicates: events that ran through the stages, and how many of these ended so.
        seconds_per_row: how long a row took there.
    """

    loaded: Loaded
    fraction: float
    dates: dict[date, int]
    newest: date | None
    flow_rows: int
    dead_letters: int
    duplicates: int
    seconds_per_row: float | None

    @property
    def whole(self) -> bool:
        """Whether everything was read."""
        return self.fraction >= 1.0

    def rows(self, last: date) -> int:
        """How many events there are up to a date: by the share that was read, or by events a date, whichever is less."""
        by_share = round(self.loaded.kept / self.fraction) if self.fraction else 0
        if self.whole or not self.dates:
            return by_share
        days = sorted(self.dates)[:-1] or sorted(self.dates)  # the last one may be cut
        a_date = sum(self.dates[day] for day in days) / len(days)
        return min(by_share, max(self.loaded.kept, round(a_date * ((last - days[0]).days + 1))))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        days = sorted(self.dates)
        return {
            **self.loaded.to_dict(),
            "fraction": round(self.fraction, 4),
            "first_date": str(days[0]) if days else None,
            "last_date": str(days[-1]) if days else None,
            "flow_rows": self.flow_rows,
            "dead_letter_share": self.dead_letters / self.flow_rows if self.flow_rows else None,
            "duplicate_share": self.duplicates / self.flow_rows if self.flow_rows else None,
        }


def take(scope: Scope, release: Release, labels: LabelIndex, settings: BackfillSettings, monotonic: Callable[[], float]) -> Sample:
    """Read the first events, decode all of them, and run the first of these through the stages.

    Raises:
        SourceError: a file can't be read.
        ConfigurationError: the mapping doesn't fit the files.
    """
    loaded, arrived, dates = Loaded(), Past(), Counter[date]()
    first: list[pl.DataFrame] = []
    newest: date | None = None
    fraction: float | None = None
    for chunk, read in chunks(scope, min(settings.chunk_rows, settings.sample_rows)):
        rows, arrived, behind = arrive_as_history(chunk, release, arrived, scope.span)
        loaded.add(rows, chunk.partitions, scope.span.last, behind)
        kept = rows.filter("kept").drop("kept")
        dates.update(dict(kept.group_by("event_date").len().iter_rows()))
        last = rows["event_date"].max()
        newest = last if newest is None or (isinstance(last, date) and last > newest) else newest  # type: ignore[assignment]  # a date
        if sum(part.height for part in first) < settings.flow_rows:
            first.append(kept.head(settings.flow_rows))
        fraction = read
        if loaded.read >= settings.sample_rows:
            break
    else:
        fraction = 1.0
    dead, doubles, seconds, judged = _flow(first, release, labels, settings, monotonic)
    return Sample(loaded, fraction or 0.0, dict(dates), newest, judged, dead, doubles, seconds / judged if judged else None)


def _flow(
    first: list[pl.DataFrame], release: Release, labels: LabelIndex, settings: BackfillSettings, monotonic: Callable[[], float]
) -> tuple[int, int, float, int]:
    rows = pl.concat(first).head(settings.flow_rows) if first else pl.DataFrame()
    if not rows.height:
        return 0, 0, 0.0, 0
    started = monotonic()
    derived = run_flow(rows, Context(release, FlowState.empty(), labels))
    return derived.dead_letters.height, derived.duplicates.height, monotonic() - started, rows.height
