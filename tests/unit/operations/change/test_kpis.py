"""Figures of a stretch of micro-batches add up, and the verdict says which criterion failed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lakewarden.errors import UsageError
from lakewarden.operations.change.kpis import Sums, halves, judge
from lakewarden.operations.change.watch import duration
from lakewarden.settings import WatchSettings

LIMITS = WatchSettings()


def part(events: int = 400, high: int = 8, score: float = 0.1, *, failed: int = 4, p95: float = 300.0) -> Sums:
    total = score * events
    return Sums(events, high, 20, high, total, score * total, events, failed, ((events, p95),) if events else ())


def failing(*parts: Sums) -> list[str]:
    return [one.criterion for one in judge(parts, LIMITS) if not one.ok]


def test_sums_add_up_to_the_figures_of_the_whole():
    assert (part(100, 2) + part(300, 10)).kpis() == pytest.approx(
        {
            "events": 400,
            "high_rate": 0.03,
            "medium_rate": 0.1,
            "alerts_per_1000": 30.0,
            "mean_score": 0.1,
            "dq_critical_pass_rate": 0.98,
            "latency_p95_ms": 300.0,
        }
    )
    assert set(Sums().kpis().values()) == {0, None}


def test_latency_is_weighted_by_rows():
    assert Sums(latencies=((94, 100.0), (6, 9000.0))).kpis()["latency_p95_ms"] == 9000.0
    assert Sums(latencies=((96, 100.0), (4, 9000.0))).kpis()["latency_p95_ms"] == 100.0


def test_steady_figures_have_stabilised():
    assert failing(part(), part(), part(0), part()) == []


@pytest.mark.parametrize(
    ("parts", "criteria"),
    [
        ((part(100), part(100)), ["events"]),
        ((part(failed=60), part(failed=60)), ["data quality"]),
        ((part(p95=61_000.0), part(p95=61_000.0)), ["latency"]),
        ((part(high=4), part(high=40)), ["steady share of HIGH"]),
        ((part(score=0.1), part(score=0.5)), ["steady mean score"]),
        ((part(2000),), ["steady"]),
        ((), ["events", "data quality", "latency", "steady"]),
    ],
)
def test_each_criterion_can_fail(parts, criteria):
    assert failing(*parts) == criteria


def test_chance_is_no_change():
    assert failing(part(300, 3), part(300, 6)) == []


def test_the_halves_are_cut_by_events_not_by_looks():
    earlier, later = halves([part(100), part(0), part(100), part(200)])
    assert (earlier.events, later.events) == (200, 200)


@pytest.mark.parametrize(("text", "expected"), [("24h", timedelta(days=1)), ("30m", timedelta(minutes=30)), ("1.5d", timedelta(hours=36))])
def test_lengths_of_time(text, expected):
    assert duration(text) == expected


@pytest.mark.parametrize("text", ["", "24", "h", "-3h", "0m", "1 week"])
def test_what_is_no_length_of_time_is_refused(text):
    with pytest.raises(UsageError, match="no length of time"):
        duration(text)
