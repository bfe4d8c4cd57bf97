"""Transactions that nobody here made, mapped from a Parquet file: the same rows on both engines."""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

import lakewarden
from lakewarden.tables import BRONZE, GOLD, SILVER
from makers.rows import assert_alike

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("LAKEWARDEN_DATA", ROOT.parent / "shared" / "data")) / "handbook.parquet"

pytestmark = pytest.mark.skipif(not DATA.is_file(), reason=f"the Handbook's transactions aren't here: {DATA}")


@pytest.fixture(scope="session")
def some(tmp_path_factory) -> Path:
    """Of every thirtieth customer, what comes first: so that accounts and terminals have a past."""
    path = tmp_path_factory.mktemp("handbook") / "handbook.parquet"
    rows = pl.scan_parquet(DATA).filter(pl.col("CUSTOMER_ID").cast(pl.Int64) % 30 == 0).head(3000)
    rows.collect().write_parquet(path)
    return path


def test_mapped_rows_of_a_file_come_out_alike(spark, tmp_path, some):
    lakes = {name: lakewarden.init(tmp_path / name) for name in ("embedded", "spark")}
    for name, lake in lakes.items():
        report = lakewarden.open(lake.house.store.root, engine=name).stream(some, mapping=ROOT / "examples" / "handbook.yaml", once=True)
        assert (report.rows, report.counts["silver"]) == (3000, 3000)
    for spec in (BRONZE, SILVER, GOLD):
        assert_alike(spec, *(lake.table(spec.name).collect() for lake in lakes.values()))
    assert lakes["spark"].table(SILVER.name).collect()["a_count_24h"].max() > 1
