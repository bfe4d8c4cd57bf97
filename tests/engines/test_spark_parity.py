"""Spark gives what the embedded engine gives: the same events, with every fault, value for value, in any number of shards."""

from __future__ import annotations

import dataclasses
import datetime as dt
import gc
import warnings
from typing import Any

import polars as pl
import pytest

import lakewarden
from lakewarden.audit.verification import compare
from lakewarden.engines.spark import flow
from lakewarden.engines.state import state_of
from lakewarden.flow.labels import LabelIndex
from lakewarden.flow.release import Release
from lakewarden.flow.stages import Context, Derived, decode_events, run_flow
from lakewarden.lake.release_loader import materialise
from lakewarden.operations.verify import VERIFIED
from lakewarden.tables import BRONZE, LABELS, SILVER
from makers import models


def published(spark: Any, lake: lakewarden.Lake, table: str) -> Any:
    """A table as Spark reads it, at the published version."""
    version = lake.house.published().versions[table]
    return spark.read.format("delta").option("versionAsOf", version).load(lake.house.tables[table].uri)


def release_of(lake: lakewarden.Lake) -> Release:
    return materialise(lake.house.store, lake.table(BRONZE.name).select("release_id").head(1).collect().item())


def some_labels(silver: pl.DataFrame, known: dt.datetime) -> LabelIndex:
    """Every 40th transaction that has a party was a fraud, known from a time on."""
    frauds = silver.filter(pl.col("party_id").is_not_null()).gather_every(40).with_row_index("label_seq")
    rows = frauds.select(
        pl.col("label_seq").cast(pl.Int64),
        "transaction_id",
        "account_id",
        "party_id",
        "event_time",
        pl.lit(known).dt.cast_time_unit("us").alias("known_time"),
        pl.lit(value=True).alias("is_fraud"),
        pl.lit(None, pl.String).alias("typology"),
        pl.lit("test").alias("source"),
        pl.lit(0, pl.Int64).alias("labels_version"),
    )
    return LabelIndex.build(rows.cast(dict(LABELS.columns)))


def by_spark(
    spark: Any, lake: lakewarden.Lake, first: int, release: Release, labels: LabelIndex, shards: int, min_clock: int | None = None
) -> Derived:
    bronze, silver = (published(spark, lake, table) for table in (BRONZE.name, SILVER.name))
    some, before = bronze.filter(bronze["seq"] >= first), silver.filter(silver["seq"] < first)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # PySpark leaves its sockets to the garbage collector
        derived = flow.derive(some, before, release, labels, shards=shards, min_clock=min_clock)
        collected = derived.collect()
        derived.close()
        gc.collect()
    return collected


def by_embedded(lake: lakewarden.Lake, first: int, release: Release, labels: LabelIndex) -> Derived:
    bronze = lake.table(BRONZE.name).filter(pl.col("seq") >= first).sort("seq").collect()
    state = state_of(lake.table(SILVER.name).filter(pl.col("seq") < first), release)
    return run_flow(decode_events(bronze, release), Context(release, state, labels))


def assert_same(one: Derived, other: Derived) -> None:
    for part in VERIFIED.values():
        ours, theirs = getattr(one, part), getattr(other, part)
        assert ours.height > 0, f"{part} is empty, so it proves nothing"
        assert ours.schema == theirs.schema
        assert ours.equals(theirs), f"{part} differs"


def counts(checks: pl.DataFrame) -> pl.DataFrame:
    """Rule by rule, without the examples: which failing rows are named depends on the cut."""
    return checks.drop("examples")


def test_the_published_rows_come_out_again(spark, streamed):
    """From the first event on, in one shard: what the stream wrote in micro-batches."""
    release = release_of(streamed)
    derived = by_spark(spark, streamed, 0, release, LabelIndex.empty(), shards=1)
    for spec, part in VERIFIED.items():
        rows = getattr(derived, part).with_columns(pl.lit(release.id).alias("release_id"))
        found = compare(spec, streamed.table(spec.name).collect(), rows)
        assert found.rows > 0
        assert (found.differences, found.first) == (0, ())


@pytest.mark.parametrize("shards", [2, 5])
def test_behind_a_state_with_labels_and_a_model(spark, streamed, cut, shards):
    release = dataclasses.replace(release_of(streamed), model=models.model())
    before = streamed.table(SILVER.name).filter(pl.col("seq") < cut).sort("seq").collect()
    labels = some_labels(before, before["event_time"].max())
    expected = by_embedded(streamed, cut, release, labels)
    assert expected.silver["p_fraud_7d"].sum() > 0
    assert expected.silver["in_count_24h"].sum() > 0
    assert (expected.duplicates["first_seq"] < cut).any()
    derived = by_spark(spark, streamed, cut, release, labels, shards)
    assert_same(expected, derived)
    assert counts(expected.dq_results).equals(counts(derived.dq_results))
