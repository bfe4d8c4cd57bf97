"""The live view fits its terminal, whatever the stream has to say, and says what matters."""

import io

import pytest
from rich.console import Console

from lakewarden.cli import pulse_view
from lakewarden.cli.pulse_view import View
from lakewarden.sources.port import PartitionStanding
from makers.pulses import Standing, Time, batch, publish, recorder

SIZES = [(80, 24), (120, 24), (160, 50), (100, 30)]


def report(partitions: int = 4, waited: float = 0.5, state: str = "streaming", age: float = 0.4) -> dict:
    time = Time()
    standing = tuple(PartitionStanding(str(n), 1000 + n, 1000 + n * n) for n in range(partitions))
    to = recorder(time, Standing(partitions=standing, troubles={"throttled": 3, "authentication": 1}, throttled_ms=2500.0))
    time.passed = 10
    publish(to, batch(0, time, [waited] * 100), alerts=2, dead_letters=5)
    for number in range(3):
        to.incident(f"INC-S01-{number:06d}")
    return {
        "lake": "/data/lakes/compliance",
        "time": "2026-01-05T12:01:40+00:00",
        "state": state,
        "age_seconds": age,
        "published": {"point": 1234, "batch": 5, "time": "2026-01-05T12:00:00+00:00", "notice": None},
        "release": "r1",
        "stream": {"run_id": "run-1"},
        "slo_seconds": 60.0,
        "pulse": to.pulse().to_dict(),
    }


def drawn(view: View, width: int = 80, height: int = 24) -> str:
    out = io.StringIO()
    Console(file=out, width=width, height=height, color_system=None, legacy_windows=False).print(view)
    return out.getvalue().rstrip("\n")


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("partitions", [0, 1, 8, 32, 200])
def test_it_fits_the_terminal(width: int, height: int, partitions: int):
    incidents = {f"INC-S01-{n:06d}": "10,000 events of partition 3 were deleted before they were read " * 3 for n in range(3)}
    text = drawn(View(report(partitions), [float(n % 1300) for n in range(400)], incidents, "can't reach the storage"), width, height)
    lines = text.splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    for said in ("streaming", "throughput", "latency", "p95", "in hand", "lag", "dead letters", "throttled 3", "INC-S01-000002", "pid 42"):
        assert said in text
    if partitions == 200:
        assert " more" in text


def test_those_furthest_behind_are_shown():
    text = drawn(View(report(200), [], {}))
    assert "39,402" in text  # the lag of partition 199, the largest
    assert "\n      100 " not in text


def test_figures_can_be_read():
    text = drawn(View(report(), [1200.0], {}))
    assert "1,200 events/s" in text
    assert "max 500 ms" in text
    assert "p95 is 0.8% of 60 s" in text
    assert "100.00% in time" in text
    assert "for 0:01:40" in text


def test_a_stream_that_misses_the_service_level_is_red():
    out = io.StringIO()
    Console(file=out, width=80, height=24, force_terminal=True, color_system="standard").print(View(report(waited=90.0), [], {}))
    assert "\x1b[1;31m90.0 s" in out.getvalue()


def test_no_stream_yet():
    data = {**report(), "pulse": None, "state": None, "age_seconds": None, "stream": None}
    assert "No stream has run on this lake yet" in drawn(View(data, [], {}))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 ms"), (0.0451, "45 ms"), (0.9996, "1.0 s"), (59.94, "59.9 s"), (125, "0:02:05"), (90_061, "1 d 1:01:01")],
)
def test_durations(seconds: float, text: str):
    assert pulse_view.duration(seconds) == text


@pytest.mark.parametrize(("share", "text"), [(0, "    "), (1e-9, "▏   "), (0.5, "██  "), (1, "████"), (7, "████"), (0.53125, "██▏ ")])
def test_bars(share: float, text: str):
    assert pulse_view.bar(share, 4) == text


def test_sparks_show_the_newest():
    assert pulse_view.spark([9, 0, 5, 10], 3) == "▁▄█"
    assert pulse_view.spark([0, 0], 5) == "▁▁"
    assert pulse_view.spark([], 5) == ""
