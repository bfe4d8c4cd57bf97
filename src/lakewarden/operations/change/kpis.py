"""Figures of a stretch of micro-batches, from the tables that readers see, and whether they are steady (runbook section 6.2 step 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import sqrt
from typing import TYPE_CHECKING, Any

import polars as pl

from lakewarden.tables import DQ_RESULTS, GOLD, PIPELINE_RUNS

if TYPE_CHECKING:
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.settings import WatchSettings


@dataclass(frozen=True)
class Sums:
    """What adds up over micro-batches; `latencies` are rows and p95 of each."""

    events: int = 0
    high: int = 0
    medium: int = 0
    alerts: int = 0
    score: float = 0.0
    score_squares: float = 0.0
    dq_rows: int = 0
    dq_failed: int = 0
    latencies: tuple[tuple[int, float], ...] = field(default=(), repr=False)

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, name) + getattr(other, name) for name in Sums.__dataclass_fields__))

    def kpis(self) -> dict[str, Any]:
        """The figures; None where nothing says."""
        n = self.events
        return {
            "events": n,
            "high_rate": self.high / n if n else None,
            "medium_rate": self.medium / n if n else None,
            "alerts_per_1000": 1000 * self.alerts / n if n else None,
            "mean_score": self.score / n if n else None,
            "dq_critical_pass_rate": 1 - self.dq_failed / self.dq_rows if self.dq_rows else None,
            "latency_p95_ms": _p95(self.latencies),
        }


def _p95(latencies: Sequence[tuple[int, float]]) -> float | None:
    """The p95 of the micro-batches' p95s, each weighted by its rows."""
    total, upto = sum(rows for rows, _ in latencies), 0
    for rows, p95 in sorted(latencies, key=lambda one: one[1]):
        upto += rows
        if upto >= 0.95 * total:
            return p95
    return None


def stretch(lake: Lakehouse, wanted: pl.Expr) -> tuple[int, int] | None:
    """First and last micro-batch of the run records that a filter leaves, loaded history left out; None where it leaves none."""
    left = lake.table(PIPELINE_RUNS.name).filter(wanted, pl.col("batch") >= 0)
    first, last = left.select(pl.col("batch").min(), pl.col("batch").max().alias("l")).collect().row(0)
    return None if first is None else (first, last)


def between(begin: datetime, end: datetime) -> pl.Expr:
    """Micro-batches that were committed in this time."""
    return pl.col("committed_time").is_between(begin, end, closed="left")


def measure(lake: Lakehouse, batches: tuple[int, int] | None) -> Sums:
    """The sums of these micro-batches, first and last included."""
    if batches is None:
        return Sums()
    snapshot = lake.snapshot((GOLD.name, DQ_RESULTS.name, PIPELINE_RUNS.name))
    within = pl.col("batch").is_between(*batches)
    band, score = pl.col("risk_band"), pl.col("risk_score")
    gold = (
        snapshot.scan(GOLD.name)
        .filter(within)
        .select(pl.len(), (band == "HIGH").sum().alias("h"), (band == "MEDIUM").sum().alias("m"), score.sum(), (score**2).sum().alias("q"))
        .collect()
        .row(0)
    )
    checks = snapshot.scan(DQ_RESULTS.name).filter(within & (pl.col("criticality") == "critical"))
    dq_rows, dq_failed = checks.select(pl.col("rows").sum(), pl.col("failed").sum()).collect().row(0)
    runs = snapshot.scan(PIPELINE_RUNS.name).filter(within).select("received", "latency_p95_ms", "alerts").collect()
    known = runs.drop_nulls("latency_p95_ms").select("received", "latency_p95_ms").rows()
    events, high, medium, total, squares = gold
    return Sums(events, high, medium, int(runs["alerts"].sum()), total, squares, dq_rows, dq_failed, tuple(known))


@dataclass(frozen=True)
class Criterion:
    """One thing that has to hold for a change to count as stabilised, and a sentence with its figures."""

    criterion: str
    ok: bool
    what: str


def judge(parts: Sequence[Sums], settings: WatchSettings) -> list[Criterion]:
    """Judge what came after a change.

    Args:
        parts: of each look, what was decided since the one before.
        settings: the limits.
    """
    total = sum(parts, Sums())
    found = total.kpis()
    enough = Criterion("events", total.events >= settings.least_events, f"{total.events} events; at least {settings.least_events}")
    rate, limit = found["dq_critical_pass_rate"], settings.dq_pass_rate
    told = "nothing was checked" if rate is None else f"critical rules pass {rate:.2%}; at least {limit:.2%}"
    quality = Criterion("data quality", rate is not None and rate >= limit, told)
    p95, level = found["latency_p95_ms"], settings.latency_p95_seconds
    told = "nothing was measured" if p95 is None else f"p95 {p95 / 1000:.2f} s; at most {level:g} s"
    latency = Criterion("latency", p95 is not None and p95 <= 1000 * level, told)
    return [enough, quality, latency, *_steadiness(*halves(parts), settings)]


def halves(parts: Sequence[Sums]) -> tuple[Sums, Sums]:
    """What came earlier and what came later, cut where it comes nearest to half of the events."""
    total, best = sum(part.events for part in parts), 0
    upto, nearest = 0, total
    for index, part in enumerate(parts, 1):
        upto += part.events
        if abs(total - 2 * upto) < nearest:
            nearest, best = abs(total - 2 * upto), index
    return sum(parts[:best], Sums()), sum(parts[best:], Sums())


def _steadiness(earlier: Sums, later: Sums, settings: WatchSettings) -> list[Criterion]:
    if not (earlier.events and later.events):
        return [Criterion("steady", False, "events came in one look only, so there is no earlier and later half")]
    n, m = earlier.events, later.events

    def steady(name: str, one: float, other: float, variance: float) -> Criterion:
        allowed = max(settings.steady_share * abs(one), settings.steady_errors * sqrt(max(variance, 0.0) * (1 / n + 1 / m)))
        told = f"{one:.4g} in the earlier half, {other:.4g} in the later one; may differ by {allowed:.2g}"
        return Criterion(f"steady {name}", abs(other - one) <= allowed, told)

    share, mean = (earlier.high + later.high) / (n + m), (earlier.score + later.score) / (n + m)
    spread = (earlier.score_squares + later.score_squares) / (n + m) - mean**2
    return [
        steady("share of HIGH", earlier.high / n, later.high / m, share * (1 - share)),
        steady("mean score", earlier.score / n, later.score / m, spread),
    ]
