"""States: rebuilt from silver or carried over several micro-batches, in any number of shards, they give the same rows on every engine."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import Iterator

import polars as pl
import pytest

import lakewarden
from lakewarden.app_engine import SPARK
from lakewarden.engines.embedded import EmbeddedEngine
from lakewarden.engines.lineage import PARTS, Stamp, day_of
from lakewarden.flow.labels import LabelIndex
from lakewarden.flow.release import Release
from lakewarden.flow.stages import Derived
from lakewarden.lake.release_loader import materialise
from lakewarden.lake.store import Store
from lakewarden.operations.derivation import earliest
from lakewarden.operations.replay.sandbox import Sandbox
from lakewarden.tables import BRONZE, LABELS, SILVER, TABLES
from makers import models
from makers.rows import assert_alike

from .conftest import written_by_spark


@pytest.fixture(scope="session")
def release(streamed) -> Release:
    """That of the lake, with a model in force."""
    release_id = streamed.table(BRONZE.name).select("release_id").head(1).collect().item()
    return dataclasses.replace(materialise(streamed.house.store, release_id), model=models.model())


@pytest.fixture(scope="session")
def labels(streamed, cut) -> LabelIndex:
    """Every 40th transaction that has a party was a fraud, known from the moment of `cut` on."""
    before = streamed.table(SILVER.name).filter(pl.col("seq") < cut).sort("seq").collect()
    frauds = before.filter(pl.col("party_id").is_not_null()).gather_every(40).with_row_index("label_seq")
    known: dt.datetime = before["event_time"].max()
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


def made(name: str, lake: lakewarden.Lake, labels: LabelIndex, spark=None, shards: int | None = None):
    """An engine over a lake, with these labels known."""
    if name == SPARK:
        from lakewarden.engines.spark.engine import SparkEngine

        engine = SparkEngine(lake.house, time.monotonic, spark, shards)
    else:
        engine = EmbeddedEngine(lake.house, time.monotonic)
    engine.labels = lambda version: labels
    return engine


def collected(outcome) -> Derived:
    """An outcome's rows, here."""
    return outcome if isinstance(outcome, Derived) else outcome.collect()


@pytest.fixture(scope="session")
def middle(cut) -> int:
    """Where the second part of what is derived begins."""
    return cut + 250


@pytest.fixture(scope="session")
def last(cut) -> int:
    """Where it ends."""
    return cut + 600


@pytest.fixture(scope="session")
def expected(streamed, release, labels, cut, last) -> Iterator[Derived]:
    """What the embedded engine makes of the events from `cut` on, in one go."""
    engine = made("embedded", streamed, labels)
    (events,) = engine.events_between(cut, last)
    derived = engine.derive(events, release, engine.state_before(cut, release), events.labels_version)
    assert derived.silver["p_fraud_7d"].sum() > 0
    assert derived.silver["in_count_24h"].sum() > 0
    assert (derived.duplicates["first_seq"] < cut).any()
    assert derived.alerts.height > 0
    yield derived
    engine.close()


def assert_same(parts: list[Derived], expected: Derived) -> None:
    for part in (name for name in PARTS.values() if name != "dq_results"):
        ours, theirs = pl.concat([getattr(one, part) for one in parts]), getattr(expected, part)
        assert theirs.height > 0, f"{part} is empty, so it proves nothing"
        assert ours.equals(theirs), f"{part} differs"
    counted = [
        pl.concat(one.dq_results for one in some).group_by("rule").agg(pl.col("rows", "failed").sum()).sort("rule")
        for some in (parts, [expected])
    ]
    assert counted[0].equals(counted[1])


def in_two(engine, lake, release, cut, middle, last, *, carried: bool) -> list[Derived]:
    """Derive two parts: the second behind the state that the first left, or behind one that is folded again with what the first gave."""
    begun, then = (next(engine.events_between(*ends)) for ends in ((cut, middle - 1), (middle, last)))
    floor = earliest(lake.house.snapshot(), (cut, last))
    state = engine.state_before(cut, release, floor)
    first = engine.derive(begun, release, state, begun.labels_version)
    if not carried:
        state = engine.state_before(middle, release, floor, (cut, [first]))
    second = engine.derive(then, release, state, then.labels_version)
    found = [collected(one) for one in (first, second)]
    first.close()
    second.close()
    return found


