"""Tail and log stay short; vacuum leaves what is in use, young or pinned."""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import wait

import polars as pl

from lakewarden.lake import pins
from lakewarden.lake.maintenance import Maintenance
from lakewarden.lake.store import Store
from lakewarden.lake.table import LakeTable
from lakewarden.settings import LakeSettings
from lakewarden.tables import TableSpec

SPEC = TableSpec("t", {"seq": pl.Int64(), "event_date": pl.Date(), "batch": pl.Int64()}, ("event_date",))
NOW = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
SETTINGS = LakeSettings(compact_every=5, vacuum_grace_seconds=60)


def lake_table(tmp_path):
    store = Store(tmp_path, create=True)
    table = LakeTable(store, SPEC)
    table.create(SETTINGS)
    return store, table


def append(table, batch):
    return table.append(
        pl.DataFrame({"seq": [batch], "event_date": [dt.date(2026, 1, 5)], "batch": [batch]}, schema=SPEC.columns), batch=batch
    )


def parquet(store):
    return [e for e in store.entries("t") if e.path.endswith(".parquet") and "_delta_log" not in e.path]


def test_the_tail_is_compacted_between_micro_batches_and_no_row_changes(tmp_path):
    store, table = lake_table(tmp_path)
    maintenance = Maintenance(store, {"t": table}, SETTINGS)
    now = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
    for batch in range(23):
        append(table, batch)
        maintenance.look(now)
        assert len(table.files()) <= SETTINGS.compact_every
    assert table.scan().sort("seq").collect()["seq"].to_list() == list(range(23))
    assert table.last_batch() == 22


def test_vacuum_takes_only_what_was_unreferenced_for_the_grace_period(tmp_path):
    store, table = lake_table(tmp_path)
    maintenance = Maintenance(store, {"t": table}, SETTINGS)
    for batch in range(4):
        append(table, batch)
    maintenance.tidy(table, NOW, fan=2)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    assert maintenance.vacuum(later) == 0  # a first look only marks
    assert len(parquet(store)) == 5
    assert maintenance.vacuum(later + dt.timedelta(seconds=61)) == 4
    assert table.scan().collect().height == 4


def test_vacuum_honours_pins_until_they_are_released(tmp_path):
    store, table = lake_table(tmp_path)
    maintenance = Maintenance(store, {"t": table}, SETTINGS)
    for batch in range(4):
        append(table, batch)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    pin = pins.pin(store, table, "one", "before a swap", later)
    maintenance.tidy(table, NOW, fan=2)
    maintenance.vacuum(later)
    assert maintenance.vacuum(later + dt.timedelta(seconds=61)) == 0
    assert all(store.exists(f"t/{path}") for path in (file.path for file in pin.files))
    pins.release(store, pin.id)
    maintenance.vacuum(later + dt.timedelta(seconds=122))
    assert maintenance.vacuum(later + dt.timedelta(seconds=183)) == 4


def test_vacuum_takes_what_a_pin_held_that_ran_out(tmp_path):
    store, table = lake_table(tmp_path)
    maintenance = Maintenance(store, {"t": table}, SETTINGS)
    for batch in range(4):
        append(table, batch)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    pins.pin(store, table, "one", "before a swap", later, days=1)
    maintenance.tidy(table, NOW, fan=2)
    maintenance.vacuum(later)
    assert maintenance.vacuum(later + dt.timedelta(seconds=61)) == 0
    maintenance.vacuum(later + dt.timedelta(days=1))
    assert maintenance.vacuum(later + dt.timedelta(days=1, seconds=61)) == 4


def looks(maintenance: Maintenance, times: list[dt.datetime]) -> None:
    """Look at these times, waiting for the vacuum that each begins."""
    for now in times:
        maintenance.look(now)
        wait(future for future in (maintenance._sweeping,) if future is not None)


def test_small_files_are_merged_while_a_vacuum_takes_its_time(tmp_path, monkeypatch):
    store, table = lake_table(tmp_path)
    maintenance = Maintenance(store, {"t": table}, SETTINGS)
    began, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(maintenance, "vacuum", lambda _: began.set() or go_on.wait(30) or 0)
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    maintenance.look(later)
    maintenance.look(later + dt.timedelta(hours=1))
    assert began.wait(30)
    for batch in range(SETTINGS.compact_every):
        append(table, batch)
    assert maintenance.look(later + dt.timedelta(hours=2))
    assert len(table.files()) == 1
    go_on.set()
    maintenance.close()


def test_with_a_damaged_pin_nothing_is_removed_and_the_stream_goes_on(tmp_path):
    store, table = lake_table(tmp_path)
    maintenance = Maintenance(store, {"t": table}, SETTINGS)
    for batch in range(4):
        append(table, batch)
    maintenance.tidy(table, NOW, fan=2)
    store.put("_pins/pin-one.json", b"{")
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    looks(maintenance, [later + dt.timedelta(hours=hours) for hours in range(4)])
    assert sum(entry.path.endswith(".parquet") for entry in store.entries("t")) == 5
    store.delete(["_pins/pin-one.json"])
    looks(maintenance, [later + dt.timedelta(hours=hours) for hours in range(4, 8)])
    assert sum(entry.path.endswith(".parquet") for entry in store.entries("t")) == 1
