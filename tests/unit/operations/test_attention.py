"""A stream that falls behind or whose data quality collapses opens an incident, once while it lasts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl

import lakewarden
from lakewarden.audit.database import connect
from lakewarden.audit.incidents import Incidents
from lakewarden.operations.attention import AGAIN_SECONDS, Attention
from lakewarden.operations.symptoms import SymptomReporter
from lakewarden.settings import SymptomSettings
from lakewarden.tables import DQ_RESULTS
from makers.pulses import Standing, Time, recorder

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
PULSE = recorder(Time(), Standing()).pulse()
NO_CHECKS = pl.DataFrame(schema=DQ_RESULTS.columns)


def test_lag_that_grows_opens_one_incident_and_notes_that_it_lasts(tmp_path):
    incidents = Incidents(connect(f"sqlite:///{tmp_path / 'records.db'}"))
    seconds, told = [0.0], []
    attention = Attention(
        SymptomReporter(lambda: incidents, "run-1", lambda: NOW), lambda: NO_CHECKS, SymptomSettings(), told.append, lambda: seconds[0]
    )
    for second in range(int(60 + 2 * AGAIN_SECONDS) + 2):
        seconds[0] = float(second)
        attention(replace(PULSE, time=NOW + timedelta(seconds=second), lag=100 + 10 * second, latency_ms={"p95": 90_000.0}))
    [incident] = incidents.list()
    assert (incident.code, incident.seen_count, set(told)) == ("INC-S01", 3, {incident.id})


def test_a_stream_that_keeps_up_opens_none(tmp_path):
    opened: list[Incidents] = []
    attention = Attention(
        SymptomReporter(lambda: opened.append(None), "run-1", lambda: NOW),  # type: ignore[arg-type,func-returns-value]
        lambda: NO_CHECKS,
        SymptomSettings(),
        opened.append,
        lambda: 0.0,
    )
    for second in range(200):
        attention(replace(PULSE, time=NOW + timedelta(seconds=second), lag=second % 7, latency_ms={"p95": 300.0}))
    assert opened == []


def test_data_quality_that_collapses_is_seen_in_the_lake_itself(lake):
    """Every event of the topic lacks its currency: all are dead letters, and a rule says so."""
    from lakewarden.operations.status import newest_checks

    broken = lake.house.store.local.parent / "broken"
    broken.mkdir()
    lines = [
        f'{{"transaction_id":"t{n}","event_time":"2026-01-06T10:00:00Z","account_id":"a","amount":{n},"currency":"XXX","channel":"POS",'
        '"country":"DE","enqueued_time":"2026-01-06T10:00:01Z"}'
        for n in range(3000)
    ]
    (broken / "events.jsonl").write_text("\n".join(lines) + "\n")
    assert lake.stream(broken, once=True).ok
    told: list[str] = []
    seconds = [0.0]
    reporter = SymptomReporter(lake._incidents, "run-1", lambda: NOW)
    attention = Attention(reporter, lambda: newest_checks(lake.house), SymptomSettings(dq_rows=1000), told.append, lambda: seconds[0])
    seconds[0] = 31.0
    attention(replace(PULSE, time=NOW, lag=0))
    [incident] = [one for one in lakewarden.open(lake.house.store.root)._incidents().list() if one.code == "INC-DQ01"]
    assert told == [incident.id]