@pytest.mark.parametrize("shards", [1, 5])  # with two, as many as there are tasks, all other tests work
def test_a_state_is_carried_on_in_any_number_of_shards(spark, streamed, release, labels, cut, middle, last, expected, shards):
    engine = made(SPARK, streamed, labels, spark, shards)
    assert_same(in_two(engine, streamed, release, cut, middle, last, carried=True), expected)
    engine.close()


def test_spark_keeps_the_newest_state_and_none_of_those_before(spark, streamed, release, labels):
    """Nobody collects: not Python what names them, nor Java what it holds."""
    engine, known = made(SPARK, streamed, labels, spark), kept_by(spark)
    state, found = engine.state_before(0, release), []
    for first in (0, 40, 80):
        (events,) = engine.events_between(first, first + 39)
        engine.derive(events, release, state, events.labels_version).close()
        found.append(len(kept_by(spark) - known))
    assert found == [1, 1, 1]
    engine.close()


def kept_by(spark) -> set[int]:
    """What Spark stores, other than what Delta does."""
    stored = spark.sparkContext._jsc.sc().getRDDStorageInfo()
    return {one.id() for one in stored if not one.name().startswith("Delta")}


def test_rows_that_were_derived_count_instead_of_those_that_are_stored(
    engine, request, streamed, release, labels, cut, middle, last, expected
):
    """They were derived under a model and labels that the stored ones knew nothing of; no windows but theirs are asked."""
    one = made(engine, streamed, labels, request.getfixturevalue("spark") if engine == SPARK else None)
    assert_same(in_two(one, streamed, release, cut, middle, last, carried=False), expected)
    one.close()


def test_a_number_that_is_there_is_not_written_again(engine, open_on, tmp_path, streamed, expected):
    """Into tables apart, as replays do: rows complete, every table with the number, and the second time nothing."""
    lake = open_on(streamed.house.store.root)
    sandbox, other = (Sandbox(Store(str(tmp_path / name), create=True)) for name in ("sandbox", "other"))
    for one in (sandbox, other):
        one.create()
    stored = lake.table(BRONZE.name).filter(pl.col("seq") < 300).sort("seq").collect()
    release = materialise(lake.house.store, stored["release_id"][0])
    stamp = Stamp(0, "run", release.id, dt.datetime.now(dt.UTC), day_of(stored), None)

    def written(engine, tables) -> tuple[dict[str, int], list[str]]:
        (events,) = engine.events_between(0, 299)
        steps: list[str] = []
        outcome = engine.derive(events, release, engine.state_before(0, release), events.labels_version)
        versions = engine.write(outcome, stamp, 0, tables, step=steps.append)
        assert engine.write(outcome, stamp, 0, tables) == versions
        outcome.close()
        return versions, sorted(steps)

    with written_by_spark(100), lake.reading() as engine_at_hand, lakewarden.open(lake.house.store.root).reading() as embedded:
        assert written(engine_at_hand, sandbox.tables) == written(embedded, other.tables)
    assert sandbox.done() == 0
    for name in sandbox.tables:
        ours, theirs = (one.scan(name).collect() for one in (sandbox, other))
        if "seq" in ours.columns:
            assert_alike(TABLES[name], ours, theirs)
        else:
            assert ours.drop("checked_time").sort("rule").equals(theirs.drop("checked_time").sort("rule"))


def test_shards_are_spread_by_the_hash_that_spark_groups_by(spark):
    from lakewarden.engines.spark.flow import hash_of_int

    values = [0, 1, 2, -1, 42, 12345, 2**31 - 1, -(2**31)]
    said = [row[0] for row in spark.sql(f"SELECT hash(v) FROM VALUES {', '.join(f'(CAST({v} AS INT))' for v in values)} AS t(v)").collect()]
    assert said == [hash_of_int(value) for value in values]
