"""The lease: one holder an epoch, epochs that only grow, the dead followed at once and the silent after their time."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict

import pytest

from lakewarden.errors import FencedError, LakeBusyError, StorageError
from lakewarden.lake import lease
from lakewarden.lake.lease import Lease
from lakewarden.lake.store import Store

SHORT = 0.4
LONG = 60.0

HOLDER = """
import sys, time
from lakewarden.errors import LakeBusyError
from lakewarden.lake.lease import Lease
from lakewarden.lake.store import Store
root, run, at = sys.argv[1:]
time.sleep(max(0.0, float(at) - time.time()))
try:
    with Lease(Store(root), run, "2026-01-05", expires=60) as held:
        print(held.epoch, flush=True)
        time.sleep(120 if at == "0" else 3)
except LakeBusyError as error:
    print("busy", flush=True)
"""


@pytest.fixture(params=["local", "azure"])
def store(request, tmp_path) -> Store:
    return Store(tmp_path, create=True) if request.param == "local" else Store(f"{request.getfixturevalue('azure_root')}/lake")


@pytest.fixture
def local(tmp_path) -> Store:
    return Store(tmp_path, create=True)


@pytest.fixture
def silent(monkeypatch) -> Callable[..., Lease]:
    """A lease whose holder never renews, as if it were paused."""

    def made(store: Store, run_id: str, expires: float = SHORT) -> Lease:
        made = Lease(store, run_id, "2026-01-05", expires=expires)
        monkeypatch.setattr(made, "_renewer", threading.Thread(target=lambda: None))
        return made

    return made


def held(store: Store, run_id: str, **options) -> Lease:
    return Lease(store, run_id, "2026-01-05", **options)


def test_every_holder_has_a_higher_epoch_and_it_outlives_them(store):
    for epoch in (1, 2, 3):
        with held(store, f"run-{epoch}") as one:
            assert one.epoch == epoch
            assert lease.holder(store) == {**(lease.holder(store) or {}), "epoch": epoch, "run_id": f"run-{epoch}"}
        assert lease.holder(store) is None
    assert lease.epochs(store) == [3]


def test_a_second_is_refused_and_told_who_holds_it_since_when(store):
    with (
        held(store, "run-1"),
        pytest.raises(LakeBusyError, match=r"process \d+ on .+ \(run run-1, since 2026-01-05\)") as caught,
        held(store, "run-2"),
    ):
        pass
    assert "--wait" in caught.value.next
    assert lease.holder(store) is None


def test_a_holder_renews_for_as_long_as_it_lives(store):
    with held(store, "run-1", expires=SHORT) as one:
        for _ in range(6):
            time.sleep(SHORT / 2)
            with pytest.raises(LakeBusyError), held(store, "run-2"):
                pass
        assert not one.look()


def test_a_silent_holder_is_taken_over_when_its_time_has_passed_and_not_before(store, silent):
    with pytest.raises(FencedError, match="run-2"), silent(store, "run-1", expires=2.0) as paused:  # noqa: PT012  (what it stumbles over)
        with pytest.raises(LakeBusyError), held(store, "run-2", expires=0.01):
            pass  # it is the holder's time that counts
        time.sleep(2.1)
        with held(store, "run-2") as second:
            assert second.epoch == 2
            assert paused.look()
            with pytest.raises(FencedError, match="run-2"):
                paused.check()
        raise StorageError("a file is gone")


def test_a_holder_whose_clock_is_behind_is_not_taken_for_silent(store, monkeypatch):
    one = held(store, "run-1", expires=1.0)
    told = one._state
    monkeypatch.setattr(one, "_state", lambda epoch, renewed: told(epoch, renewed - 3600))
    with one:
        for _ in range(3):
            with pytest.raises(LakeBusyError, match="run-1"), held(store, "run-2"):
                pass
        assert not one.look()


def test_one_that_was_taken_over_harms_nobody_by_renewing(store, silent):
    with silent(store, "run-1") as paused:
        time.sleep(SHORT)
        with held(store, "run-2") as second:
            store.put(lease.path(1), paused._state(1, time.time()))  # it was just about to, when it was paused
            assert lease.holder(store)["run_id"] == "run-2"
            assert paused.look()
            assert not second.look()
    with held(store, "run-3") as third:
        assert third.epoch == 3
        assert lease.epochs(store) == [3]


def test_renewal_survives_a_storage_that_does_not_answer_for_a_while(store, monkeypatch):
    put, failed = store.put, []

    def failing(path, data):
        if path.startswith(lease.FOLDER) and len(failed) < 3:
            failed.append(path)
            raise StorageError("no connection")
        put(path, data)

    with held(store, "run-1", expires=1.5) as one:
        monkeypatch.setattr(store, "put", failing)
        time.sleep(2.5)
        assert len(failed) == 3
        with pytest.raises(LakeBusyError), held(store, "run-2"):
            pass
        assert not one.look()


@pytest.mark.parametrize("contenders", [2, 8])
def test_of_contenders_at_once_one_holds_it(store, contenders):
    for _ in range(3):
        ready, done = threading.Barrier(contenders), threading.Barrier(contenders)
        won, lost = [], []

        def contend(number, ready=ready, done=done, won=won, lost=lost):
            ready.wait()
            try:
                with held(store, f"run-{number}") as one:
                    won.append(one.epoch)
                    done.wait()
            except LakeBusyError:
                lost.append(number)
                done.wait()

        threads = [threading.Thread(target=contend, args=(number,)) for number in range(contenders)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(won), len(lost)) == (1, contenders - 1)


def test_of_processes_at_once_one_holds_it(local):
    at = time.time() + 4
    command = [sys.executable, "-c", HOLDER, local.root]
    processes = [subprocess.Popen([*command, f"run-{n}", str(at)], stdout=subprocess.PIPE, text=True) for n in range(4)]
    told = sorted(process.communicate(timeout=60)[0].strip() for process in processes)
    assert told == ["1", "busy", "busy", "busy"]


def test_a_killed_holder_is_followed_at_once(local):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, local.root, "run-1", "0"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == "1"
    with pytest.raises(LakeBusyError, match=f"process {process.pid} "), held(local, "run-2"):
        pass
    process.kill()
    process.communicate()
    assert lease.holder(local) is None
    with held(local, "run-2") as second:
        assert second.epoch == 2
    assert [file.name for file in (local.local / lease.FOLDER).iterdir()] == [f"{2:020d}.json"]


def test_who_only_looks_is_not_taken_for_the_holder(local):
    """The holder is dead, and somebody is trying its lock just now."""
    lock = local.local / lease.FOLDER / "dead.lock"
    lock.parent.mkdir()
    lock.touch()
    dead = lease.Holding(1, "h", 1, "run-1", "2026-01-05", "dead", LONG, time.time())
    local.put(lease.path(1), json.dumps(asdict(dead)).encode())
    with lock.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        with held(local, "run-2") as one:
            assert one.epoch == 2


def test_an_epoch_that_was_used_and_cleared_away_is_not_held_again(store, monkeypatch):
    """A contender is paused before it creates the next epoch's object, and others have come and gone when it wakes up."""
    with held(store, "run-1"):
        pass
    late = Store(store.root)
    create = late.put_new

    def paused(path, data):
        monkeypatch.setattr(late, "put_new", create)
        with held(store, "run-2"):
            pass
        third.__enter__()
        return create(path, data)

    third = held(store, "run-3")
    monkeypatch.setattr(late, "put_new", paused)
    with pytest.raises(LakeBusyError, match="run-3"), held(late, "run-late"):
        pass
    assert lease.epochs(store) == [3]
    assert lease.holder(store)["run_id"] == "run-3"
    third.__exit__(None, None, None)


