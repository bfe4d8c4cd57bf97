"""One stream a lake, promises 2 and 4: who is killed is followed at once; who was paused and wakes up writes nothing any more."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

import lakewarden
from lakewarden.lake import lease, published
from lakewarden.lake.store import Store
from lakewarden.tables import BRONZE

EVENTS = 480
BATCH_ROWS = 16
LEASE_SECONDS = 2
SEEDS = range(1, 6 if "LAKEWARDEN_KILLS" in os.environ else 2)
"""When a stream is paused: `make soak` tries more moments."""

STREAM = """
import functools, json, os, re, signal, sys, time
from datetime import timedelta
from lakewarden.app import Lake
from lakewarden.errors import LakewardenError
from lakewarden.lake import maintenance, published
from lakewarden.lake.lakehouse import Lakehouse
from lakewarden.lake.store import Store
from lakewarden.settings import LakeSettings

root, source, rows, seconds, method, wanted, nth, when = sys.argv[1:]
if method == "few points":
    published.clean = functools.partial(published.clean, keep=3)
    maintenance.POINTS_EVERY = timedelta(0)
elif method:
    write, seen = getattr(Store, method), 0

    def stopping(self, path, data):
        global seen
        text = path + " " + (data[:300].decode("latin1") if isinstance(data, bytes) else "")
        found = re.search(wanted, text) is not None
        seen += found
        here = found and seen == int(nth)
        if here and when == "before":
            stop()
        written = write(self, path, data)
        if here and when == "behind":
            stop()
        return written

    def stop():
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(0.2)  # the signal stops every thread, but not before this one has gone on for a moment

    setattr(Store, method, stopping)
settings = LakeSettings(lease_seconds=float(seconds), compact_every=4)
try:
    report = Lake(Lakehouse.open(root, settings)).stream(source, once=True, batch_rows=int(rows), wait=True)
    print(json.dumps({"rows": report.rows}))
except LakewardenError as error:
    print(json.dumps({"error": type(error).__name__, "what": error.what, "next": error.next}))
