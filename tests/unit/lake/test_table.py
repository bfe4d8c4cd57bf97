"""Appends that are recognised when repeated, and reads at a version."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from lakewarden.errors import LakeError
from lakewarden.lake.store import Store
from lakewarden.lake.table import LakeTable

DAY = dt.date(2026, 1, 5)


def rows(first: int, n: int, batch: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "seq": range(first, first + n),
            "event_date": [DAY] * n,
            "region": ["EUROPE", "ASIA"] * (n // 2) + [None] * (n % 2),
            "batch": [batch] * n,
        }
    )


def test_rows_come_back_as_they_were(table):
    given = rows(0, 5, 0)
    table.append(given, batch=0)
    assert table.scan().sort("seq").collect().equals(given)
    assert {f.partition["region"] for f in table.files()} == {"EUROPE", "ASIA", None}
    assert sum(f.rows for f in table.files()) == 5


def test_a_repeated_micro_batch_is_skipped(table):
    first = table.append(rows(0, 4, 0), batch=0)
    assert table.append(rows(0, 4, 0), batch=0) == first
    assert table.scan().collect().height == 4
    assert table.last_batch() == 0


def test_a_second_writer_cannot_commit_the_same_micro_batch(table, another):
    other = another()
    assert other.last_batch() == -1
    table.append(rows(0, 4, 0), batch=0)
    with pytest.raises(LakeError, match="another writer"):
        other.append(rows(0, 4, 0), batch=0)
    assert table.scan().collect().height == 4


def test_a_version_shows_what_it_held(table):
    version = table.append(rows(0, 4, 0), batch=0)
    table.append(rows(4, 4, 1), batch=1)
    assert table.scan(version).collect().height == 4
    assert table.scan().collect().height == 8


def test_a_missing_table_says_what_to_do(tmp_path, table):
    with pytest.raises(LakeError) as caught:
        LakeTable(Store(tmp_path / "empty", create=True), table.spec).last_batch()
    assert caught.value.next == "lakewarden init"
