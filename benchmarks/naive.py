"""The naive script: what a good engineer writes in an afternoon, one thread, no proof, no replay, no recovery.

Run as a process of its own (Polars takes its thread count from the environment): prints events per second.
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
from catboost import CatBoostClassifier
from deltalake import write_deltalake

BATCH = 100_000


def model() -> CatBoostClassifier:
    """300 trees of depth 6 on noise: the same cost as a real one."""
    rng = np.random.default_rng(1)
    x = rng.random((5000, 6))
    return CatBoostClassifier(iterations=300, depth=6, verbose=False, thread_count=1, allow_writing_files=False).fit(
        x, (x[:, 0] + x[:, 1] > 1.4).astype(int)
    )


def main(folder: str, lake: str) -> None:
    scorer = model()
    shutil.rmtree(lake, ignore_errors=True)
    seen: set[str] = set()
    started, rows, pending = time.perf_counter(), 0, []
    for path in sorted(Path(folder).glob("*.jsonl")):
        pending += path.read_bytes().splitlines()
        while len(pending) >= BATCH:
            rows += batch(pending[:BATCH], seen, scorer, lake)
            pending = pending[BATCH:]
    if pending:
        rows += batch(pending, seen, scorer, lake)
    print(rows / (time.perf_counter() - started))


def batch(lines: list[bytes], seen: set[str], scorer: CatBoostClassifier, lake: str) -> int:
    events = pl.read_ndjson(b"\n".join(lines), infer_schema_length=1000, ignore_errors=True)
    events = events.with_columns(pl.col("event_time").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", strict=False, time_zone="UTC").alias("at"))
    events = events.with_columns(pl.col("at").dt.date().alias("event_date"))
    write_deltalake(
        f"{lake}/bronze", pl.DataFrame({"body": lines, "event_date": events["event_date"]}), mode="append", partition_by=["event_date"]
    )
    silver = events.filter(pl.col("transaction_id").is_not_null(), pl.col("amount") >= 0, pl.col("at").is_not_null())
    silver = silver.filter(~pl.col("transaction_id").is_in(list(seen)) if seen else pl.lit(True)).unique(
        "transaction_id", maintain_order=True
    )
    silver = silver.select("transaction_id", "account_id", "amount", "currency", "country", "at", "event_date").sort("account_id", "at")
    silver = silver.with_columns(
        pl.col("amount").cum_count().over("account_id").alias("count"),
        pl.col("amount").cum_sum().over("account_id").alias("sum"),
        pl.col("at").diff().dt.total_seconds().over("account_id").fill_null(-1).alias("since"),
        pl.col("at").dt.hour().alias("hour"),
        (pl.col("at").dt.weekday() > 5).cast(pl.Int8).alias("weekend"),
    )
    features = silver.select("amount", "count", "sum", "since", "hour", "weekend").to_numpy()
    scores = scorer.predict_proba(features, thread_count=1)[:, 1]
    gold = silver.select("transaction_id", "event_date", "at").with_columns(pl.Series("risk_score", scores))
    write_deltalake(f"{lake}/silver", silver, mode="append", partition_by=["event_date"])
    write_deltalake(f"{lake}/gold", gold, mode="append", partition_by=["event_date"])
    return len(lines)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
