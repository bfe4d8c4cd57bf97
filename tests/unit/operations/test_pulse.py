"""The pulse: windows that slide, figures by hand, ages that grow while nothing is published."""

import json
import math
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakewarden.operations import heartbeat
from lakewarden.operations.heartbeat import Heartbeat
from lakewarden.operations.latencies import RELATIVE_WIDTH
from lakewarden.sources.port import PartitionStanding
from makers.pulses import Standing, Time, batch, publish, recorder


@pytest.fixture
def time() -> Time:
    return Time()


def test_a_new_stream_has_a_pulse(time):
    pulse = recorder(time, Standing()).pulse()
    assert (pulse.state, pulse.rows, pulse.rate, pulse.latency_ms, pulse.lag, pulse.skew) == ("recovering", 0, 0.0, {}, None, None)
    assert (pulse.release, pulse.published_time, pulse.on_time, pulse.batch_rows) == (None, None, None, {})
    assert pulse.memory_bytes == 123_000_000


def test_every_figure_of_two_micro_batches(time):
    told = []
    to = recorder(time, Standing(troubles={"throttled": 2}, throttled_ms=250.0), Told(told))
    to.recovered(1)
    time.passed = 10
    publish(to, batch(0, time, [1.0] * 8 + [61.0, 61.0]), seconds=0.5, alerts=1)
    publish(to, batch(1, time, [2.0] * 30), seconds=0.1, alerts=2)
    pulse = to.pulse()
    assert (pulse.state, pulse.recovered, pulse.micro_batches, pulse.rows, pulse.rate) == ("streaming", 1, 2, 40, 4.0)
    assert pulse.counts == {"bronze": 40, "gold": 40, "alerts": 3}
    assert pulse.latency_ms["p50"] == pytest.approx(2000, rel=RELATIVE_WIDTH - 1)
    assert pulse.latency_ms["p99"] == pulse.latency_ms["max"] == 61_000
    assert pulse.on_time == 38 / 40
    assert (pulse.batch_rows, pulse.batch_seconds) == ({"p50": 10, "max": 30}, {"p50": 0.1, "p95": 0.5})
    assert pulse.stage_share == pytest.approx({"score": 0.75, "quality": 0.25})
    assert pulse.stage_seconds == pytest.approx({"score": 0.06, "quality": 0.02})
    assert (pulse.troubles, pulse.throttled_ms, pulse.latency_from, pulse.release) == ({"throttled": 2}, 250.0, "broker timestamp", "r1")
    assert pulse.latency_histogram[-1] == (float("inf"), 40)
    assert pulse.latency_seconds_sum == pytest.approx(8 + 122 + 60)
    assert [(batch.batch, batch.rows) for batch in told] == [(0, 10), (1, 30)]


def test_for_files_latency_counts_from_reading(time):
    to = recorder(time, Standing())
    publish(to, batch(0, time, [3.0, 3.0], broker=False))
    assert to.pulse().latency_from == "receipt"
    assert to.pulse().latency_ms["max"] == 3000


def test_the_window_slides_and_the_totals_stay(time):
    to = recorder(time, Standing())
    publish(to, batch(0, time, [100.0] * 600))
    time.passed = 59.5
    publish(to, batch(1, time, [1.0] * 60))
    assert to.pulse().rate == pytest.approx(660 / 59.5)
    assert to.pulse().latency_ms["max"] == 100_000
    time.passed = 60.5  # the second in which the first was published is over for a minute
    pulse = to.pulse()
    assert pulse.rate == pytest.approx(60 / 59.5)
    assert (pulse.latency_ms["max"], pulse.batch_rows, pulse.rows) == (1000, {"p50": 60, "max": 60}, 660)
    time.passed = 200
    assert (to.pulse().rate, to.pulse().latency_ms, to.pulse().on_time, to.pulse().rows) == (0.0, {}, None, 660)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.lists(st.tuples(st.floats(0.001, 20), st.floats(0.001, 90_000), st.integers(1, 5)), min_size=1, max_size=40))
def test_the_window_holds_the_last_minute(steps):
    time = Time()
    to = recorder(time, Standing())
    done = []
    for number, (pause, waited, rows) in enumerate(steps):
        time.passed += pause
        publish(to, batch(number, time, [waited] * rows))
        done += [(time.passed, waited * 1000)] * rows
    pulse, second = to.pulse(), math.floor(time.passed)
    recent = sorted(waited for at, waited in done if math.floor(at) > second - 60)
    span = time.passed - max(0, second - 59)
    assert pulse.rate == pytest.approx(len(recent) / span if span else 0.0)
    for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        exact = recent[math.ceil(q * len(recent) - 1e-9) - 1]
        assert max(exact, 1) / RELATIVE_WIDTH <= pulse.latency_ms[name] * 1.000001
        assert pulse.latency_ms[name] <= max(exact, 1) * RELATIVE_WIDTH
    assert pulse.latency_ms["max"] == pytest.approx(recent[-1], rel=1e-6, abs=0.01)


