"""The streaming job as a good engineer would write it by hand in Spark: the yardstick for what our promises cost on Spark.

It does the same work on the same events as the flow: bronze, contract and quality with dead letters, ids once, reference data, windows of
1 and 24 hours and of 7 and 30 UTC days by account and by other side, CatBoost with the same trees, the compliance rules, and five
Delta tables. It is no replay and no proof: rows aren't the same value for value for another cut, windows go by event time and not by
what had arrived, nothing says which release made a row, and a reader may see one table ahead of another. It also leaves out, to its
own advantage: explanations and reasons in words, the anomaly detector, frauds known of a party (nobody of a benchmark's events is
labelled), fuzzy names (ours are matched at import), duplicates as a table, quality results as a table, compaction. It doesn't tell
a conflict from a duplicate, and takes a number where the contract wants text.

What profiling found. A warm batch of 200,000 events takes 24 s of the cores' time in tasks: parse and judge 25 %, join and write of
silver 21 %, windows of parties 15 % and of accounts 10 %, features and score 12 %. Java's compiler
took nearly as much again over the first three batches, and twice as much as the tasks over the first ten micro-batches of 20,000: measure
only what comes after two whole batches or ten micro-batches, else it is Java's warming up that is measured. A frame that is an argument
of `spark.sql` loses its `persist`; a number in a query (of a micro-batch, say) is compiled anew for each; a hundred columns are dearer to
keep than to read again from Parquet.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import spark_by_hand_sql as sql
import spark_by_hand_windows as windows
from spark_by_hand_model import Model, log_odds

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TABLES: Final = {
    "bronze": ("event_date",),
    "dead_letters": ("event_date",),
    "silver": ("event_date", "region"),
    "gold": ("event_date", "risk_band"),
    "alerts": ("event_date",),
}
_TUNED: Final = {
    "spark.sql.inMemoryColumnarStorage.compressed": "false",  # what is kept is kept for seconds
    "spark.databricks.delta.properties.defaults.dataSkippingNumIndexedCols": "8",  # of 32: nobody looks for a sum of 7 days
}
_ID: Final = ("seq", "event_date", "transaction_id", "account_id")
_JUDGEMENT: Final = ("dead", "copy", "codes", "body_excerpt", "body_bytes", "event_time_text")
_SCORES: Final = ("risk_score", "risk_band", "model_band", "rules")
_GOLD: Final = (*_ID, "batch", "event_time", "amount_base_minor", *_SCORES, "dq_status", "tenant_id")
_DEAD: Final = (*_ID, "batch", "arrival_time", "amount", "currency", "codes", "body_excerpt", "body_bytes")
_REMEMBERED: Final = ("transaction_id", "event_time", "event_date", "account_id", "party_id", "country", "device_id", "amount_base_minor")


def _batch(number: int | None) -> str:
    """A micro-batch's name. It is text, because Spark writes numbers into the code that it generates, and would compile it for each."""
    return "all" if number is None else f"{number:010}"


