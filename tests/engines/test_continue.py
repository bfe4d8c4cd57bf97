"""A lake that one engine began is continued by the other, also where the first one died between two tables of a micro-batch."""

from __future__ import annotations

import shutil

import pytest

import lakewarden
from lakewarden.app_engine import EMBEDDED, SPARK
from lakewarden.errors import StorageError
from lakewarden.lake.table import LakeTable
from lakewarden.tables import BRONZE, DLQ, PIPELINE_RUNS, SILVER
from makers.rows import assert_same_lake

from .conftest import DAYS, written_by_spark

LOST = 1
"""The micro-batch whose dead letters can't be written."""


@pytest.fixture(params=[(EMBEDDED, SPARK), (SPARK, EMBEDDED)], ids=["spark behind embedded", "embedded behind spark"])
def pair(request, spark) -> tuple[str, str]:
    """Who begins, and who goes on."""
    return request.param


@pytest.fixture
def refused(monkeypatch) -> pytest.MonkeyPatch:
    """Storage refuses the dead letters of one micro-batch, whoever writes them, until this is undone."""
    from lakewarden.engines.spark import delta

    def refusing(write):
        def append(rows, table, number):
            if table.spec.name == DLQ.name and number == LOST:
                raise StorageError("The disk is full.")
            return write(rows, table, number)

        return append

    by_spark, by_embedded = refusing(delta.append), refusing(lambda rows, table, number: append_here(table, rows, batch=number))
    append_here = LakeTable.append
    monkeypatch.setattr(delta, "append", by_spark)
    monkeypatch.setattr(LakeTable, "append", lambda table, rows, *, batch: by_embedded(rows, table, batch))
    return monkeypatch


def test_what_one_left_undone_the_other_finishes_and_goes_on(pair, refused, tmp_path, unstreamed, simulated, streamed):
    first, second = pair
    shutil.copytree(unstreamed, tmp_path / "lake")
    with written_by_spark(300), pytest.raises(StorageError, match="disk is full"):
        lakewarden.open(tmp_path / "lake", engine=first).stream(simulated, once=True, batch_rows=800)
    refused.undo()
    lake = lakewarden.open(tmp_path / "lake", engine=second)
    newest = {name: lake.house.tables[name].refresh() and lake.house.tables[name].last_batch() for name in lake.house.tables}
    assert (newest[BRONZE.name] >= LOST, newest[SILVER.name], newest[DLQ.name], newest[PIPELINE_RUNS.name]) == (
        True,
        LOST,
        LOST - 1,
        LOST - 1,
    )
    report = lake.stream(simulated, once=True, batch_rows=800)
    assert report.recovered >= 1
    assert_same_lake(lake, streamed)
    assert all(lakewarden.open(tmp_path / "lake").conserve(day).ok for day in DAYS)
