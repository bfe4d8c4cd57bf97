"""How a stateful stage could run on Spark: shards with a state each, or Spark's own state by key. One stage, five ways:

silver   cogrouped `applyInArrow` by shard: each shard folds all of its silver, then its new rows;
touched  the same, with only the silver of accounts that are in the micro-batch (a broadcast semi-join);
carried  the same, but a shard's state comes packed from the micro-batch before: silver is only needed to begin;
keyed    `transformWithStateInPandas`: RocksDB holds each account's rows of the horizon, and each account is a fold of its own;
rows     `transformWithState`: the same, with rows instead of pandas.

python benchmarks/spark_state.py keyed 5000 FOLDER      one way over so many accounts, ten micro-batches; prints JSON
"""

from __future__ import annotations

import json
import pickle
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
import pyarrow as pa

from lakewarden.engines.spark.columns import from_arrow, spark_schema, to_arrow
from lakewarden.flow.behaviour import BehaviourState, behaviour
from lakewarden.flow.labels import LabelIndex
from lakewarden.tables import BEHAVIOUR, SILVER

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from lakewarden.flow.release import Release

BATCHES: Final = 10
ROWS: Final = 20_000
SHARDS: Final = 2
FILES: Final = {
    "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.LocalFileSystem",
    "spark.hadoop.fs.AbstractFileSystem.file.impl": "org.apache.hadoop.fs.local.LocalFs",
}
"""RocksDB's provider takes no other file system for local folders."""
ROCKSDB: Final = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"

ENTERING: Final = pl.Schema(
    {
        name: SILVER.columns[name]
        for name in ("seq", "arrival_time", "event_time", "account_id", "party_id", "country", "device_id", "amount_base_minor")
    }
)
LEAVING: Final = pl.Schema({**ENTERING, **BEHAVIOUR})
STATES: Final = pl.Schema({**LEAVING, "shard": pl.Int32(), "state": pl.Binary()})
NEEDS: Final = pl.Schema({name: LEAVING[name] for name in BehaviourState.NEEDS})