"""

MOMENTS = {
    "before a bronze file": ("put", "^transactions_bronze/", 5, "before"),
    "between a file and its commit": ("put_new", "^transactions_silver/_delta_log/", 5, "before"),
    "behind a bronze commit": ("put_new", "^transactions_bronze/_delta_log/", 6, "behind"),
    "before the run record": ("put_new", "^pipeline_runs/_delta_log/", 5, "before"),
    "inside a publication, before its point": ("put_new", "^_published/points/", 6, "before"),
    "inside a publication, behind its point": ("put_new", "^_published/points/", 6, "behind"),
    "before a compaction's commit": ("put_new", "OPTIMIZE", 2, "before"),
    "before a renewal": ("put", "^_lease/", 1, "before"),
    "while it claims the tables": ("put_new", "CLAIM", 4, "before"),
}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("sim") / "events"
    lakewarden.simulate(out, seed=6, days=1, customers=100, events_per_day=EVENTS, faults="all")
    return out


@pytest.fixture
def root(tmp_path, simulated) -> str:
    return new_lake(str(tmp_path / "lake"), simulated)


@pytest.fixture
def azure_lake(azure_root, simulated) -> str:
    return new_lake(f"{azure_root}/lake", simulated)


def new_lake(root: str, source: Path) -> str:
    lakewarden.init(root).reference_import(source / "reference")
    return root


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts processes, and ends those that are left."""
    processes: list[subprocess.Popen[str]] = []

    def start(*command: object) -> subprocess.Popen[str]:
        words = [sys.executable, *map(str, command)]
        processes.append(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def cli(root: str, source: Path, *options: str) -> tuple[object, ...]:
    return "-m", "lakewarden", "stream", "--lake", root, "--source", source, "--json", "--batch-rows", BATCH_ROWS, *options


def script(root: str, source: Path, method: str = "", wanted: str = "", nth: int = 0, when: str = "") -> tuple[object, ...]:
    return "-c", STREAM, root, source, BATCH_ROWS, LEASE_SECONDS, method, wanted, nth, when


def until(true: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"it never came to that: {process.communicate() if process.poll() is not None else 'still running'}")
        time.sleep(0.01)


def streams(root: str, process: subprocess.Popen[str]) -> bool:
    found = lease.holder(Store(root))
    return found is not None and found["pid"] == process.pid and published.read(Store(root)).batch >= 0


def stopped(process: subprocess.Popen[str]) -> bool:
    return psutil.Process(process.pid).status() == psutil.STATUS_STOPPED


@contextmanager
def watched(root: str) -> Iterator[None]:
    """Readers all along: whatever they see is never behind what was seen before."""
    store, ended, back = Store(root), threading.Event(), []

    def watch() -> None:
        before = published.read(store)
        while not ended.is_set():
            now = published.read(store)
            versions = all(now.versions[name] >= version for name, version in before.versions.items())
            if not (
                versions and (now.point, now.batch, now.epoch) >= (before.point, before.batch, before.epoch) and now.batch >= before.batch
            ):
                back.append((before, now))
            before = now
            time.sleep(0.005)  # the streams need the processor too, and publish less often than that

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    assert back == []


def assert_nothing_lost_or_doubled(root: str, source: Path) -> None:
    lake = lakewarden.open(root)
    bronze = lake.table(BRONZE.name).select("seq", "source_partition", "source_offset", "event_date").sort("seq").collect()
    lines = sum(file.read_bytes().count(b"\n") for file in (source / "events").iterdir())
    assert bronze.height == lines
    assert bronze["seq"].to_list() == list(range(lines))
    assert bronze.select("source_partition", "source_offset").is_unique().all()
    days = bronze["event_date"].unique()
    assert all(lake.conserve(day).ok for day in days)
    assert lake.verify(bronze["event_date"].mode()[0]).differences == 0
    batches = lake.table("pipeline_runs").select("batch").sort("batch").collect()["batch"].to_list()
    assert batches == list(range(len(batches)))


def assert_the_second_goes_on_and_the_first_is_fenced(root: str, source: Path, first, second) -> None:
    """`first` is stopped. What `second` runs takes over and streams to the end; then `first` wakes up."""
    with watched(root):
        out, err = second.communicate(timeout=240)
        assert second.returncode == 0, err
        assert "error" not in json.loads(out)
        point = published.read(Store(root))
        first.send_signal(signal.SIGCONT)
        out, err = first.communicate(timeout=60)
        assert first.returncode == 0, err
        told = json.loads(out)
        assert told["error"] == "FencedError"
        assert f"process {second.pid}" in told["what"]
        assert told["next"] == "lakewarden status"
        assert published.read(Store(root)) == point
    assert_nothing_lost_or_doubled(root, source)
    assert lease.holder(Store(root)) is None


def test_a_second_stream_is_refused_and_told_who_holds_the_lake(root, simulated, started):
    first = started(*cli(root, simulated))
    until(lambda: streams(root, first), first)
    second = started(*cli(root, simulated))
    out, _ = second.communicate(timeout=60)
    error = json.loads(out)["error"]
    assert (second.returncode, error["kind"], error["transient"]) == (1, "LakeBusyError", True)
    assert f"process {first.pid} on " in error["what"]
    assert first.poll() is None


def test_a_waiting_stream_takes_over_at_once_when_the_first_is_killed(root, simulated, started):
    first = started(*cli(root, simulated))
    until(lambda: streams(root, first), first)
    second = started(*cli(root, simulated, "--once", "--wait"))
    third = started(*cli(root, simulated, "--wait"))
    time.sleep(5)
    assert (second.poll(), third.poll(), streams(root, first)) == (None, None, True)
    third.send_signal(signal.SIGTERM)
    out, err = third.communicate(timeout=30)
    assert (third.returncode, json.loads(out)["stopped"], json.loads(out)["rows"]) == (0, True, 0), err
    os.kill(first.pid, signal.SIGKILL)
    killed = time.monotonic()
    first.wait()
    until(lambda: streams(root, second), second)
    assert time.monotonic() - killed < LEASE_SECONDS
    out, err = second.communicate(timeout=120)
    assert second.returncode == 0, err
    assert_nothing_lost_or_doubled(root, simulated)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_paused_stream_that_wakes_up_writes_nothing_any_more(root, simulated, started, moment):
    first = started(*script(root, simulated, *MOMENTS[moment]))
    until(lambda: stopped(first), first)
    second = started(*cli(root, simulated, "--once", "--wait"))
    assert_the_second_goes_on_and_the_first_is_fenced(root, simulated, first, second)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
def test_it_does_not_matter_when_it_was_paused(root, simulated, started, seed):
    dice = random.Random(seed)
    first = started(*script(root, simulated))
    until(lambda: streams(root, first), first)
    time.sleep(dice.uniform(0.0, 1.5))
    first.send_signal(signal.SIGSTOP)
    second = started(*cli(root, simulated, "--once", "--wait"))
    assert_the_second_goes_on_and_the_first_is_fenced(root, simulated, first, second)


@pytest.mark.timeout(600)
def test_a_number_that_was_used_and_cleaned_away_is_not_used_again(root, simulated, started):
    """Paused before it creates its point: when it wakes up, the name is free once more."""
    first = started(*script(root, simulated, "put_new", "^_published/points/", 6, "before"))
    until(lambda: stopped(first), first)
    following = published.read(Store(root)).point + 1
    second = started(*script(root, simulated, "few points"))
    assert_the_second_goes_on_and_the_first_is_fenced(root, simulated, first, second)
    assert not Store(root).exists(published.path(following))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("moment", ["between a file and its commit", "inside a publication, before its point"])
def test_it_is_the_same_on_azure(azure_lake, simulated, started, moment):
    first = started(*script(azure_lake, simulated, *MOMENTS[moment]))
    until(lambda: stopped(first), first)
    second = started(*cli(azure_lake, simulated, "--once", "--wait"))
    assert_the_second_goes_on_and_the_first_is_fenced(azure_lake, simulated, first, second)


@pytest.mark.timeout(600)
def test_on_azure_who_was_killed_is_followed_when_its_time_has_passed(azure_lake, simulated, started):
    first = started(*script(azure_lake, simulated))
    until(lambda: streams(azure_lake, first), first)
    os.kill(first.pid, signal.SIGKILL)
    killed = time.monotonic()
    second = started(*script(azure_lake, simulated))
    until(lambda: streams(azure_lake, second), second)
    assert time.monotonic() - killed > LEASE_SECONDS / 2
    _, err = second.communicate(timeout=240)
    assert second.returncode == 0, err
    assert_nothing_lost_or_doubled(azure_lake, simulated)
