"""A lake that an engine streamed has the rows that every other engine's has, however the events were cut into micro-batches."""

from __future__ import annotations

import shutil

import pytest

import lakewarden
from lakewarden.tables import PIPELINE_RUNS
from makers.rows import assert_same_lake

from .conftest import DAYS, written_by_spark


@pytest.fixture(scope="session")
def lake(tmp_path_factory, open_on, unstreamed, simulated) -> lakewarden.Lake:
    """The two days in two micro-batches, where the reference has four; Spark writes the larger tables, its driver the others."""
    path = tmp_path_factory.mktemp("by_engine") / "lake"
    shutil.copytree(unstreamed, path)
    lake = open_on(path)
    with written_by_spark(300):
        report = lake.stream(simulated, once=True, batch_rows=1100)
    assert (report.ok, report.batches, report.warnings) == (True, 2, ())
    return lake


def test_every_table_has_the_rows_of_the_reference(lake, streamed):
    assert_same_lake(lake, streamed)


@pytest.mark.parametrize("day", DAYS)
def test_nothing_is_lost_or_doubled(lake, day):
    """As the embedded engine states it; that a statement by either one finds what is lost: see test_verify."""
    statement = lakewarden.open(lake.house.store.root).conserve(day)
    assert statement.ok, statement


def test_run_records_count_what_the_tables_have(lake, streamed):
    counts = ("received", "bronze", "silver", "dead_letters", "duplicates", "gold", "alerts")
    ours, theirs = (one.table(PIPELINE_RUNS.name).select(counts).sum().collect().row(0, named=True) for one in (lake, streamed))
    assert ours == theirs
    rows = lake.table(PIPELINE_RUNS.name).sort("batch").collect()
    assert rows["first_seq"].to_list() == [0, rows["last_seq"][0] + 1]
    assert (rows["latency_p50_ms"] > 0).all()
