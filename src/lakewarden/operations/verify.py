"""Verification: derive a date again from bronze, under the releases recorded in its rows, and compare with what is published.

The stretch of arrivals that contains every row of the date is run through the same stages, after a warm-up that rebuilds the
state before it from silver (architecture: "Order, windows, money").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.audit.verification import EXAMPLES, Comparison, Difference, compare
from lakewarden.errors import LakeError
from lakewarden.lake.history import regions
from lakewarden.operations.derivation import Loaded, derive
from lakewarden.operations.in_effect import on_date
from lakewarden.tables import ALERTS, BRONZE, DLQ, DUPLICATES, GOLD, SILVER

if TYPE_CHECKING:
    from lakewarden.engines.port import Frames, Reader
    from lakewarden.flow.release import Release
    from lakewarden.lake.history import Block
    from lakewarden.lake.lakehouse import Snapshot
    from lakewarden.operations.derivation import Chunk
    from lakewarden.operations.in_effect import Standing
    from lakewarden.progress import OnProgress

VERIFIED: Final = (SILVER, GOLD, ALERTS, DLQ, DUPLICATES)
"""Tables that are compared."""


@dataclass(frozen=True)
class VerifyReport:
    """What a verification found: rows compared and differing by table, the first differences, hash totals, releases used."""

    date: date
    ok: bool
    rows: int
    differences: int
    seconds: float
    tables: dict[str, dict[str, Any]]
    first: tuple[Difference, ...]
    releases: tuple[str, ...]
    code_note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "ok": self.ok,
            "date": self.date.isoformat(),
            "rows": self.rows,
            "differences": self.differences,
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows / self.seconds) if self.seconds else None,
            "tables": self.tables,
            "first_differences": [
                {"table": d.table, "seq": d.seq, "kind": d.kind, "columns": {c: [str(a), str(b)] for c, (a, b) in d.columns.items()}}
                for d in self.first
            ],
            "releases": list(self.releases),
            "note": self.code_note,
        }


@dataclass(frozen=True)
class Part:
    """A stretch of arrivals to derive, what under (None: as recorded), and which of the date's rows it accounts for.

    `among`: only these; `without`: not these, which another part accounts for.
    """

    stretch: tuple[int, int]
    only: str | None
    rows: tuple[int, int]
    among: frozenset[int] | None = None
    without: frozenset[int] = frozenset()

    def within(self, chunk: Chunk) -> pl.Expr:
        """Whether it accounts for a row that lies in a chunk of its derivation."""
        held = pl.col("seq").is_between(max(chunk.first_seq, self.rows[0]), min(chunk.last_seq, self.rows[1]))
        for some, wanted in ((self.among, True), (self.without or None, False)):
            if some is not None:
                inside = pl.col("seq").is_in(pl.Series(sorted(some), dtype=pl.Int64).implode())
                held &= inside if wanted else ~inside
        return held


def parts(stretches: Sequence[tuple[int, int]], standing: Sequence[Standing]) -> list[Part]:
    """How a date is derived again: as the replays that were swapped in over it did, and what arrived after them as recorded.

    Args:
        stretches: first and last `seq` of the date's events, apart for each block of history and for what came as it arrived.
        standing: what holds for it, newest first; see `in_effect.on_date`.
    """
    first, last = stretches[0][0], stretches[-1][1]
    found: list[Part] = []
    taken: frozenset[int] = frozenset()
    for one in standing:
        derived, rows = (one.stretch[0], min(last, one.cut)), (first, one.cut)
        if one.among is None:
            found.append(Part(derived, one.release, rows, without=taken))
            later = (one.cut + 1, last)
            return found if last <= one.cut else [*found, Part(later, None, later, without=taken)]
        found.append(Part(derived, one.release, rows, among=one.among - taken))
        taken |= one.among
    return [*found, *(Part(stretch, None, stretch, without=taken) for stretch in stretches)]


def arrivals(snapshot: Snapshot, day: date, known: Sequence[Block]) -> list[tuple[int, int]]:
    """First and last `seq` of a date's events at a published point, apart for each block of history; none where it has no events."""
    of_day = snapshot.scan(BRONZE.name).filter(pl.col("event_date") == day).select("seq", regions(known).alias("region"))
    ends = of_day.group_by("region").agg(pl.col("seq").min().alias("a"), pl.col("seq").max().alias("b")).sort("region").collect()
    return [(int(first), int(last)) for _, first, last in ends.iter_rows()]