class Job:
    """Reference data and model, ready; and where tables go."""

    def __init__(self, spark: SparkSession, out: Path, model: Model, reference: Path) -> None:
        self.spark, self.out, self.model = spark, out, model
        for name, value in _TUNED.items():
            spark.conf.set(name, value)
        own = Path(str(resources.files("lakewarden"))) / "conf" / "reference"
        files = {name: reference / f"{name}.csv" for name in ("kyc", "limits", "counterparties", "watchlist", "fx")}
        files |= {name: own / f"{name}.csv" for name in ("countries", "mcc", "currencies")}
        csv = {name: self._csv(path) for name, path in files.items()}
        self.references = {
            "accounts": self._sql(sql.ACCOUNTS, kyc=csv["kyc"], limits=csv["limits"], watchlist=csv["watchlist"]).persist(),
            "counterparties": self._sql(sql.COUNTERPARTIES, known=csv["counterparties"], watchlist=csv["watchlist"]).persist(),
            "currencies": self._sql(sql.CURRENCIES, exponents=csv["currencies"], fx=csv["fx"]).persist(),
            "countries": csv["countries"].persist(),
            "mcc": csv["mcc"].persist(),
        }
        for name, table in self.references.items():
            table.createOrReplaceTempView(name)

    def close(self) -> None:
        """Let Spark forget the reference data and how it was tuned."""
        for table in self.references.values():
            table.unpersist()
        for name in _TUNED:
            self.spark.conf.unset(name)

    def batch(self, raw: DataFrame, number: int | None = None) -> None:
        """All tables, of events with `seq`, `body` and `received_time`.

        Args:
            number: of the micro-batch, whose events have those of before behind them; None: there is nothing before.
        """
        from pyspark.sql import functions as f

        raw = raw.withColumn("batch", f.lit(_batch(number)))
        ranked = self._sql(sql.RANKED, judged=self._judged(raw)).persist()
        admitted = ranked.where("NOT dead AND copy = 1").drop(*_JUDGEMENT)
        before = self._read_silver() if number is not None else None
        if before is not None:
            admitted, before = self._behind(ranked, admitted, before)
        silver = admitted.join(self._behaviour(admitted, before), "transaction_id")

        with ThreadPoolExecutor(3) as pool:  # a commit is mostly waiting, and Spark runs several jobs at a time
            written = [
                pool.submit(self._silver_to_alerts, silver, number),
                pool.submit(self._write, "bronze", self._sql(sql.BRONZE, raw=raw), number),
                pool.submit(self._write, "dead_letters", ranked.where("dead").select(*_DEAD), number),
            ]
            for one in written:
                one.result()
        ranked.unpersist()

    def _silver_to_alerts(self, silver: DataFrame, number: int | None) -> None:
        """Silver first; what is scored is read from it, which costs less than to keep a hundred columns."""
        self._write("silver", silver, number)
        written = self._read_silver()
        assert written is not None
        written = written.where(f"batch = '{_batch(number)}'")
        gold = self._sql(sql.SCORED, odds=written.withColumn("odds", log_odds(written, self.model))).select(*_GOLD).persist()
        self._write("gold", gold, number)
        self._write("alerts", gold.where("risk_band = 'HIGH'"), number)
        gold.unpersist()

    def _sql(self, query: str, **views: DataFrame) -> DataFrame:
        """A query over frames under names. The names stay: to drop one, as Spark does by itself for its arguments, forgets what is kept."""
        for name, frame in views.items():
            frame.createOrReplaceTempView(name)
        return self.spark.sql(query)

    def _csv(self, path: Path) -> DataFrame:
        """A small file with a header; its columns are named here, which spares Spark a job to look for them."""
        header = next(line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
        schema = ", ".join(f"`{name}` STRING" for name in header.split(","))
        return self.spark.read.csv(str(path), header=True, comment="#", schema=schema)

    def _judged(self, raw: DataFrame) -> DataFrame:
        """Events parsed, enriched and judged: `dead` where they break a critical rule."""
        events = self._sql(sql.PARSED, raw=raw)
        return self._sql(sql.JUDGED, enriched=self._sql(sql.ENRICHED, events=events))

    def _read_silver(self) -> DataFrame | None:
        path = self.out / "silver"
        return self.spark.read.format("delta").load(str(path)) if (path / "_delta_log").exists() else None

    def _behind(self, ranked: DataFrame, admitted: DataFrame, silver: DataFrame) -> tuple[DataFrame, DataFrame]:
        """Rows whose ids silver of the last day doesn't have, and the rows of silver that their windows reach."""
        from pyspark.sql import functions as f

        first = ranked.where("NOT dead").agg(f.min("event_date").alias("day"), f.min("arrival_time").alias("arrived")).first()
        assert first is not None
        recent = silver.where(f.col("arrival_time") >= f.lit(first["arrived"]) - f.expr("INTERVAL 1 DAY")).select("transaction_id")
        seen = recent.join(f.broadcast(admitted.select("transaction_id")), "transaction_id", "left_semi")
        before = silver.where(f.col("event_date") >= f.date_sub(f.lit(first["day"]), 37))
        return admitted.join(f.broadcast(seen), "transaction_id", "left_anti"), before

    def _behaviour(self, admitted: DataFrame, before: DataFrame | None) -> DataFrame:
        """What each new transaction's account and other side did before it."""
        from pyspark.sql import functions as f

        moves = self._sql(windows.MOVES, rows=admitted).withColumn("fresh", f.lit(True))
        if before is not None:
            accounts = f.broadcast(admitted.select("account_id").distinct())
            earlier = before.select(*_REMEMBERED).join(accounts, "account_id", "left_semi")
            moves = moves.unionByName(self._sql(windows.MOVES, rows=earlier).withColumn("fresh", f.lit(False)))
        rows = moves.repartition("account_id")
        for name, step in (("moves", windows.PAIRS), ("pairs", windows.RECENT), ("recent", windows.DAILY), ("daily", windows.USUAL)):
            rows = self._sql(step, **{name: rows})
        sides = self._sql(windows.SIDES, usual=rows).where("key IS NOT NULL")
        if before is not None:
            keys = f.broadcast(admitted.selectExpr("explode(array(party_id, 'c:' || account_id)) AS party_id").distinct())
            earlier = before.select(*_REMEMBERED, "a_new_party").join(keys, "party_id", "left_semi")
            sides = sides.unionByName(self._sql(windows.SIDES_BEFORE, before=earlier), allowMissingColumns=True)
        recent = self._sql(windows.PARTY_RECENT, sides=sides.repartition("key"))
        return self._sql(windows.BEHAVIOUR, daily=self._sql(windows.PARTY_DAILY, recent=recent))

    def _write(self, table: str, rows: DataFrame, number: int | None) -> None:
        """Append; a micro-batch that comes again is skipped by Delta, and leaves one file a partition."""
        if number is None:
            writer = rows.write
        else:
            writer = rows.repartition(*TABLES[table]).write.option("txnAppId", f"by-hand-{table}").option("txnVersion", number)
        writer.format("delta").mode("append").partitionBy(*TABLES[table]).save(str(self.out / table))


def run_batch(spark: SparkSession, events_folder: Path, out_folder: Path, model: Model, reference_folder: Path) -> int:
    """All tables of a folder of JSON lines, at once; how many rows bronze has."""
    job = Job(spark, out_folder, model, reference_folder)
    job.batch(spark.read.text(str(events_folder)).selectExpr(*sql.FROM_FILES))
    job.close()
    return counts(spark, out_folder)["bronze"]


def run_stream(
    spark: SparkSession, bootstrap: str, topic: str, out_folder: Path, model: Model, reference_folder: Path, rows_per_batch: int
) -> tuple[int, list[float]]:
    """All tables of a topic as far as it goes, by micro-batches; how many rows bronze has, and the seconds of each micro-batch."""
    jobs: list[Job] = []
    seconds: list[float] = []

    def take(rows: DataFrame, number: int) -> None:
        started = time.monotonic()
        if not jobs:
            jobs.append(Job(rows.sparkSession, out_folder, model, reference_folder))  # a stream has a session of its own
        events = rows.selectExpr(*sql.FROM_KAFKA).persist()  # else each use reads the topic again
        jobs[0].batch(events, number)
        events.unpersist()
        seconds.append(time.monotonic() - started)

    source = spark.readStream.format("kafka").option("kafka.bootstrap.servers", bootstrap).option("subscribe", topic)
    topic_rows = source.option("startingOffsets", "earliest").option("maxOffsetsPerTrigger", rows_per_batch).load()
    writer = topic_rows.writeStream.foreachBatch(take).option("checkpointLocation", str(out_folder / "_checkpoint"))
    writer.trigger(availableNow=True).start().awaitTermination()
    for job in jobs:
        job.close()
    return counts(spark, out_folder)["bronze"], seconds


def counts(spark: SparkSession, out_folder: Path) -> dict[str, int]:
    """Rows by table; Delta tells them from its log."""
    return {name: spark.read.format("delta").load(str(out_folder / name)).count() for name in TABLES}


def main(lake: str, simulation: str, out: str, runs: str) -> None:
    """A simulation's events as one batch, some times in one session (the first is cold); the model is that of a lake."""
    sys.path.append(str(Path(__file__).parents[1] / "scripts"))
    from spark_jars import spark_jars  # a script, not a package

    from lakewarden.engines.spark.session import local_session

    model, folder = Model.of_lake(Path(lake)), Path(out)
    spark: Any = local_session(spark_jars(), folder / "session", memory="4g")
    for run in range(int(runs)):
        started = time.monotonic()
        target = folder / f"run-{run}"
        rows = run_batch(spark, Path(simulation) / "events", target, model, Path(simulation) / "reference")
        seconds = time.monotonic() - started
        print(json.dumps({"rows": rows, "seconds": seconds, "rate": rows / seconds, **counts(spark, target)}), flush=True)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
