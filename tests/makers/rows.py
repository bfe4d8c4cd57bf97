"""What tests of engines say of rows: that two lakes have the same ones, and functions that engines run where the rows are."""

from __future__ import annotations

import polars as pl

import lakewarden
from lakewarden.audit.verification import compare
from lakewarden.engines.port import Frames
from lakewarden.tables import ALERTS, BRONZE, DLQ, DQ_RESULTS, DUPLICATES, GOLD, SILVER, TableSpec

PER_EVENT = (BRONZE, SILVER, GOLD, ALERTS, DLQ, DUPLICATES)
"""Tables whose rows stand for events, each by its `seq`."""


def assert_alike(spec: TableSpec, ours: pl.DataFrame, theirs: pl.DataFrame) -> None:
    """The same rows but for run ids and wall-clock columns, by hash; and there are some."""
    found = compare(spec, theirs, ours)
    assert found.rows > 0, f"{spec.name} is empty, so it proves nothing"
    assert (found.differences, found.first) == (0, ())


def checks(rows: pl.DataFrame) -> pl.DataFrame:
    """What each rule found of all rows, however they were cut: without the examples, which depend on the cut."""
    return rows.group_by("rule", "dimension", "criticality", "release_id").agg(pl.col("rows", "failed").sum()).sort("rule", "release_id")


def assert_same_lake(ours: lakewarden.Lake, theirs: lakewarden.Lake) -> None:
    """Two lakes hold the same rows in every table that events become."""
    for spec in PER_EVENT:
        assert_alike(spec, ours.table(spec.name).collect(), theirs.table(spec.name).collect())
    found, expected = (checks(lake.table(DQ_RESULTS.name).collect()) for lake in (ours, theirs))
    assert expected["failed"].sum() > 0
    assert found.equals(expected)


def both(stored: Frames, derived: Frames) -> tuple[dict[str, pl.DataFrame], dict[str, pl.DataFrame]]:
    """For `Reader.by_places`: everything it was given."""
    return dict(stored), dict(derived)