def test_an_answer_that_got_lost_is_no_refusal(store, monkeypatch):
    create = store.put_new
    monkeypatch.setattr(store, "put_new", lambda path, data: create(path, data) and False)
    with held(store, "run-1") as one:
        assert one.epoch == 1


def test_where_the_lease_was_lost_the_tables_say_how_far_epochs_have_come(store):
    with held(store, "run-1", floor=7) as one:
        assert one.epoch == 8


@pytest.mark.parametrize("data", [b"", b'{"epoch": 4, "ho', b"[]", b'{"unknown": 1}'])
def test_a_damaged_object_is_no_holder_and_its_epoch_counts(store, data):
    store.put(lease.path(4), data)
    assert lease.holder(store) is None
    with held(store, "run-1") as one:
        assert one.epoch == 5


def test_in_a_copied_lake_the_time_decides(local, silent):
    with silent(local, "run-1"):
        for file in (local.local / lease.FOLDER).glob("*.lock"):
            file.unlink()
        with pytest.raises(LakeBusyError), held(local, "run-2"):
            pass
        time.sleep(SHORT)
        with held(local, "run-2"):
            pass


def test_waiting_ends_when_it_is_free_or_when_told_so(store, monkeypatch):
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.02)
    stop, got = threading.Event(), []

    def wait():
        with held(store, "run-2", wait=stop) as one:
            got.append(one.epoch)

    with held(store, "run-1"):
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.3)
        assert got == []
    waiting.join(20)
    assert got == [2]
    assert lease.awaited(store, stop)
    with held(store, "run-3"):
        threading.Timer(0.2, stop.set).start()
        assert not lease.awaited(store, stop)
        with pytest.raises(LakeBusyError), held(store, "run-4", wait=stop):
            pass
