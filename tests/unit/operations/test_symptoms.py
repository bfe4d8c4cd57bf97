"""When what a stream shows is bad enough for an incident, and when it is not."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakewarden.audit.database import connect
from lakewarden.audit.incidents import Incidents
from lakewarden.operations.symptoms import LagSample, SymptomReporter, dq_collapsed, lagging
from lakewarden.settings import SymptomSettings

BEGIN = dt.datetime(2026, 1, 6, 12, tzinfo=dt.UTC)
SETTINGS = SymptomSettings()
DAY = dt.date(2026, 1, 5)


def samples(*lags: int | None, every: float = 10, p95: float | None = 70, waiting: float = 0) -> list[LagSample]:
    return [LagSample(BEGIN + dt.timedelta(seconds=every * n), lag, p95, waiting) for n, lag in enumerate(lags)]


def results(*rows: tuple[int, str, int, int], criticality: str = "critical") -> pl.DataFrame:
    """`dq_results` of (micro-batch, rule, rows, failed)."""
    return pl.DataFrame(
        [
            {
                "batch": batch,
                "rule": rule,
                "rows": judged,
                "failed": failed,
                "criticality": criticality,
                "event_date": DAY + dt.timedelta(days=batch),
                "checked_time": BEGIN + dt.timedelta(seconds=batch),
            }
            for batch, rule, judged, failed in rows
        ],
        schema_overrides={"rows": pl.Int64, "failed": pl.Int64},
    )


def test_lag_that_grows_for_a_minute_with_late_events_is_an_incident():
    symptom = lagging(samples(100, 200, 300, 400, 500, 600, 700), SETTINGS)
    assert symptom is not None
    assert (symptom.code, symptom.detail["lag_events"], symptom.detail["lag_events_before"]) == ("INC-S01", 700, 100)
    assert symptom.impact.since == BEGIN
    assert "700 events, 600 more than 60 s before" in symptom.title


@pytest.mark.parametrize(
    "looks",
    [
        [],
        samples(None, None, None, every=60),
        samples(100, 700, every=50),
        samples(100, 200, 300, 400, 500, 600, 700, p95=59),
        samples(100, 200, 300, 400, 500, 600, 100),
        samples(100, 200, 50, 400, 500, 600, 700),
        samples(700, 600, 500, 400, 300, 200, 100),
        samples(0, 0, 0, 0, 0, 0, 0),
    ],
    ids=["no look", "a source without lag", "not long enough", "still on time", "caught up", "caught up between", "shrinking", "none"],
)
def test_less_than_that_is_none(looks):
    assert lagging(looks, SETTINGS) is None


def test_a_stream_that_publishes_nothing_is_late_by_what_it_has_in_hand():
    assert lagging(samples(1, 2, every=60, p95=None, waiting=61), SETTINGS) is not None
    assert lagging(samples(1, 2, every=60, p95=None, waiting=59), SETTINGS) is None


def test_only_the_last_minute_counts():
    """It caught up an hour ago and grows again; and it grew an hour ago and stands still."""
    assert lagging(samples(900, 0, *range(10, 80, 10)), SETTINGS) is not None
    assert lagging(samples(0, 900, *[900] * 8), SETTINGS) is None


@given(st.lists(st.none() | st.integers(0, 1000), max_size=20), st.floats(1, 30))
def test_a_lag_that_did_not_grow_is_never_an_incident(lags, every):
    known = [lag for lag in lags if lag is not None]
    found = lagging(samples(*lags, every=every), SETTINGS)
    assert found is None or (known[-1] > min(known) and found.detail["growing_seconds"] >= SETTINGS.lag_growing_seconds)


def test_the_pulse_gives_the_sample():
    from makers.pulses import Standing, Time, recorder

    pulse = recorder(Time(), Standing()).pulse()
    assert LagSample.of(pulse) == LagSample(BEGIN.replace(day=5), None, None, pulse.unpublished_seconds)


def test_critical_rules_below_their_level_together_are_an_incident():
    symptom = dq_collapsed(results((0, "a", 1000, 60), (0, "b", 1000, 45)), SETTINGS)
    assert symptom is not None
    assert (symptom.code, symptom.detail["pass_rate"], symptom.detail["rows"]) == ("INC-DQ01", 0.9475, 1000)
    assert [rule["rule"] for rule in symptom.detail["rules"]] == ["a", "b"]
    assert (symptom.impact.first_date, symptom.impact.last_date) == (DAY, DAY)


def test_one_rule_that_fails_altogether_is_not_hidden_by_the_others():
    rows = [(0, f"fine {n}", 1000, 0) for n in range(30)]
    assert dq_collapsed(results(*rows), SETTINGS) is None
    symptom = dq_collapsed(results(*rows, (0, "schema", 1000, 1000)), SETTINGS)
    assert symptom is not None
    assert symptom.detail["rules"][0] == {"rule": "schema", "rows": 1000, "failed": 1000, "pass_rate": 0.0}


@pytest.mark.parametrize(
    "rows",
    [
        results((0, "a", 1000, 50)),
        results((0, "a", 499, 499)),
        results((0, "a", 1000, 1000), criticality="warning"),
        results((0, "a", 0, 0)),
        results((0, "a", 1000, 0)).clear(),
    ],
    ids=["at the level", "too few rows", "warnings", "nothing judged", "nothing at all"],
)
def test_what_is_no_collapse(rows):
    assert dq_collapsed(rows, SETTINGS) is None


def test_only_the_newest_rows_count():
    settings = SymptomSettings(dq_rows=2000)
    mended = results((0, "a", 1000, 1000), (1, "a", 1000, 0), (2, "a", 1000, 0))
    assert dq_collapsed(mended, settings) is None
    broken = results((0, "a", 50_000, 0), (1, "a", 1000, 1000), (2, "a", 1000, 1000))
    symptom = dq_collapsed(broken, settings)
    assert symptom is not None
    assert (symptom.detail["rows"], symptom.impact.first_date) == (2000, DAY + dt.timedelta(days=1))


def test_a_symptom_opens_one_incident_for_as_long_as_it_lasts(tmp_path):
    incidents = Incidents(connect(f"sqlite:///{tmp_path / 'r.db'}"))
    report = SymptomReporter(lambda: incidents, "run-1", lambda: BEGIN)
    symptom = lagging(samples(1, 2, every=60), SETTINGS)
    assert report(None) is None
    first, again = report(symptom), report(symptom)
    assert (again.id, again.seen_count, again.run_id) == (first.id, 2, "run-1")
    assert again.tables == ("anomaly_alerts", "risk_scores_gold", "transactions_silver")
    incidents.close(first.id, "too small a machine", "a larger one", "ada", BEGIN)
    assert report(symptom).follows == first.id
