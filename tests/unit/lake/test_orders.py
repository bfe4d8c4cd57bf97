"""Orders: numbered, decided once, resumed wherever they were cut short, and seen by readers all at once."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from lakewarden.errors import LakeBusyError, LakeError
from lakewarden.lake import orders, pins
from lakewarden.lake.exchange import Rows
from lakewarden.lake.lakehouse import Lakehouse
from lakewarden.lake.orders import Change, Execution, Order
from lakewarden.tables import DQ_RESULTS, DUPLICATES

NOW = dt.datetime(2026, 1, 7, tzinfo=dt.UTC)
DAY = dt.date(2026, 1, 5)


@pytest.fixture
def house(tmp_path) -> Lakehouse:
    house = Lakehouse.create(tmp_path, NOW)
    for batch in range(3):
        house.tables[DUPLICATES.name].append(rows(batch), batch=batch)
    house.publish(2, NOW)
    return house


def rows(batch: int, run: str = "run") -> pl.DataFrame:
    blank = {name: [None] * 2 for name in DUPLICATES.columns}
    told = {"seq": [2 * batch, 2 * batch + 1], "event_date": [DAY] * 2, "batch": [batch] * 2, "run_id": [run] * 2}
    return pl.DataFrame({**blank, **told}, schema=DUPLICATES.columns)


def order(house: Lakehouse, number: int = 0, **fields) -> Order:
    incoming = house.tables[DUPLICATES.name]._write_files(rows(0, "replay"), 0)
    meant = Rows(dates=(str(DAY), str(DAY)), seq=(0, 3))
    changes = {DUPLICATES.name: Change(meant, tuple(incoming)), DQ_RESULTS.name: Change()}
    return Order(number, "replay.swap", "replay-1", f"swap {number}", "ops", "host", NOW.isoformat(), changes, **fields)


def published(house: Lakehouse) -> list[tuple[int, str]]:
    return house.table(DUPLICATES.name).select("seq", "run_id").sort("seq").collect().rows()


OLD = [(seq, "run") for seq in range(6)]
NEW = [(0, "replay"), (1, "replay"), (4, "run"), (5, "run")]


class CutError(Exception):
    """A process that ends here."""


def stopping(at: str):
    def step(name: str) -> None:
        if name == at:
            raise CutError

    return step


def test_an_order_is_read_as_it_was_given(house):
    given = order(house, standing={"from": "2026-01-05"}, undoes=None, rebuild=True, receipt={"reason": "x"})
    orders.place(house.store, given)
    assert orders.get(house.store, 0) == given
    assert orders.pending(house.store) == [given]


def test_a_number_is_given_once(house):
    orders.place(house.store, order(house))
    with pytest.raises(LakeBusyError):
        orders.place(house.store, order(house))


def test_readers_see_it_when_it_is_published_and_not_before(house):
    given = order(house)
    orders.place(house.store, given)
    execution = Execution(house, given, lambda: NOW)
    assert execution.tables()
    assert published(house) == OLD
    done = execution.publish(2, 6)
    assert published(house) == NEW
    assert (done.point, done.next_seq) == (house.published().point, 6)
    assert (done.tables[DUPLICATES.name]["rows_out"], done.tables[DUPLICATES.name]["rows_in"]) == (4, 2)
    assert house.published().order == 0
    assert orders.pending(house.store) == []


STEPS = [f"{verb} {table}" for table in (DUPLICATES.name, DQ_RESULTS.name) for verb in ("exchange", "pin", "commit")]


@pytest.mark.parametrize("at", [*STEPS, "publish", "say that it is done"])
def test_cut_short_at_any_step_it_is_finished_by_another(house, at):
    given = order(house)
    orders.place(house.store, given)
    execution = Execution(house, given, lambda: NOW, stopping(at))

    def through() -> None:
        execution.tables()
        execution.publish(2, 6)

    with pytest.raises(CutError):
        through()
    assert published(house) in (OLD, NEW)
    other = Lakehouse.open(house.store.root)
    again = Execution(other, orders.pending(other.store)[0], lambda: NOW)
    assert again.tables()
    again.publish(2, 6)
    assert published(house) == NEW
    pin = pins.of_order(house.store, 0, DUPLICATES.name)
    assert pin is not None
    assert orders.pin_of(house.store, 0, DUPLICATES.name) == pin.id
    assert orders.pin_of(house.store, 0, DQ_RESULTS.name) is None
    assert pin.rows == 4
    assert all(house.store.exists(f"{DUPLICATES.name}/{file.path}") for file in pin.files)


def test_what_was_begun_can_not_be_called_off_and_what_was_called_off_not_begun(house):
    given = order(house)
    orders.place(house.store, given)
    assert orders.call_off(house.store, 0, NOW)
    assert not Execution(house, given, lambda: NOW).tables()
    assert published(house) == OLD
    second = order(house, 1)
    orders.place(house.store, second)
    Execution(house, second, lambda: NOW).tables()
    assert not orders.call_off(house.store, 1, NOW)


def test_a_try_that_was_paused_and_fenced_off_can_not_write_over_the_pin_of_the_one_that_landed(house):
    given = order(house)
    orders.place(house.store, given)
    paused = Lakehouse.open(house.store.root)
    stale = []

    def overtaken(step: str) -> None:
        if step == f"pin {DUPLICATES.name}" and not stale:
            stale.append(step)
            house.tables[DUPLICATES.name].append(rows(3), batch=3)  # the version moves on
            execution = Execution(house, given, lambda: NOW)
            execution.tables()
            execution.publish(3, 8)

    Execution(paused, given, lambda: NOW, overtaken).tables()
    told = orders.done(house.store, 0)
    assert told is not None
    pin = pins.get(house.store, told.tables[DUPLICATES.name]["pin"])
    assert pin is not None
    assert (pin.version, pin.rows) == (told.tables[DUPLICATES.name]["before"], 4)
    assert orders.pin_of(house.store, 0, DUPLICATES.name) == pin.id == pins.of_order(house.store, 0, DUPLICATES.name).id


def test_vacuum_leaves_what_an_order_is_about_to_bring(house):
    given = order(house)
    assert orders.awaited_files(house.store, DUPLICATES.name) == set()
    orders.place(house.store, given)
    assert orders.awaited_files(house.store, DUPLICATES.name) == {file.path for file in given.changes[DUPLICATES.name].incoming}


def test_a_damaged_order_is_named(house):
    orders.place(house.store, order(house))
    house.store.put("_orders/00000000000000000000/order.json", b"{")
    with pytest.raises(LakeError, match="Order 0 is damaged"):
        orders.pending(house.store)
