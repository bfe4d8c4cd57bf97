"""What the lease and the newest pulse say together, and what `status` shows of it."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from lakewarden.operations import last_pulse, status

NOW = dt.datetime(2026, 1, 5, 12, 0, 30, tzinfo=dt.UTC)
HOLDER = {"run_id": "run-1", "host": "h", "pid": 1}


def found(state: str, run_id: str = "run-1") -> dict:
    return {"state": state, "run_id": run_id, "time": "2026-01-05T12:00:00+00:00"}


@pytest.mark.parametrize(
    ("holder", "pulse", "age", "state"),
    [
        (None, None, None, None),
        (None, found("stopped"), 5.0, "stopped"),
        (None, found("failed"), 5.0, "failed"),
        (None, found("streaming"), 1.0, "gone"),
        (None, found("recovering"), 1.0, "gone"),
        (HOLDER, None, None, "starting"),
        (HOLDER, found("stopped", "run-0"), 1.0, "starting"),
        (HOLDER, found("streaming"), 1.0, "streaming"),
        (HOLDER, found("recovering"), 1.0, "recovering"),
        (HOLDER, found("streaming"), 16.0, "silent"),
        (HOLDER, found("stopped"), 16.0, "stopped"),
    ],
)
def test_states(holder, pulse, age, state):
    assert status.state(holder, pulse, age) == state


def test_before_the_first_stream_there_is_no_pulse(empty):
    report = empty.pulse().to_dict()
    assert (report["ok"], report["state"], report["pulse"], report["age_seconds"]) == (True, None, None, None)
    assert empty.status().to_dict()["pulse"] is None


def test_the_last_pulse_stays_and_is_as_of_then(lake):
    report = status.pulse(lake.house, dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).to_dict()
    assert (report["state"], report["stream"]) == ("stopped", None)
    assert report["age_seconds"] > 3600
    assert report["pulse"]["counts"] == lake.status().to_dict()["counts"]
    shown = lake.status().to_dict()["pulse"]
    assert (shown["state"], shown["slo_seconds"], shown["as_of"]) == ("stopped", 60.0, report["pulse"]["time"])
    assert "partitions" not in shown


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'"streaming"', json.dumps({"state": "streaming"}).encode()])
def test_a_damaged_pulse_is_none(empty, content):
    empty.house.store.put(last_pulse.PATH, content)
    assert empty.pulse().to_dict()["pulse"] is None
    assert empty.status().ok
