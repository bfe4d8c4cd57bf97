"""The head of a table's log: what we write delta-rs reads, what it writes we follow, and a commit from the past is refused."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake

from lakewarden.errors import FencedError, LakeError
from lakewarden.lake.compaction import compact
from lakewarden.lake.log import WRITER, BehindError, DataFile


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


def test_a_claim_is_an_entry_that_delta_rs_reads_and_a_checkpoint_keeps(table, another):
    table.append(rows(0), batch=0)
    version = table.claim(3)
    opened = DeltaTable(table.uri)
    assert (opened.version(), opened.transaction_version(WRITER), opened.transaction_version("lakewarden")) == (version, 3, 0)
    assert table.scan().collect().height == 3
    opened.create_checkpoint()
    assert another().log.head.numbers[WRITER] == 3
    assert table.claim(3) == version


def test_an_earlier_epoch_writes_nothing_more(table, another, store):
    paused = another()
    paused.claim(1)
    for batch in range(3):
        paused.append(rows(batch), batch=batch)
    table.claim(2)
    table.append(rows(3), batch=3)
    before = table.files()
    for _ in range(2):  # when its next name is taken, and when it has looked
        with pytest.raises(FencedError):
            paused.append(rows(3), batch=3)
        with pytest.raises(FencedError):
            paused.append(rows(4), batch=4)
        with pytest.raises(FencedError):
            paused.append(rows(1), batch=1)  # it is there; but that is for the other to say
    with pytest.raises(FencedError):
        paused.claim(1)
    table.refresh()
    assert table.files() == before
    table.append(rows(4), batch=4)
    assert table.scan().collect().height == 15


def test_an_earlier_epoch_compacts_nothing_more(table, another, store):
    paused = another()
    paused.claim(1)
    for batch in range(3):
        paused.append(rows(batch), batch=batch)
    table.claim(2)
    for _ in range(2):
        with pytest.raises(FencedError):
            compact(store, paused, (1 << 20,), 2)
    assert compact(store, table, (1 << 20,), 2) == 3
    assert table.scan().collect().height == 9


def test_who_writes_without_the_lease_is_not_fenced(table, another):
    training = another()
    assert training.last_batch() == -1
    table.claim(5)
    training.append(rows(0), batch=0)
    table.append(rows(1), batch=1)
    training.append(rows(2), batch=2)
    assert another().scan().collect().height == 9
    table.unclaim()
    another().claim(6)
    assert table.append(rows(3), batch=3)


def test_an_entry_whose_answer_got_lost_is_not_taken_for_anothers(table, store, monkeypatch):
    create = store.put_new
    monkeypatch.setattr(table._store, "put_new", lambda path, data: create(path, data) and False)
    table.claim(1)
    assert table.append(rows(0), batch=0) == table.version == 2
    assert table.scan().collect().height == 3


@pytest.mark.parametrize("epoch", [None, 1])
def test_a_name_that_was_used_and_cleaned_away_is_no_commit(table, another, tmp_path, monkeypatch, epoch):
    """A writer is paused between looking and writing; meanwhile the log goes on, and is cleaned behind a checkpoint."""
    paused = another()
    if epoch is not None:
        paused.claim(epoch)
    assert paused.last_batch() == -1
    create = paused._store.put_new

    def late(path, data):
        monkeypatch.setattr(paused._store, "put_new", create)
        if epoch is not None:
            table.claim(epoch + 1)
        for batch in range(3):
            table.append(rows(batch), batch=batch)
        DeltaTable(table.uri).create_checkpoint()
        for entry in sorted((tmp_path / "t" / "_delta_log").glob("*.json"))[:-1]:
            entry.unlink()
        monkeypatch.setattr("lakewarden.lake.log.TRUST_SECONDS", 0.0)
        return create(path, data)

    monkeypatch.setattr(paused._store, "put_new", late)
    if epoch is None:
        paused.append(rows(7), batch=7)
        assert another().scan().collect().height == 12
    else:
        with pytest.raises(FencedError):
            paused.append(rows(7), batch=7)
        assert another().scan().collect().height == 9
