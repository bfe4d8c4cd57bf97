"""What Spark makes of a micro-batch it makes once, though the table that it came from grows meanwhile; and lets go of it when told to."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from lakewarden.engines.spark import parcels


def test_what_is_kept_is_computed_once(spark, tmp_path):
    from lakewarden.engines.spark.flow import forget, kept, mapped

    table, calls = f"file://{tmp_path / 'table'}", tmp_path / "calls"
    spark.range(10).coalesce(1).write.format("delta").save(table)

    def counted(some: pa.Table) -> pa.Table:
        with calls.open("a") as told:
            told.write(f"{some.num_rows}\n")
        return parcels.packed([parcels.Parcel("row", 0, pl.from_arrow(some))])

    rows = kept(mapped(spark.read.format("delta").load(table), counted))
    assert not calls.exists(), "nobody asked for them yet"
    assert rows.count() == 1
    spark.range(10).write.format("delta").mode("append").save(table)  # which drops what `persist` keeps of this table
    assert [parcel.rows for parcel in rows.collect()] == [10]
    assert calls.read_text() == "10\n"

    before = held(spark)
    forget(rows)
    assert held(spark) == before - 1


def held(spark) -> int:
    """How many frames Spark keeps."""
    return int(spark.sparkContext._jsc.getPersistentRDDs().size())
