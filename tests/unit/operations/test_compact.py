"""Compaction when nobody streams: fewer files, the same rows, readers moved, nothing half-finished published."""

import datetime as dt
import threading
from types import SimpleNamespace

import polars as pl
import pytest

import lakewarden
from lakewarden.errors import LakeBusyError, LakeError, StorageError
from lakewarden.lake.store import Store
from lakewarden.lake.table import LakeTable
from lakewarden.operations import compact
from lakewarden.settings import LakeSettings
from lakewarden.tables import GOLD, PIPELINE_RUNS, TableSpec

DAY = "2026-01-05"


def rows(lake, name):
    return sorted(map(repr, lake.table(name).collect().rows()))


def test_small_files_become_few_and_no_row_changes(lake):
    names = [name for name, table in lake.house.tables.items() if table.scan().collect().height]
    before, point = {name: rows(lake, name) for name in names}, lake.house.published().point
    report = lake.compact(fan=2, reason="quiet hours", on_progress=(told := []).append)
    again = lakewarden.open(lake.house.store.root)
    assert report.ok
    assert report.data["moved"] > 0
    assert report.data["files_after"] < report.data["files_before"]
    assert again.house.published().point == report.data["point"] > point
    assert all(rows(again, name) == before[name] for name in names)
    assert again.verify(DAY).differences == 0
    assert again.conserve(DAY).ok
    assert {one.what for one in told} == {f"compacting {name}" for name in lake.house.tables}


def test_what_is_told_is_what_readers_find(lake):
    report = lake.compact(fan=2)
    told = {row["table"]: (row["files_after"], row["bytes_after"]) for row in report.data["tables"]}
    assert told == {row["table"]: (row["files"], row["bytes"]) for row in lake.tables().data["tables"]}
    assert all(
        report.data[f"{what}_{when}"] == sum(row[f"{what}_{when}"] for row in report.data["tables"])
        for what in ("files", "bytes")
        for when in ("before", "after")
    )


def test_nothing_is_left_to_merge(lake):
    lake.compact(fan=2)
    report = lake.compact(fan=2)
    assert report.data["moved"] == 0
    assert report.data["files_before"] == report.data["files_after"]
    assert report.data["point"] == lake.house.published().point


def test_what_was_merged_is_merged_again_until_nothing_moves(tmp_path):
    """Merges are bounded by bytes, so that a first round leaves several files where one will do."""
    spec = TableSpec("t", {"seq": pl.Int64(), "event_date": pl.Date(), "batch": pl.Int64()}, ("event_date",))
    settings = LakeSettings(tiers_bytes=(10_000, 20_000, 30_000))
    table = LakeTable(Store(tmp_path, create=True), spec)
    table.create(settings)
    for batch in range(60):
        day = pl.DataFrame({"seq": [batch], "event_date": [dt.date(2026, 1, 5)], "batch": [batch]}, schema=spec.columns)
        table.append(day, batch=batch)
    assert sum(file.size for file in table.files()) > 2 * settings.tiers_bytes[1]
    house = SimpleNamespace(store=Store(tmp_path), tables={"t": table}, settings=settings, check=lambda: None)
    assert compact.compact(house, lambda: dt.datetime.now(dt.UTC), fan=2) == 1
    assert len(table.files()) == 1
    assert table.scan().sort("seq").collect()["seq"].to_list() == list(range(60))


def test_without_a_number_it_merges_as_a_stream_does(lake):
    gold = lake.house.tables[GOLD.name]
    most = lake.house.settings.compact_every
    gathered = max(partition_sizes(gold))
    assert 2 < gathered < most, "the lake of this test has something to merge for a smaller number"
    assert lake.compact().data["moved"] == 0
    assert lake.compact(fan=gathered).data["moved"] > 0


def partition_sizes(table):
    counts = {}
    for file in table.files():
        key = tuple(file.partition.values())
        counts[key] = counts.get(key, 0) + 1
    return counts.values()


def test_it_leaves_a_receipt_with_versions_and_figures(lake):
    report = lake.compact(fan=2, reason="quiet hours")
    found = lake.receipt_show(report.data["receipt"]).data
    assert (found["kind"], found["reason"]) == ("lake.compact", "quiet hours")
    assert found["outcome"]["files_after"] == report.data["files_after"]
    moved = {name for name, told in found["tables"].items() if told["after"] > told["before"]}
    assert len(moved) == report.data["moved"]
    assert lake.receipts_verify().ok


def test_an_incident_that_is_not_there_is_told_before_anything_is_done(lake):
    before = lake.house.published().point
    with pytest.raises(LakeError, match="INC-S01-000099"):
        lake.compact(fan=2, incident="INC-S01-000099")
    assert lake.house.published().point == before


def test_it_is_refused_while_somebody_else_writes(lake):
    other = lakewarden.open(lake.house.store.root)
    with lake.writing("run-other"), pytest.raises(LakeBusyError):
        other.compact(fan=2)
    assert other.compact(fan=2).data["moved"] > 0


def test_a_micro_batch_that_was_cut_short_is_finished_before_readers_move(lake, simulated, monkeypatch):
    """Publishing the newest versions as they are would show half of it."""

    class Killed(Exception):
        pass

    def killed(*_, **__):
        raise Killed

    shown = lake.table(GOLD.name).collect().height
    late = simulated.parent / "late"
    lakewarden.simulate(late, seed=12, days=1, customers=100, events_per_day=300, faults="none", overwrite=True)
    with monkeypatch.context() as patched:
        patched.setattr("lakewarden.engines.embedded.EmbeddedEngine.write", killed)
        with pytest.raises(Killed):
            lakewarden.open(lake.house.store.root).stream(late, once=True)
    again = lakewarden.open(lake.house.store.root)
    bronze, runs = again.house.tables["transactions_bronze"], again.house.tables[PIPELINE_RUNS.name]
    assert bronze.last_batch() > runs.last_batch()
    again.compact(fan=2)
    assert bronze.last_batch() == runs.last_batch() == again.house.published().batch
    assert lakewarden.open(lake.house.store.root).table(GOLD.name).collect().height > shown
    assert again.conserve(DAY).ok


def test_a_full_disk_is_said_before_anything_is_written(lake, monkeypatch):
    before = compact.layout(lake.house)
    monkeypatch.setattr(Store, "free_bytes", lambda self: 1000)
    with pytest.raises(StorageError, match="1,000 bytes left"):
        lake.compact(fan=2)
    assert compact.layout(lake.house) == before


def test_a_stream_goes_on_afterwards(lake, simulated):
    lake.compact(fan=2)
    again = lakewarden.open(lake.house.store.root)
    report = again.stream(simulated, once=True, stop=threading.Event())
    assert report.ok
    assert report.rows == 0  # it knows what it has
