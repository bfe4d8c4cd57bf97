"""The head of a table's log: what we write delta-rs reads, what it writes we follow, and a commit from the past is refused."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from lakewarden.errors import LakeError
from lakewarden.lake.log import BehindError, DataFile


def rows(batch: int, region: str = "EUROPE", n: int = 3) -> pl.DataFrame:
    held = {"event_date": [dt.date(2026, 1, 5)] * n, "region": [region] * n, "batch": [batch] * n}
    return pl.DataFrame({"seq": range(batch * n, batch * n + n), **held})


def described(file: DataFile) -> tuple[str, int, int, dict[str, str | None]]:
    return file.path, file.size, file.rows, dict(file.partition)


def test_delta_rs_reads_our_entries(table):
    table.append(rows(0), batch=0)
    version = table.append(rows(1, "ÎLE & CO/1 %20"), batch=1)
    opened = DeltaTable(table.uri)
    assert opened.version() == version
    assert opened.transaction_version("lakewarden") == 1
    assert sorted(opened.to_pyarrow_table()["seq"].to_pylist()) == list(range(6))
    assert set(opened.to_pyarrow_table()["region"].to_pylist()) == {"EUROPE", "ÎLE & CO/1 %20"}


def test_we_follow_what_delta_rs_commits(table, another):
    table.append(rows(0), batch=0)
    write_deltalake(table.uri, rows(1).to_arrow(), mode="append")
    table.append(rows(2), batch=2)
    assert table.scan().sort("seq").collect()["seq"].to_list() == list(range(9))
    assert [described(f) for f in another().files()] == [described(f) for f in table.files()]


def test_a_head_loaded_after_a_checkpoint_is_the_one_that_was_followed(table, another):
    for batch in range(4):
        table.append(rows(batch), batch=batch)
    DeltaTable(table.uri).create_checkpoint()
    fresh = another()
    assert fresh.version == table.version
    assert fresh.last_batch() == 3
    assert sorted(described(f) for f in fresh.files()) == sorted(described(f) for f in table.files())


def test_two_writers_both_land_when_their_batches_differ(table, another):
    other = another()
    assert other.version == table.version
    table.append(rows(0), batch=0)
    other.append(rows(1), batch=1)
    table.append(rows(2), batch=2)
    assert table.scan().collect().height == 9


def test_a_paused_writer_that_wakes_up_commits_nothing_twice(table, another, monkeypatch):
    """It looks at the log before it writes, and so stands behind the other's commit: the number must stop it, not the name."""
    paused = another()
    assert paused.last_batch() == -1
    table.append(rows(0), batch=0)
    monkeypatch.setattr("lakewarden.lake.log.TRUST_SECONDS", 0.0)
    with pytest.raises(LakeError, match="another writer"):
        paused.append(rows(0), batch=0)
    assert table.scan().collect().height == 3


def test_a_removal_planned_on_files_that_are_gone_is_refused(table, another):
    table.append(rows(0), batch=0)
    stale = another()
    planned = stale.files()
    first = table.write_file(planned[0].partition, rows(0).drop("event_date", "region"), 0)
    table.log.commit("OPTIMIZE", add=[first], remove=planned, data_change=False)
    second = stale.write_file(planned[0].partition, rows(0).drop("event_date", "region"), 0)
    for _ in range(2):  # at once, and after it has looked again
        with pytest.raises(BehindError):
            stale.log.commit("OPTIMIZE", add=[second], remove=planned, data_change=False)
        stale.refresh()
    assert table.scan().collect().height == 3


def test_a_head_that_the_log_was_cleaned_behind_is_loaded_anew(table, another, tmp_path, monkeypatch):
    stale = another()
    assert stale.last_batch() == -1
    for batch in range(3):
        table.append(rows(batch), batch=batch)
    DeltaTable(table.uri).create_checkpoint()
    for version in range(3):
        (tmp_path / "t" / "_delta_log" / f"{version:020d}.json").unlink()
    monkeypatch.setattr("lakewarden.lake.log.TRUST_SECONDS", 0.0)
    assert stale.append(rows(3), batch=3) == 4
    assert another().scan().collect().height == 12
