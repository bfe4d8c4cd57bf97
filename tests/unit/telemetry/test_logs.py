"""The log: JSON line by line, what happened in order, nothing of an event."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from lakewarden.engines.embedded import EmbeddedEngine
from lakewarden.errors import ConfigurationError, LakeBusyError, UsageError
from lakewarden.sources.files import FileSource
from lakewarden.sources.port import Gap, Notices
from lakewarden.telemetry.logs import StreamLog
from makers.pulses import Standing, Time, batch, publish, recorder

from .conftest import ROWS, SECRET


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_streams_log_tells_what_happened_in_order(empty, events, tmp_path):
    report = empty.stream(events, once=True, log=tmp_path / "stream.log", log_level="debug")
    logged = lines(tmp_path / "stream.log")
    assert [line["event"] for line in logged] == ["stream.started", "stream.recovered", "micro_batch.published", "stream.stopped"]
    assert {line["run_id"] for line in logged} == {report.run_id}
    assert [line["level"] for line in logged] == ["info", "info", "debug", "info"]
    assert (logged[2]["rows"], logged[3]["rows"], logged[3]["counts"]["dead_letters"]) == (ROWS, ROWS, 1)
    assert all(dt.datetime.fromisoformat(line["time"]).tzinfo for line in logged)
    assert SECRET not in (tmp_path / "stream.log").read_text()


def test_the_log_is_appended_to_and_levels_are_kept(empty, events, tmp_path):
    for _ in range(2):
        empty.stream(events, once=True, log=tmp_path / "stream.log")
    names = [line["event"] for line in lines(tmp_path / "stream.log")]
    assert names == ["stream.started", "stream.recovered", "stream.stopped"] * 2
    empty.stream(events, once=True, log=tmp_path / "quiet.log", log_level="warning")
    assert lines(tmp_path / "quiet.log") == []


def test_a_log_on_stderr(empty, events, capfd):
    empty.stream(events, once=True, log="-")
    assert [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()] == [
        "stream.started",
        "stream.recovered",
        "stream.stopped",
    ]


def test_a_failure_is_logged_in_our_words_and_a_foreign_one_by_its_kind_alone(empty, events, tmp_path, monkeypatch):
    with empty.writing("run-first"), pytest.raises(LakeBusyError):
        empty.stream(events, once=True, log=tmp_path / "stream.log")
    (busy,) = lines(tmp_path / "stream.log")
    assert (busy["event"], busy["level"], busy["kind"]) == ("stream.failed", "error", "LakeBusyError")
    assert "run-first" in busy["what"]
    assert busy["next"]

    def fail(*_: object, **__: object) -> None:
        raise ValueError(f"can't parse {SECRET}")

    monkeypatch.setattr(EmbeddedEngine, "write", fail)
    with pytest.raises(ValueError, match=SECRET):
        empty.stream(events, once=True, log=tmp_path / "stream.log")
    last = lines(tmp_path / "stream.log")[-1]
    assert (last["event"], last["kind"]) == ("stream.failed", "ValueError")
    assert SECRET not in (tmp_path / "stream.log").read_text()


def test_a_log_that_cannot_be_written_is_told_before_anything_is(empty, events, tmp_path):
    with pytest.raises(ConfigurationError, match=r"nowhere.*can't be written"):
        empty.stream(events, once=True, log=tmp_path / "nowhere" / "stream.log")
    with pytest.raises(UsageError, match="loud"):
        empty.stream(events, once=True, log=tmp_path / "stream.log", log_level="loud")
    assert empty.pulse().to_dict()["pulse"] is None


def test_a_log_that_fills_the_disk_does_not_end_the_stream(empty, events):
    report = empty.stream(events, once=True, log="/dev/full", log_level="debug")
    assert report.rows == ROWS
    assert empty.pulse().to_dict()["pulse"]["telemetry_errors"]["log"] >= 1


def test_pulses_every_ten_seconds_troubles_at_once_and_gaps(tmp_path):
    time, source = Time(), Standing()
    to = recorder(time, source)
    with StreamLog(str(tmp_path / "log"), "info", time.now, {"run_id": "run-1"}) as log:
        for second in range(22):
            time.passed = second
            if second == 3:
                source.troubles = {"throttled": 2}
            if second == 5:
                source.troubles = {"throttled": 7, "authentication": 1}
                publish(to, batch(0, time, [1.0]))
            log.pulse(to.pulse())
        log.gap(Gap("kafka://b/t/id", "3", 10, 19, "retention", "10 events were deleted before they were read"), "INC-S01-000001")
        log.gap(Gap("kafka://b/t/id", "4", 10, None, "recreated", "the topic is another one"), "INC-S01-000002")
    logged = lines(tmp_path / "log")
    assert [line["event"] for line in logged] == [
        "stream.started",
        *["source.trouble"] * 3,
        *["stream.pulse"] * 2,
        *["gap.found"] * 2,
    ]
    assert [(line["kind"], line["count"], line["new"]) for line in logged[1:4]] == [
        ("throttled", 2, 2),
        ("throttled", 7, 5),
        ("authentication", 1, 1),
    ]
    assert logged[4]["latency_ms"]["max"] == 1000.0
    assert [(line["incident"], line["lost"], line["partition"]) for line in logged[6:]] == [
        ("INC-S01-000001", 10, "3"),
        ("INC-S01-000002", None, "4"),
    ]


def test_a_gap_is_in_the_log_the_pulse_and_the_report_under_its_incidents_id(empty, events, tmp_path, monkeypatch):
    lost = [Gap("kafka://b/t/id", "3", 10, 19, "retention", "10 events were deleted before they were read")]

    class Gapped(FileSource):
        """Files with a gap."""

        def take_notices(self) -> Notices:
            return Notices(gaps=[lost.pop()] if lost else [])

    monkeypatch.setattr("lakewarden.sources.open.open_source", lambda uri, once, **_: Gapped(Path(uri), once=once))
    report = empty.stream(events, once=True, log=tmp_path / "stream.log")
    (gap,) = [line for line in lines(tmp_path / "stream.log") if line["event"] == "gap.found"]
    assert report.incidents == (gap["incident"],)
    assert empty.pulse().to_dict()["pulse"]["incidents"] == [gap["incident"]]
    assert empty.incident_show(gap["incident"]).to_dict()["title"] == gap["detail"]
