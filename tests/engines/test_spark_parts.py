"""The parts that Spark runs, cut and sharded here without Spark: the rows are those of the whole flow."""

from __future__ import annotations

import dataclasses

import polars as pl
import pytest

from lakewarden.engines.spark import parts
from lakewarden.engines.state import state_of
from lakewarden.flow.labels import LabelIndex
from lakewarden.flow.stages import Context, decode_events, run_flow
from lakewarden.hashing import hash_of
from lakewarden.lake.release_loader import materialise
from lakewarden.tables import BRONZE, SILVER
from makers import models


def shard(key: pl.Expr, shards: int) -> pl.Expr:
    return hash_of(key).reinterpret(signed=False) % shards


def with_copies(rows: pl.DataFrame, shards: int) -> list[pl.DataFrame]:
    """Each shard's rows: at home by account, and copies by party."""
    home, away = shard(pl.lit("c:") + pl.col("account_id"), shards), shard(pl.col("party_id"), shards)
    placed = rows.with_columns(home.alias("_h"), pl.when(pl.col("party_id").is_null()).then(home).otherwise(away).alias("_a"))
    found = [
        placed.filter((pl.col("_h") == n) | (pl.col("_a") == n)).with_columns((pl.col("_h") == n).alias(parts.HOME)) for n in range(shards)
    ]
    return [frame.drop("_h", "_a") for frame in found]


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_any_cut_and_any_shards_give_the_rows_of_the_whole_flow(streamed, cut, shards):
    release_id = streamed.table(BRONZE.name).select("release_id").head(1).collect().item()
    release = dataclasses.replace(materialise(streamed.house.store, release_id), model=models.model())
    bronze = streamed.table(BRONZE.name).filter(pl.col("seq") >= cut).sort("seq").collect()
    before = streamed.table(SILVER.name).filter(pl.col("seq") < cut)
    shared = parts.Shared(release, LabelIndex.empty())
    expected = run_flow(decode_events(bronze, release), Context(release, state_of(before, release), shared.labels))

    silver = before.collect()
    admitted = [parts.admit(some, shared) for some in bronze.sample(fraction=1.0, shuffle=True, seed=3).iter_slices(400)]
    rows, key = pl.concat([each[parts.ROW] for each in admitted]), shard(pl.col("transaction_id"), shards)
    recognised = [parts.recognise(rows.filter(key == n), silver.filter(key == n), shared) for n in range(shards)]
    known = pl.concat([each[parts.ROW] for each in recognised])
    sharded = zip(with_copies(known, shards), with_copies(silver, shards), strict=True)
    remembered = pl.concat([parts.remember(some, earlier, shared)[parts.ROW] for some, earlier in sharded])
    block = pl.col("seq") // 500
    concluded = [parts.conclude(remembered.filter(block == n), shared) for n in remembered.select(block.unique()).to_series()]

    for kind, part in ((parts.ROW, expected.silver), (parts.GOLD, expected.gold), (parts.ALERT, expected.alerts)):
        assert part.height > 0
        assert pl.concat([each[kind] for each in concluded]).sort("seq").equals(part)
    dead = pl.concat([each[parts.DEAD] for each in (*admitted, *recognised)]).sort("seq")
    assert dead.equals(expected.dead_letters)
    assert pl.concat([each[parts.DUPLICATE] for each in recognised]).sort("seq").equals(expected.duplicates)
    checks = parts.checks_of(pl.concat([each[parts.CHECK] for each in admitted]))
    assert checks.drop("examples").equals(expected.dq_results.drop("examples"))
