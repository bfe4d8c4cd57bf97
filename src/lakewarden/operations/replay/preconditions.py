"""What must hold before dates are replayed, checked one by one (runbook section 4.1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

import polars as pl

from lakewarden.errors import LakewardenError
from lakewarden.lake.lease import holder
from lakewarden.operations.replay.plan import Precondition
from lakewarden.tables import BRONZE, PIPELINE_RUNS

if TYPE_CHECKING:
    from lakewarden.flow.release import Release
    from lakewarden.lake.lakehouse import Lakehouse, Snapshot

SHOWN: Final = 5
"""How many dates or releases a sentence names."""


@dataclass(frozen=True)
class Scope:
    """The dates of a replay as bronze has them: events by date, and their stretch of arrivals up to the published point."""

    dates: tuple[date, date]
    events: dict[date, int]
    stretch: tuple[int, int] | None
    cut: int

    @classmethod
    def of(cls, snapshot: Snapshot, dates: tuple[date, date]) -> Scope:
        """Look a range of dates up at a published point."""
        bronze = snapshot.scan(BRONZE.name)
        found = (
            bronze.filter(pl.col("event_date").is_between(*dates))
            .group_by("event_date")
            .agg(pl.len().alias("n"), pl.col("seq").min().alias("a"), pl.col("seq").max().alias("b"))
            .sort("event_date")
            .collect()
        )
        newest = snapshot.scan(PIPELINE_RUNS.name).select(pl.col("last_seq").max()).collect().item()
        stretch = (int(found["a"].min()), int(found["b"].max())) if found.height else None  # type: ignore[arg-type]  # integers
        return cls(dates, dict(zip(found["event_date"], found["n"], strict=True)), stretch, -1 if newest is None else int(newest))

    @property
    def range(self) -> pl.Expr:
        """Whether a row's `event_date` is one of the dates."""
        return pl.col("event_date").is_between(*self.dates)


def check(
    lake: Lakehouse,
    snapshot: Snapshot,
    scope: Scope,
    release_ids: Sequence[str],
    load: Callable[[str], Release],
    needed_bytes: int,
    code_version: str,
) -> tuple[Precondition, ...]:
    """Check every precondition; one that fails doesn't keep the others from being checked."""
    found = [_has_events(scope)]
    if scope.stretch is not None:
        found += [_is_complete(snapshot, scope.stretch), _is_published(lake, snapshot, scope)]
        found.append(_loads(release_ids, load, code_version))
    return (*found, _has_space(lake, needed_bytes))


def _has_events(scope: Scope) -> Precondition:
    first, last = scope.dates
    without = [day for day in (first + timedelta(days=n) for n in range((last - first).days + 1)) if day not in scope.events]
    if not scope.events:
        return Precondition("events", False, f"There are no events of {first} to {last}.", "lakewarden status (shows the dates there are)")
    told = f"There are {sum(scope.events.values()):,} events on {len(scope.events)} of {(last - first).days + 1} dates."
    return Precondition("events", True, told + (f" None on {_some(without)}." if without else ""))


def _is_complete(snapshot: Snapshot, stretch: tuple[int, int]) -> Precondition:
    """`seq` is dense, and the micro-batches that the stretch touches hold as many events as were recorded as received."""
    bronze, runs = snapshot.scan(BRONZE.name), snapshot.scan(PIPELINE_RUNS.name)
    seqs = (
        bronze.filter(pl.col("seq").is_between(*stretch)).select(pl.len().alias("rows"), pl.col("seq").n_unique().alias("unique")).collect()
    )
    touching = runs.filter(pl.col("last_seq") >= stretch[0], pl.col("first_seq") <= stretch[1]).select("batch", "received").collect()
    first, last = touching["batch"].min(), touching["batch"].max()
    stored = bronze.filter(pl.col("batch").is_between(pl.lit(first), pl.lit(last))).select(pl.len()).collect().item()
    rows, unique, expected = int(seqs["rows"][0]), int(seqs["unique"][0]), stretch[1] - stretch[0] + 1
    received = int(touching["received"].sum())
    ok = touching.height > 0 and rows == unique == expected and received == stored
    told = f"Arrivals {stretch[0]} to {stretch[1]}: {unique:,} of {expected:,} are in bronze, {rows - unique:,} of them twice; "
    told += f"{touching.height} micro-batches received {received:,} events and bronze has {stored:,} of them."
    return Precondition("bronze is complete", ok, told, "" if ok else "lakewarden conserve --date YYYY-MM-DD (states what is missing)")


def _is_published(lake: Lakehouse, snapshot: Snapshot, scope: Scope) -> Precondition:
    newest = lake.tables[BRONZE.name].scan()
    behind = newest.filter(scope.range, pl.col("batch") > snapshot.point.batch).select(pl.len()).collect().item()
    if behind and holder(lake.store) is None:
        told = f"{behind:,} events of these dates are in bronze and not published, and no stream is at work on them: it was killed."
        return Precondition("published", False, told, "lakewarden stream (finishes them), then plan again")
    if behind:
        told = f"A stream is at work on {behind:,} further events of these dates; they are no part of the replay, and stay."
        return Precondition("published", True, told)
    return Precondition("published", True, f"All events of these dates in bronze are published (point {snapshot.point.point}).")


def _loads(release_ids: Sequence[str], load: Callable[[str], Release], code_version: str) -> Precondition:
    loaded: list[Release] = []
    for release_id in release_ids:
        try:
            loaded.append(load(release_id))
        except LakewardenError as error:
            return Precondition("releases", False, f"Release {release_id} can't be loaded: {error.what}", error.next)
    told = f"Loaded with rules, references and model: {_some(release_ids)}."
    others = sorted({release.code_version for release in loaded} - {code_version})
    told += f" Made by code {_some(others)}, derived again by {code_version}: what the code does otherwise now shows." if others else ""
    return Precondition("releases", True, told)


def _has_space(lake: Lakehouse, needed: int) -> Precondition:
    free = lake.store.free_bytes()
    if free is None:
        return Precondition("space", True, "The object store has no limit that is known here.")
    told = f"{needed / 1e6:,.1f} MB are asked for, {free / 1e6:,.1f} MB are free."
    return Precondition("space", free >= needed, told, "" if free >= needed else "free space on the lake's disk, then plan again")


def _some(values: Sequence[object]) -> str:
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    return ", ".join(str(value) for value in values[:SHOWN]) + more
