"""Verification: derive a date again from bronze, under the releases recorded in its rows, and compare with what is published.

The stretch of arrivals that contains every row of the date is run through the same stages, after a warm-up that rebuilds the
state before it from silver (architecture: "Order, windows, money").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.audit.verification import EXAMPLES, Comparison, Difference, compare
from lakewarden.errors import LakeError
from lakewarden.flow.stages import Context, Derived, decode_events, run_flow
from lakewarden.progress import Progress
from lakewarden.tables import ALERTS, BRONZE, DLQ, DUPLICATES, GOLD, SILVER

if TYPE_CHECKING:
    from lakewarden.engines.port import Engine
    from lakewarden.flow.release import Release
    from lakewarden.lake.lakehouse import Snapshot
    from lakewarden.progress import OnProgress

VERIFIED: Final = {SILVER: "silver", GOLD: "gold", ALERTS: "alerts", DLQ: "dead_letters", DUPLICATES: "duplicates"}
"""Tables that are compared, and the part of `Derived` that each comes from."""


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


def verify(
    engine: Engine,
    day: date,
    *,
    load: Callable[[str], Release],
    code_version: str,
    monotonic: Callable[[], float],
    on_progress: OnProgress | None = None,
) -> VerifyReport:
    """Derive one date again and compare row by row.

    Raises:
        LakeError: the date has no events in bronze.
    """
    started = monotonic()
    snapshot = engine.snapshot()
    stretch = engine.stretch(day)
    if stretch is None:
        raise LakeError(
            f"There are no events of {day} in bronze.", state="nothing was changed", next="lakewarden status (shows the dates there are)"
        )
    found: dict[str, list[Comparison]] = {spec.name: [] for spec in VERIFIED}
    releases: dict[str, Release] = {}
    for first, last, derived in _derive(engine, snapshot, stretch, load=load, releases=releases, on_progress=on_progress):
        for spec, part in VERIFIED.items():
            stored = snapshot.scan(spec.name).filter(pl.col("event_date") == day, pl.col("seq").is_between(first, last)).collect()
            found[spec.name].append(compare(spec, stored, getattr(derived, part).filter(pl.col("event_date") == day)))
    for spec in VERIFIED:
        outside = snapshot.scan(spec.name).filter(pl.col("event_date") == day, ~pl.col("seq").is_between(*stretch)).collect()
        if outside.height:
            found[spec.name].append(compare(spec, outside, outside.clear()))
    return _report(day, found, releases, code_version, monotonic() - started)


def _derive(
    engine: Engine,
    snapshot: Snapshot,
    stretch: tuple[int, int],
    *,
    load: Callable[[str], Release],
    releases: dict[str, Release],
    on_progress: OnProgress | None,
) -> Iterator[tuple[int, int, Derived]]:
    state = None
    for bronze in engine.bronze_between(*stretch):
        release_id = bronze["release_id"][0]
        if release_id not in releases:
            releases[release_id] = load(release_id)
        release = releases[release_id]
        rows = decode_events(bronze, release)
        if state is None:
            state = engine.state_before(stretch[0], release, earliest(snapshot, stretch))
        context = Context(release, state, engine.labels(int(bronze["labels_version"][0])))
        derived = run_flow(rows, context)
        lineage = pl.lit(release_id).alias("release_id")
        parts = {name: getattr(derived, name).with_columns(lineage) for name in VERIFIED.values()}
        first, last = int(bronze["seq"][0]), int(bronze["seq"][-1])
        yield first, last, Derived(**parts, dq_results=derived.dq_results, seconds={})
        if on_progress is not None:
            on_progress(Progress(last - stretch[0] + 1, stretch[1] - stretch[0] + 1, "verifying"))


def earliest(snapshot: Snapshot, stretch: tuple[int, int]) -> int:
    """The earliest event time (microseconds) in a stretch: no row in it looks at state older than this less the horizon.

    Taken from the dates under which bronze filed the events; an event whose date can't be believed is a dead letter and touches no state.
    """
    dates = snapshot.scan(BRONZE.name).filter(pl.col("seq").is_between(*stretch)).select(pl.col("event_date").min()).collect()
    return int((dates["event_date"][0] - date(1970, 1, 1)).days) * 86_400_000_000


def _report(day: date, found: dict[str, list[Comparison]], releases: dict[str, Release], code_version: str, seconds: float) -> VerifyReport:
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
    note = f"recorded under code {', '.join(older)}; derived again by {code_version}" if older else ""
    return VerifyReport(
        day, differences == 0, sum(int(t["rows"]) for t in tables.values()), differences, seconds, tables, first, tuple(releases), note
    )
