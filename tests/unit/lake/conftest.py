"""A small table, partitioned as silver is."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from lakewarden.lake.store import Store
from lakewarden.lake.table import LakeTable
from lakewarden.settings import LakeSettings
from lakewarden.tables import TableSpec

SPEC = TableSpec(
    "t",
    {"seq": pl.Int64(), "event_date": pl.Date(), "region": pl.String(), "batch": pl.Int64()},
    ("event_date", "region"),
    ("seq", "batch"),
)


@pytest.fixture
def table(tmp_path) -> LakeTable:
    table = LakeTable(Store(tmp_path, create=True), SPEC)
    table.create(LakeSettings())
    return table


@pytest.fixture
def store(tmp_path, table) -> Store:
    """The objects among which the table lies."""
    return Store(tmp_path)


@pytest.fixture
def another(tmp_path) -> Callable[[], LakeTable]:
    """Opens the same table as another process would."""
    return lambda: LakeTable(Store(tmp_path), SPEC)
