"""Watching: rates between pulses, titles asked for once, storage that is away for a moment."""

from __future__ import annotations

import io
import json
import threading

import pytest

from lakewarden.cli import watch
from lakewarden.cli.watch import Rates, Titles
from lakewarden.errors import LakeError, StorageError
from lakewarden.operations.status import Report


def pulse(second: int, rows: int, run_id: str = "run-1") -> dict:
    return {"run_id": run_id, "time": f"2026-01-05T12:00:{second:02}+00:00", "rows": rows}


def test_rates_are_those_between_pulses():
    rates = Rates()
    for seen in (None, pulse(0, 100), pulse(1, 1300), pulse(1, 1300), pulse(3, 1500), pulse(4, 7, "run-2"), pulse(5, 10, "run-2")):
        rates.add(seen)
    assert list(rates.seen) == [1200.0, 100.0, 3.0]


def test_titles_are_asked_for_once():
    asked = []

    class Lake:
        def incident_show(self, name: str) -> Report:
            asked.append(name)
            if name == "INC-2":
                raise LakeError("there is none")
            return Report({"title": f"title of {name}"})

    titles = Titles(Lake())
    for _ in range(2):
        assert titles.of({"incidents": ["INC-1", "INC-2"]}) == {"INC-1": "title of INC-1", "INC-2": "see: lakewarden incident show INC-2"}
    assert titles.of(None) == {}
    assert asked == ["INC-1", "INC-2"]


class Away:
    """A lake whose storage is away at the second look; the fourth one is the last."""

    def __init__(self, stop: threading.Event, error: Exception) -> None:
        self.looks, self.stop, self.error = 0, stop, error

    def pulse(self) -> Report:
        self.looks += 1
        if self.looks == 2:
            raise self.error
        if self.looks == 4:
            self.stop.set()
        return Report({"look": self.looks})


class Out:
    """A face that keeps its lines."""

    def __init__(self) -> None:
        self.out = io.StringIO()

    def line(self, report: Report) -> None:
        self.out.write(json.dumps(report.to_dict()) + "\n")


def test_lines_go_on_when_the_storage_is_back():
    stop, face = threading.Event(), Out()
    watch._lines(Away(stop, StorageError("the network is gone")), face, 0.001, stop)
    looks = [json.loads(line) for line in face.out.getvalue().splitlines()]
    assert [look["ok"] for look in looks] == [True, False, True, True]
    assert looks[1]["error"] == {"what": "the network is gone", "kind": "StorageError", "transient": True}


def test_a_lake_that_is_gone_ends_the_watching():
    stop = threading.Event()
    with pytest.raises(LakeError):
        watch._lines(Away(stop, LakeError("no lake")), Out(), 0.001, stop)