def events(batch: int, accounts: int) -> pl.DataFrame:
    """A micro-batch in the middle of the flow; every account is as likely as any other, and ten batches are a day."""
    rng = np.random.default_rng(batch)
    seq = np.arange(ROWS, dtype=np.int64) + batch * ROWS
    time_us = 1_767_571_200_000_000 + seq * (86_400_000_000 // (BATCHES * ROWS))
    said = pl.DataFrame(
        {
            "seq": seq,
            "arrival_time": pl.Series(time_us).cast(ENTERING["arrival_time"]),
            "event_time": pl.Series(time_us).cast(ENTERING["event_time"]),
            "account": rng.integers(0, accounts, ROWS),
            "party": rng.integers(0, 2000, ROWS),
            "device": rng.integers(0, 2, ROWS),
            "amount_base_minor": rng.integers(100, 500_000, ROWS),
        }
    )
    text = {
        "account_id": pl.format("A{}", "account"),
        "party_id": pl.format("m:M{}", "party"),
        "device_id": pl.format("D{}-{}", "account", "device"),
        "country": pl.lit("DE"),
    }
    return said.with_columns(**text).select(ENTERING.names()).cast(dict(ENTERING.items()))


def fold(rows: pl.DataFrame, before: pl.DataFrame, release: Release, room: int = 8192) -> pl.DataFrame:
    """The stage, behind the state that these rows of silver make; the same for shards and for single accounts."""
    state = BehaviourState(room)
    state.rebuild(before.sort("seq"), release.settings)
    return behaviour(rows.sort("seq"), release, state, LabelIndex.empty()).select(LEAVING.names())


def carry(rows: pl.DataFrame, packed: bytes | None, release: Release) -> tuple[pl.DataFrame, bytes]:
    """The stage, behind a state that was packed; and the state then."""
    state = pickle.loads(zlib.decompress(packed)) if packed else BehaviourState()
    made = behaviour(rows.sort("seq"), release, state, LabelIndex.empty()).select(LEAVING.names())
    return made, zlib.compress(pickle.dumps(state, protocol=4), 1)  # in 5 arrays come back that can't grow


def by_shard(rows: DataFrame, before: DataFrame, release: Release, way: str) -> DataFrame:
    """Cogroup a micro-batch with its silver, or with the shards' states; of `carried`, states come out among the rows."""
    from pyspark.sql import functions as f

    leaving = STATES if way == "carried" else LEAVING

    def folded(some: pa.Table, earlier: pa.Table) -> pa.Table:
        if some.num_rows == 0:
            return to_arrow(leaving.to_frame(), leaving)
        new = from_arrow(some, ENTERING)
        if way != "carried":
            return to_arrow(fold(new, from_arrow(earlier, NEEDS), release), leaving)
        made, packed = carry(new, earlier["state"][0].as_py() if earlier.num_rows else None, release)
        state = pl.DataFrame({"shard": [some["shard"][0].as_py()], "state": [packed]}, schema_overrides={"shard": pl.Int32})
        return to_arrow(pl.concat([made, state], how="diagonal"), leaving)

    shard = f.pmod(f.xxhash64("account_id"), f.lit(SHARDS)).cast("int")
    if way == "touched":
        before = before.join(f.broadcast(rows.select("account_id").distinct()), "account_id", "left_semi").select(*NEEDS.names())
    earlier = (before if way == "carried" else before.withColumn("shard", shard)).groupBy("shard")
    return rows.withColumn("shard", shard).groupBy("shard").cogroup(earlier).applyInArrow(folded, spark_schema(leaving))


def processor(release: Release, *, pandas: bool) -> Any:  # noqa: ANN401  (its class needs PySpark)
    """A processor with each account's rows in a list state. One account's rows come in no order: it sorts them."""
    from pyspark.sql import Row
    from pyspark.sql.streaming import StatefulProcessor, StatefulProcessorHandle

    columns, schema = NEEDS.names(), spark_schema(NEEDS)  # a schema's text is parsed by the driver only

    class Remembering(StatefulProcessor):
        def init(self, handle: StatefulProcessorHandle) -> None:
            self.rows = handle.getListState("rows", schema)

        def handleInputRows(self, key: Any, rows: Iterator[Any], timerValues: Any) -> Iterator[Any]:  # noqa: ANN401
            if pandas:
                new = pl.concat([from_arrow(pa.Table.from_pandas(some, preserve_index=False), ENTERING) for some in rows])
            else:
                new = pl.DataFrame([row.asDict() for row in rows], schema=ENTERING)
            before = pl.DataFrame(list(self.rows.get()), schema=NEEDS, orient="row")
            made = fold(new, before, release, room=16)
            self.rows.appendList(made.select(columns).rows())
            if pandas:
                yield made.to_pandas()
            else:
                yield from (Row(**row) for row in made.to_dicts())

        def close(self) -> None:
            pass

    return Remembering()


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def run(spark: SparkSession, way: str, accounts: int, release: Release, folder: Path, batches: int = BATCHES) -> dict[str, object]:
    """Micro-batches of 20,000 events: seconds of each, and the bytes of what is remembered."""
    source, silver, checkpoint = (folder / f"{way}-{accounts}-{name}" for name in ("source", "silver", "checkpoint"))
    source.mkdir(parents=True)
    for batch in range(batches):
        pl.from_arrow(to_arrow(events(batch, accounts), ENTERING)).write_parquet(source / f"{batch:03}.parquet")  # type: ignore[union-attr]
    stream = spark.readStream.schema(spark_schema(ENTERING)).option("maxFilesPerTrigger", 1).parquet(str(source))
    if way in ("keyed", "rows"):
        spark.conf.set("spark.sql.streaming.stateStore.providerClass", ROCKSDB)
        grouped = stream.groupBy("account_id")
        transform = grouped.transformWithStateInPandas if way == "keyed" else grouped.transformWithState
        stream = transform(processor(release, pandas=way == "keyed"), spark_schema(LEAVING), "Append", "None")
    take = Taker(silver, release, way)
    writer = stream.writeStream.foreachBatch(take.append).option("checkpointLocation", str(checkpoint)).trigger(availableNow=True)
    query = writer.start()
    query.awaitTermination()
    progress = [one for one in query.recentProgress if one["numInputRows"]]
    return {
        "way": way,
        "accounts": accounts,
        "seconds": [round(one["durationMs"]["triggerExecution"] / 1e3, 2) for one in progress],
        "state_bytes": size(checkpoint / "state") if (checkpoint / "state").exists() else take.state_bytes(),
        "silver_bytes": size(silver),
        "operators": progress[-1]["stateOperators"],
    }


class Taker:
    """Writes micro-batches to silver; of the ways by shard, runs the stage first."""

    def __init__(self, silver: Path, release: Release, way: str) -> None:
        self.silver, self.release, self.way = silver, release, way
        self.states: DataFrame | None = None

    def append(self, rows: DataFrame, number: int) -> None:
        if self.way in ("keyed", "rows"):
            self._write(rows)
            return
        made = by_shard(rows, self._before(rows), self.release, self.way)
        if self.way == "carried":
            made = made.persist()
            made.count()
            if self.states is not None:
                self.states.unpersist()
            self.states = made.where("state IS NOT NULL").select("shard", "state").localCheckpoint()
            self._write(made.where("seq IS NOT NULL").drop("shard", "state"))
            made.unpersist()
        else:
            self._write(made)

    def state_bytes(self) -> int:
        """Of the packed states; 0 where silver is all there is."""
        return 0 if self.states is None else sum(len(row["state"]) for row in self.states.collect())

    def _before(self, rows: DataFrame) -> DataFrame:
        spark = rows.sparkSession
        if self.way == "carried":
            return self.states if self.states is not None else spark.createDataFrame([], "shard INT, state BINARY")
        if not self.silver.exists():
            return spark.createDataFrame([], spark_schema(NEEDS))
        return spark.read.format("delta").load(str(self.silver)).select(*NEEDS.names())

    def _write(self, rows: DataFrame) -> None:
        rows.write.format("delta").mode("append").save(str(self.silver))


def release_of(folder: Path) -> Release:
    """That of a new lake."""
    import lakewarden
    from lakewarden.lake.release_loader import materialise
    from lakewarden.lake.releases import current_id

    store = lakewarden.init(folder / "lake").house.store
    current = current_id(store)
    assert current is not None
    return materialise(store, current)


def main(way: str, accounts: str, folder: str, batches: str = str(BATCHES)) -> None:
    sys.path.append(str(Path(__file__).parents[1] / "scripts"))
    from spark_jars import spark_jars  # a script, not a package

    from lakewarden.engines.spark.session import local_session

    spark = local_session(spark_jars(), Path(folder) / "session", settings=FILES)
    started = time.monotonic()
    print(
        json.dumps(
            {**run(spark, way, int(accounts), release_of(Path(folder)), Path(folder), int(batches)), "whole": time.monotonic() - started}
        )
    )
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