def test_ages_grow_while_a_stream_is_stuck(time):
    to = recorder(time, Standing())
    publish(to, batch(0, time, [1.0]))
    time.passed = 5
    to.took(batch(1, time, [1.0] * 7))
    time.passed = 6
    to.took(batch(2, time, [1.0] * 2))
    time.passed = 65
    pulse = to.pulse()
    assert (pulse.unpublished_events, pulse.unpublished_seconds, pulse.idle_seconds) == (9, 60.0, 65.0)
    publish(to, batch(1, time, [1.0] * 7))
    pulse = to.pulse()
    assert (pulse.unpublished_events, pulse.unpublished_seconds, pulse.idle_seconds) == (2, 59.0, 0.0)


def test_lag_and_skew_are_those_of_the_partitions(time):
    partitions = (
        PartitionStanding("0", 100, 160),
        PartitionStanding("1", 50, 50),
        PartitionStanding("2", 7, None),
        PartitionStanding("3", 0, 0),
    )
    to = recorder(time, Standing(partitions=partitions))
    publish(to, batch(0, time, [1.0] * 4, ["0", "0", "0", "1"]))
    pulse = to.pulse()
    assert (pulse.lag, pulse.skew) == (60, 3.0)  # three of four events, where one would be the mean
    assert pulse.to_dict()["partitions"][2] == {"partition": "2", "position": 7, "end": None, "lag": None}


def test_files_have_neither_lag_nor_skew(time):
    to = recorder(time, Standing())
    publish(to, batch(0, time, [1.0] * 4, ["a.jsonl", "a.jsonl", "a.jsonl", "b.jsonl"]))
    assert (to.pulse().lag, to.pulse().skew) == (None, None)


def test_a_source_that_cannot_say_how_it_stands_is_counted(time):
    source = Standing(partitions=(PartitionStanding("0", 1, 3),))
    to = recorder(time, source)
    assert to.pulse().lag == 2
    source.broken = True
    assert to.pulse().lag == 2
    assert to.pulse().telemetry_errors["source standing"] == 2


def test_a_pulse_is_plain_json(time):
    to = recorder(time, Standing(partitions=(PartitionStanding("0", 1, 3),)))
    publish(to, batch(0, time, [1.0, 1e9]))
    to.incident("INC-S01-000001")
    to.incident("INC-S01-000001")
    data = json.loads(json.dumps(to.pulse().to_dict(), allow_nan=False))
    assert data["incidents"] == ["INC-S01-000001"]
    assert data["time"] == "2026-01-05T12:00:00+00:00"
    assert data["latency_histogram"][-1] == [None, 2]


# --- the heartbeat ------------------------------------------------------------------------------------------------------


class Told:
    """A listener that remembers."""

    def __init__(self, told: list) -> None:
        self.told = told

    def recovered(self, micro_batches: int) -> None:
        pass

    def published(self, batch: object) -> None:
        self.told.append(batch)

    def release_changed(self, change: object) -> None:
        self.told.append(str(change))


def test_outlets_get_the_pulse_until_the_end(time):
    to, taken, third = recorder(time, Standing()), [], threading.Event()

    def take(pulse) -> None:
        taken.append(pulse.state)
        if len(taken) == 3:
            third.set()

    with Heartbeat(to, {"list": take}, every=0.01):
        to.recovered(0)
        assert third.wait(10)
    assert (taken[-2], taken[-1]) == ("streaming", "stopped")


def test_an_outlet_that_fails_harms_nobody(time):
    to, taken = recorder(time, Standing()), []

    def fail(pulse) -> None:
        raise OSError("disk full")

    with Heartbeat(to, {"lake": fail, "list": lambda pulse: taken.append(pulse.telemetry_errors)}, every=60):
        pass
    assert taken == [{"lake": 1}, {"lake": 2}]


def test_the_last_pulse_of_a_stream_that_failed_says_so(time):
    to, taken = recorder(time, Standing()), []
    with pytest.raises(ValueError, match="no"), Heartbeat(to, {"list": lambda pulse: taken.append(pulse.state)}, every=60):
        raise ValueError("no")
    assert taken[-1] == "failed"


def test_an_outlet_that_hangs_does_not_hold_the_end_for_long(time, monkeypatch):
    monkeypatch.setattr(heartbeat, "PATIENCE_SECONDS", 0.05)
    to, let_go = recorder(time, Standing()), threading.Event()
    beating = Heartbeat(to, {"lake": lambda pulse: let_go.wait(30)}, every=60)
    with beating:
        pass
    let_go.set()
    beating._thread.join(10)
    assert to.pulse().state == "stopped"


def test_a_change_of_the_release_is_told_with_its_first_micro_batch(time):
    told: list = []
    to = recorder(time, Standing(), Told(told))
    for number, release in enumerate(("r1", "r1", "r2", "r2")):
        made = batch(number, time, [0.1])
        made.release.id = release
        to.took(made)
    assert told == ["release r2 in force from micro-batch 2 (before: r1)"]
