"""Simulations on disk: the same bytes, the right files, the right pace, and clear refusals."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import zstandard

from lakewarden.errors import StorageError, UsageError
from lakewarden.progress import Progress
from lakewarden.sources.simulator import Plan, generate, simulate

SMALL = {"seed": 5, "days": 2, "customers": 120, "events_per_day": 400}
PINNED = "f3b456f736b7cfdbb0e74cd58e5af76009da5dca9472c18b32e887ba1843fba3"
"""SHA-256 over every file of `SMALL` with all faults: the same on every machine, or determinism is broken.

Change it only with the simulator's own rules; then say so in the changelog.
"""


def fingerprint(out: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(out.rglob("*")):
        if path.is_file():
            digest.update(f"{path.relative_to(out).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "out"
    simulate(out, **SMALL, faults="all")
    return out


def test_the_bytes_are_pinned(written: Path) -> None:
    assert fingerprint(written) == PINNED


def test_one_thread_writes_the_same_bytes(written: Path, tmp_path: Path) -> None:
    code = f"from lakewarden.sources.simulator import simulate; simulate({str(tmp_path / 'out')!r}, **{SMALL!r}, faults='all')"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "POLARS_MAX_THREADS": "1"}, timeout=60)
    assert fingerprint(tmp_path / "out") == fingerprint(written)


def test_the_cut_into_files_changes_no_line(written: Path, tmp_path: Path) -> None:
    report = simulate(tmp_path / "out", **SMALL, faults="all", file_rows=37)
    assert report.files > 20
    assert lines(tmp_path / "out") == lines(written)


def lines(out: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted((out / "events").iterdir()))


def test_files_hold_what_generate_gives(written: Path) -> None:
    days = list(generate(Plan(**SMALL, faults="all")))
    assert lines(written).splitlines() == [body for day in days for body in day.bodies().to_list()]
    labels = pl.read_csv(written / "labels" / "labels.csv", schema=days[0].labels().schema)
    assert labels.equals(pl.concat([day.labels() for day in days]))
    faults = pl.read_csv(written / "labels" / "faults.csv")
    assert faults.columns == ["line", "file", "transaction_id", "fault", "detail"]
    assert faults.height == sum(day.faults.height for day in days)
    records = pl.concat([pl.read_csv(path) for path in sorted((written / "system_of_record").iterdir())])
    assert records.height == labels.height
    assert set(records["transaction_id"]) == set(labels["transaction_id"])


def test_the_system_of_record_is_filed_by_event_date(written: Path) -> None:
    for path in (written / "system_of_record").iterdir():
        assert pl.read_csv(path)["event_time"].str.slice(0, 10).unique().to_list() == [path.stem]


def test_a_fault_names_the_file_that_its_line_is_in(tmp_path: Path) -> None:
    simulate(tmp_path / "out", **SMALL, faults="all", file_rows=50)
    at = 0
    where: dict[int, str] = {}
    for path in sorted((tmp_path / "out" / "events").iterdir()):
        for _ in path.read_bytes().splitlines():
            where[at], at = path.name, at + 1
    named = pl.read_csv(tmp_path / "out" / "labels" / "faults.csv").filter(pl.col("line").is_not_null())
    assert named.height > 50
    assert all(where[line] == file for line, file in named.select("line", "file").iter_rows())


def test_the_manifest_and_the_report_count_what_is_there(tmp_path: Path) -> None:
    report = simulate(tmp_path / "out", **SMALL, faults="all")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["kind"] == "lakewarden-simulation"
    assert (manifest["complete"], manifest["seed"], manifest["days"], manifest["start"]) == (True, 5, 2, "2026-01-05")
    counts = manifest["counts"]
    assert counts["rows"] == report.rows == len(lines(tmp_path / "out").splitlines())
    labels = pl.read_csv(tmp_path / "out" / "labels" / "labels.csv")
    assert counts["transactions"] == report.transactions == labels.height
    assert counts["labels"] == report.labels
    assert sum(report.labels.values()) == labels["is_fraud"].sum()
    faults = pl.read_csv(tmp_path / "out" / "labels" / "faults.csv")
    assert report.faults == counts["faults"] == dict(faults["fault"].value_counts().iter_rows())
    told = report.to_dict()
    assert told["ok"] is True
    assert json.loads(json.dumps(told))["rows"] == report.rows


@pytest.mark.parametrize(("compress", "suffix"), [("gzip", ".jsonl.gz"), ("zstd", ".jsonl.zst")])
def test_compressed_files_hold_the_same_text(written: Path, tmp_path: Path, compress, suffix: str) -> None:
    simulate(tmp_path / "out", **SMALL, faults="all", compress=compress)
    files = sorted((tmp_path / "out" / "events").iterdir())
    assert all(path.name.endswith(suffix) for path in files)
    opened = gzip.decompress if compress == "gzip" else zstandard.ZstdDecompressor().decompress
    assert b"".join(opened(path.read_bytes()) for path in files) == lines(written)


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_a_rate_is_kept_in_small_whole_files(tmp_path: Path) -> None:
    time = Time()
    seen: list[int] = []

    def sleep(seconds: float) -> None:
        names = [path.name for path in (tmp_path / "out" / "events").iterdir()]
        assert not any(name.startswith(".") for name in names)
        seen.append(len(names))
        time.sleep(seconds)

    report = simulate(tmp_path / "out", **SMALL, rate=100, clock=time.clock, sleep=sleep)
    assert report.seconds == pytest.approx(report.rows / 100)
    assert seen == list(range(1, report.files + 1))
    assert report.files >= report.rows // 20
    assert max(time.slept) <= 0.2 + 1e-9


def test_a_machine_too_slow_for_the_rate_never_sleeps(tmp_path: Path) -> None:
    ticks = iter(range(10_000_000))
    time = Time()
    simulate(tmp_path / "out", **SMALL, rate=1000, clock=lambda: float(next(ticks)) * 1000, sleep=time.sleep)
    assert time.slept == []


def test_progress_rises_to_the_number_of_rows(tmp_path: Path) -> None:
    told: list[Progress] = []
    report = simulate(tmp_path / "out", **SMALL, file_rows=100, on_progress=told.append)
    done = [progress.done for progress in told]
    assert done == sorted(done)
    assert done[-1] == report.rows
    assert all(progress.total is not None and progress.done <= progress.total for progress in told)


def test_it_stops_when_asked_and_says_so(tmp_path: Path) -> None:
    asked = iter([False, False, True])
    report = simulate(tmp_path / "out", **SMALL, file_rows=50, stop=lambda: next(asked))
    assert (report.stopped, report.rows, report.files) == (True, 150, 3)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["stopped"], manifest["complete"], manifest["counts"]["rows"]) == (True, False, 150)


def test_a_sink_takes_the_events_in_order_with_their_keys(written: Path, tmp_path: Path) -> None:
    taken: list[tuple[bytes, bytes]] = []
    report = simulate("kafka://broker/topic", **SMALL, faults="all", sink=taken.extend, companions=tmp_path / "side", file_rows=100)
    assert b"".join(body + b"\n" for _, body in taken) == lines(written)
    assert all(key.startswith(b"A1") for key, _ in taken)
    assert report.files == 0
    assert not list((tmp_path / "side" / "events").iterdir())
    assert (tmp_path / "side" / "reference" / "kyc.csv").read_bytes() == (written / "reference" / "kyc.csv").read_bytes()


def test_a_sink_alone_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    taken: list[tuple[bytes, bytes]] = []
    report = simulate("kafka://broker/topic", **SMALL, sink=taken.extend)
    assert len(taken) == report.rows
    assert not list(tmp_path.iterdir())


def test_a_topic_without_a_sink_is_refused() -> None:
    with pytest.raises(UsageError, match="neither a folder nor a topic"):
        simulate("kafka://broker/topic", **SMALL)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"rate": -1.0}, "rate is -1.0"),
        ({"rate": 0}, "rate is 0"),
        ({"rate": float("nan")}, "rate is nan"),
        ({"file_rows": 0}, "file_rows is 0"),
        ({"compress": "rar"}, "compress is 'rar'"),
        ({"companions": "x"}, "companions is for a topic"),
        ({"days": 0}, "days is 0"),
    ],
)
def test_refusals_write_nothing(tmp_path: Path, wrong, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        simulate(tmp_path / "out", **{**SMALL, **wrong})
    assert not (tmp_path / "out").exists()


def test_an_unknown_uri_is_refused() -> None:
    with pytest.raises(UsageError, match="neither a folder nor"):
        simulate("ftp://somewhere", **SMALL)


def test_a_folder_that_holds_something_else_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "mine.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match="not a simulation"):
            simulate(tmp_path, **SMALL, overwrite=overwrite)
    assert (tmp_path / "events" / "mine.txt").read_text() == "mine"


def test_an_earlier_simulation_is_replaced_only_when_told(written: Path, tmp_path: Path) -> None:
    simulate(tmp_path / "out", **{**SMALL, "days": 3, "start": date(2026, 2, 1)})
    with pytest.raises(UsageError, match="holds a simulation already") as caught:
        simulate(tmp_path / "out", **SMALL, faults="all")
    assert "--overwrite" in caught.value.next
    simulate(tmp_path / "out", **SMALL, faults="all", overwrite=True)
    assert fingerprint(tmp_path / "out") == fingerprint(written)


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        simulate(tmp_path / "out", **SMALL)


def test_a_full_disk_is_a_storage_error_and_leaves_whole_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.write_bytes
    written: list[Path] = []

    def write_bytes(self: Path, data: bytes) -> int:
        if self.name.endswith(".jsonl.partial"):
            written.append(self)
            if len(written) > 2:
                real(self, data[:10])
                raise OSError(28, "No space left on device")
        return real(self, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(StorageError, match="No space left on device") as caught:
        simulate(tmp_path / "out", **SMALL, file_rows=100)
    assert caught.value.next
    whole = [path for path in (tmp_path / "out" / "events").iterdir() if not path.name.startswith(".")]
    assert [len(path.read_bytes().splitlines()) for path in whole] == [100, 100]
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["complete"] is False