def verify(
    engine: Reader,
    day: date,
    *,
    load: Callable[[str], Release],
    standing: Callable[[int], list[Standing]],
    blocks: Sequence[Block] = (),
    code_version: str,
    monotonic: Callable[[], float],
    on_progress: OnProgress | None = None,
) -> VerifyReport:
    """Derive one date again and compare row by row.

    Args:
        load: gives a release by its id.
        standing: what is in effect at the newest order of a published point.
        blocks: the history that was brought in.

    Raises:
        LakeError: the date has no events in bronze.
    """
    started = monotonic()
    snapshot = engine.snapshot()
    stretches = arrivals(snapshot, day, blocks)
    if not stretches:
        raise LakeError(
            f"There are no events of {day} in bronze.", state="nothing was changed", next="lakewarden status (shows the dates there are)"
        )
    found: dict[str, list[Comparison]] = {spec.name: [] for spec in VERIFIED}
    known: dict[str, Release] = {}
    in_force = on_date(standing(snapshot.point.order), day)
    for part in parts(stretches, in_force):
        releases = Loaded(load, part.only, known)
        for chunk in derive(engine, part.stretch, releases, what="verifying", on_progress=on_progress):
            comparing = partial(_compared, within=part.within(chunk), release_id=chunk.release.id)
            seqs = chunk.first_seq, chunk.last_seq
            for compared in engine.by_places(VERIFIED, snapshot, comparing, day=day, seqs=seqs, outcome=chunk.derived):
                for name, comparison in compared.items():
                    found[name].append(comparison)
    for spec in VERIFIED:
        beyond = ~pl.col("seq").is_between(stretches[0][0], stretches[-1][1])
        outside = snapshot.scan(spec.name).filter(pl.col("event_date") == day, beyond).collect()
        if outside.height:
            found[spec.name].append(compare(spec, outside, outside.clear()))
    swapped = "".join(f"{one.subject} was swapped in over this date (order {one.order}). " for one in in_force)
    return _report(day, found, known, code_version, swapped, monotonic() - started)


def _compared(stored: Frames, derived: Frames, within: pl.Expr, release_id: str) -> dict[str, Comparison]:
    """Some places' rows of every table, as published and as derived."""
    told = pl.lit(release_id).alias("release_id")
    return {
        spec.name: compare(spec, stored[spec.name].filter(within), derived[spec.name].filter(within).with_columns(told))
        for spec in VERIFIED
    }


def _report(
    day: date, found: dict[str, list[Comparison]], releases: dict[str, Release], code_version: str, swapped: str, seconds: float
) -> VerifyReport:
    tables: dict[str, dict[str, Any]] = {
        name: {
            "rows": sum(c.rows for c in parts),
            "differences": sum(c.differences for c in parts),
            "hash_total": f"{sum(c.hash_total for c in parts) % (1 << 64):016x}",
        }
        for name, parts in found.items()
    }
    differences = sum(int(t["differences"]) for t in tables.values())
    first = tuple(d for parts in found.values() for c in parts for d in c.first)[: 2 * EXAMPLES]
    older = sorted({r.code_version for r in releases.values()} - {code_version})
    note = swapped + (f"Recorded under code {', '.join(older)}; derived again by {code_version}." if older else "")
    return VerifyReport(
        day,
        differences == 0,
        sum(int(t["rows"]) for t in tables.values()),
        differences,
        seconds,
        tables,
        first,
        tuple(releases),
        note.strip(),
    )
