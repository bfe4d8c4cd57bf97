"""Silver as it was seen: each row's windows saw what stood when it arrived, whatever was swapped and put back since."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from lakewarden.lake import orders, past, pins
from lakewarden.lake.exchange import Rows
from lakewarden.lake.lakehouse import Lakehouse
from lakewarden.lake.orders import Change, Execution, Order
from lakewarden.tables import SILVER

NOW = dt.datetime(2026, 1, 7, tzinfo=dt.UTC)
DAY = dt.date(2026, 1, 5)
MEANT = Rows(dates=(str(DAY), str(DAY)), seq=(0, 3))


def rows(first: int, amount: int, count: int = 4) -> pl.DataFrame:
    blank = {name: [None] * count for name in SILVER.columns}
    told = {"seq": range(first, first + count), "event_date": [DAY] * count, "region": ["EU"] * count, "amount_minor": [amount] * count}
    return pl.DataFrame({**blank, **told, "batch": [first] * count}, schema=SILVER.columns)


@pytest.fixture
def house(tmp_path) -> Lakehouse:
    house = Lakehouse.create(tmp_path, NOW)
    house.tables[SILVER.name].append(rows(0, 1), batch=0)
    return house


def carried_out(house: Lakehouse, number: int, incoming, next_seq: int, undoes: int | None = None) -> None:
    changes = {SILVER.name: Change(MEANT, tuple(incoming))}
    given = Order(number, "replay.swap", "replay-1", f"act {number}", "ops", "host", NOW.isoformat(), changes, undoes=undoes, rebuild=True)
    orders.place(house.store, given)
    execution = Execution(house, given, lambda: NOW)
    execution.tables()
    execution.publish(0, next_seq)


def seen(house: Lakehouse, seq: int, silver: pl.LazyFrame | None = None) -> list[int]:
    now, columns = house.table(SILVER.name) if silver is None else silver, ["seq", "amount_minor"]
    found = []
    for source in past.as_seen(house.store, past.turns(house.store), seq):
        stood = [now.select(*columns, "event_date")] if source.files is None else past.pinned_rows(house.store, source.files, columns)
        found += [rows.filter(source.keep & (pl.col("seq") < seq)) for rows in stood]
    return pl.concat(found).sort("seq").collect()["amount_minor"].to_list()


def test_what_was_swapped_and_put_back_is_seen_from_where_it_was_seen(house):
    table = house.tables[SILVER.name]
    carried_out(house, 0, table._write_files(rows(0, 2), 0), next_seq=6)
    table.append(rows(4, 1), batch=4)
    pin = pins.of_order(house.store, 0, SILVER.name)
    assert pin is not None
    house.publish(4, NOW)
    assert seen(house, 5) == [1, 1, 1, 1, 1]
    assert seen(house, 6) == [2, 2, 2, 2, 1, 1]
    carried_out(house, 1, pin.files, next_seq=7, undoes=0)
    assert seen(house, 5) == [1, 1, 1, 1, 1]
    assert seen(house, 6) == [2, 2, 2, 2, 1, 1]
    assert seen(house, 7) == [1, 1, 1, 1, 1, 1, 1]


def test_without_its_pin_what_stands_is_all_that_there_is(house):
    carried_out(house, 0, house.tables[SILVER.name]._write_files(rows(0, 2), 0), next_seq=6)
    pin = pins.of_order(house.store, 0, SILVER.name)
    assert pin is not None
    pins.release(house.store, pin.id)
    assert seen(house, 5) == [2, 2, 2, 2]


def test_what_is_begun_and_not_done_is_seen_by_nobody(house):
    """A recovery that finishes micro-batches in the middle of an order gives them the old rows to see: readers get the new ones later."""
    changes = {SILVER.name: Change(MEANT, tuple(house.tables[SILVER.name]._write_files(rows(0, 2), 0)))}
    given = Order(0, "replay.swap", "replay-1", "act 0", "ops", "host", NOW.isoformat(), changes, rebuild=True)
    orders.place(house.store, given)
    Execution(house, given, lambda: NOW).tables()
    newest = house.tables[SILVER.name].scan()
    assert newest.select("amount_minor").collect()["amount_minor"].to_list() == [2, 2, 2, 2]
    assert seen(house, 9, newest) == [1, 1, 1, 1]


def test_the_rows_that_turns_exchanged_are_told_for_a_stretch(house):
    carried_out(house, 0, house.tables[SILVER.name]._write_files(rows(0, 2), 0), next_seq=6)
    known = past.turns(house.store)
    assert past.exchanged(known, 0, 5) is None
    meant = past.exchanged(known, 0, 6)
    assert meant is not None
    assert rows(2, 1).filter(meant)["seq"].to_list() == [2, 3]
