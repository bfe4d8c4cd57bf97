"""The published point: moved on in one step by whoever comes first, read by anyone, never set back."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

import pytest

from lakewarden.errors import FencedError, LakeError
from lakewarden.lake import lease, published
from lakewarden.lake.lakehouse import Lakehouse
from lakewarden.lake.lease import Lease
from lakewarden.lake.published import PublishedPoint
from lakewarden.lake.store import Store

NOW = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)


def point(number: int, epoch: int = 1) -> PublishedPoint:
    return PublishedPoint(number, number, {"t": number}, f"2026-01-05T00:00:{number:06d}", epoch=epoch)


def publish(store: Store, upto: int, epoch: int = 1) -> None:
    before = published.newest(store)
    for number in range(before.point + 1 if before else 0, upto + 1):
        assert published.publish(store, point(number, epoch), before)
        before = point(number, epoch)


def copy(store: Store, of: PublishedPoint) -> None:
    store.put(published.PATH, json.dumps(asdict(of)).encode())


@pytest.fixture(params=["local", "azure"])
def store(request, tmp_path) -> Store:
    return Store(tmp_path, create=True) if request.param == "local" else Store(f"{request.getfixturevalue('azure_root')}/lake")


@pytest.fixture(params=["local", "azure"])
def houses(request, tmp_path) -> Callable[[], Lakehouse]:
    """Opens the same lake as another process would."""
    root = tmp_path / "lake" if request.param == "local" else f"{request.getfixturevalue('azure_root')}/lake"
    Lakehouse.create(root, NOW)
    return lambda: Lakehouse.open(root)


@pytest.fixture
def claimed() -> Iterator[Callable[[Lakehouse, int], Lakehouse]]:
    """Claims a lake under an epoch, as the holder of the lease does; that one of an older epoch was paused is taken as given."""
    leases: list[Lease] = []

    def claim(house: Lakehouse, epoch: int) -> Lakehouse:
        leases.append(Lease(house.store, f"run-{epoch}", "2026-01-05", floor=epoch - 1))
        leases[-1].__enter__()
        assert leases[-1].epoch == epoch
        house.claim(leases[-1], NOW)
        return house

    yield claim
    for one in reversed(leases):
        one.__exit__(None, None, None)


def let_go(house: Lakehouse) -> None:
    """Let others take the lease, as if its holder were paused."""
    house.store.put(lease.path(house._lease.epoch), b"{}")


def counted(store: Store, monkeypatch) -> list[str]:
    """What is asked of the storage from now on."""
    done: list[str] = []

    def count(name: str, of: Callable) -> Callable:
        return lambda *given: (done.append(name), of(*given))[1]

    for name in ("get", "put", "put_new", "exists", "entries", "delete"):
        monkeypatch.setattr(store, name, count(name, getattr(store, name)))
    return done


def test_without_a_point_the_next_command_is_named(store):
    assert published.newest(store) is None
    with pytest.raises(LakeError) as caught:
        published.read(store)
    assert "lakewarden init" in caught.value.next


@pytest.mark.parametrize("behind", [0, 1, published.PROBES - 1, published.PROBES, published.PROBES + 9])
def test_readers_go_on_from_a_copy_that_lags(store, behind):
    publish(store, 40)
    copy(store, point(40 - behind))
    assert published.read(store) == point(40)


@pytest.mark.parametrize(
    "spoil", [lambda s: s.delete([published.PATH]), lambda s: s.put(published.PATH, b"{"), lambda s: s.put(published.PATH, b"")]
)
def test_readers_manage_without_the_copy(store, spoil):
    publish(store, 3)
    spoil(store)
    assert published.read(store) == point(3)


def test_a_copy_of_a_point_that_is_gone_sets_nobody_back(store):
    publish(store, 20)
    assert published.clean(store, keep=5) == 16
    copy(store, point(3))
    assert published.read(store) == point(20)


def test_a_number_is_used_once(store):
    publish(store, 5)
    assert not published.publish(store, point(5, epoch=2), point(4))
    assert not published.publish(store, point(3, epoch=2), point(2))
    assert published.read(store) == point(5)


def test_a_number_that_was_cleaned_away_is_not_used_again(store):
    publish(store, 20)
    published.clean(store, keep=5)
    assert not published.publish(store, point(8, epoch=0), point(7))
    assert not store.exists(published.path(8))
    assert published.read(store) == point(20)


def test_a_reader_that_meets_such_a_number_while_it_is_there_is_not_set_back(store):
    publish(store, 20)
    published.clean(store, keep=5)
    store.put_new(published.path(8), json.dumps(asdict(point(8, epoch=0))).encode())
    for lagging in (point(7), point(8)):
        copy(store, lagging)
        assert published.read(store) == point(20)


def test_the_oldest_go_first_and_the_newest_stay(store, monkeypatch):
    publish(store, 12)
    gone: list[str] = []
    monkeypatch.setattr(store, "delete", gone.extend)
    assert published.clean(store, keep=10) == 3
    assert gone == [published.path(number) for number in (0, 1, 2)]


def test_a_publication_costs_three_small_operations(houses, claimed, monkeypatch):
    house = claimed(houses(), 1)
    house.publish(0, NOW)
    done = counted(house.store, monkeypatch)
    house.publish(1, NOW)
    assert done == ["put_new", "get", "put"]
    done.clear()
    assert published.read(house.store).batch == 1
    assert done == ["get", "get", "get"]


def test_claiming_publishes_the_same_versions_under_the_new_epoch(houses, claimed):
    before = houses().publish(4, NOW)
    house = claimed(houses(), 1)
    after = house.published()
    assert after == replace(before, point=before.point + 1, published_time=NOW.isoformat(), epoch=1)
    assert house.epoch() == 1
    assert all(table.version == before.versions[name] + 1 for name, table in house.tables.items())


def test_one_that_was_taken_over_publishes_nothing_more(houses, claimed):
    paused = claimed(houses(), 1)
    paused.publish(3, NOW)
    let_go(paused)
    second = claimed(houses(), 2)
    there = second.published()
    for _ in range(2):
        with pytest.raises(FencedError, match="run-2"):
            paused.publish(9, NOW)
    assert second.published() == there
    assert second.publish(4, NOW).point == there.point + 1


def test_one_that_was_paused_while_it_claimed_is_stopped_at_the_point_too(houses, claimed):
    paused = claimed(houses(), 1)
    let_go(paused)
    second = claimed(houses(), 2)
    paused._newest = None  # it had claimed the tables, and not looked at the point yet
    there = second.published()
    with pytest.raises(FencedError):
        paused.publish(9, NOW)
    with pytest.raises(FencedError):
        paused.claim(paused._lease, NOW)
    assert second.published() == there


def test_another_publication_in_the_same_epoch_is_followed(houses, claimed):
    streaming, operator = claimed(houses(), 1), houses()
    streaming.publish(3, NOW)
    theirs = operator.publish(2, NOW)
    assert (theirs.epoch, theirs.batch, theirs.point) == (1, 3, streaming.published().point)
    ours = streaming.publish(4, NOW)
    assert (ours.epoch, ours.batch, ours.point) == (1, 4, theirs.point + 1)


def test_versions_never_go_back(houses):
    house, other = houses(), houses()
    assert {table.version for table in house.tables.values()} == {0}  # known here, from now on
    for table in other.tables.values():
        table.claim(1)
    forward = other.publish(0, NOW)
    assert set(forward.versions.values()) == {1}
    assert house.publish(0, NOW).versions == forward.versions


def test_an_answer_that_got_lost_moves_the_point_once(houses, claimed, monkeypatch):
    house = claimed(houses(), 1)
    before, create = house.published(), house.store.put_new
    monkeypatch.setattr(house.store, "put_new", lambda path, data: create(path, data) and False)
    assert house.publish(1, NOW).point == before.point + 1
    monkeypatch.undo()


def test_readers_beside_publishers_and_cleaning_never_see_less_than_before(tmp_path):
    """Two that publish under one epoch, one that cleans, one that keeps setting the copy back, and readers."""
    store, ended = Store(tmp_path, create=True), threading.Event()
    publish(store, 0)
    back, failed = [], []

    def guarded(step):
        def run():
            try:
                while not ended.is_set():
                    step()
            except BaseException as error:  # noqa: BLE001  (told below)
                failed.append(error)

        return run

    def moved():
        before = published.read(store)
        published.publish(store, replace(before, point=before.point + 1, notices={"by": threading.current_thread().name}), before)

    def set_back():
        found = published.read(store)
        data = store.get(published.path(max(0, found.point - 25)))
        if data is not None:
            store.put(published.PATH, data)

    def read():
        before = published.read(store).point
        now = published.read(store).point
        if now < before:
            back.append((before, now))

    steps = [moved, moved, set_back, read, read, lambda: published.clean(store, keep=30)]
    threads = [threading.Thread(target=guarded(step)) for step in steps]
    for thread in threads:
        thread.start()
    ended.wait(4)
    ended.set()
    for thread in threads:
        thread.join()
    assert (failed, back) == ([], [])
    assert published.read(store).point > 60
