"""How often the pulse goes into the lake: every second into a folder, every fifth into an object store, and always at the end."""

from __future__ import annotations

import json

import pytest

from lakewarden.operations import last_pulse
from lakewarden.operations.heartbeat import Heartbeat
from lakewarden.telemetry.outlets import Telemetry, Wanted
from makers.pulses import Standing, Time


class Objects:
    """A store that remembers what was put."""

    def __init__(self, local: object) -> None:
        self.local = local
        self.put_states: list[str] = []

    def put(self, path: str, data: bytes) -> None:
        assert path == last_pulse.PATH
        self.put_states.append(json.loads(data)["state"])


@pytest.mark.parametrize(("local", "times"), [("folder", 12), (None, 3)])
def test_a_store_gets_the_pulse_as_often_as_it_can_bear(local, times):
    time, store = Time(), Objects(local)
    telemetry = Telemetry(Wanted(), "run-1", Standing(), time.clocks, store)
    for second in range(12):
        time.passed = second
        telemetry._keep(telemetry.recorder.pulse())
    assert len(store.put_states) == times
    telemetry.recorder.ended(failed=True)
    telemetry._keep(telemetry.recorder.pulse())
    assert store.put_states[-1] == "failed"


def test_beating_closes_what_was_opened(tmp_path):
    time, store = Time(), Objects("folder")
    with Telemetry(Wanted(log=str(tmp_path / "log")), "run-1", Standing(), time.clocks, store) as telemetry:
        with telemetry.beating(lambda _: None):
            pass
        telemetry.published(None)  # too late: counted, not raised
        assert telemetry.recorder.pulse().telemetry_errors == {"log": 1}
    assert store.put_states[-1] == "stopped"
    assert [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()] == ["stream.started", "stream.stopped"]


def test_a_pulse_that_cannot_be_had_ends_nothing():
    time = Time()
    telemetry = Telemetry(Wanted(), "run-1", Standing(), time.clocks, Objects("folder"))
    telemetry.recorder._memory = lambda: 1 // 0
    with Heartbeat(telemetry.recorder, {"lake": telemetry._keep}, every=60):
        pass
    telemetry.recorder._memory = lambda: 0
    assert telemetry.recorder.pulse().telemetry_errors == {"lake": 2}
