"""The component limits: what the parts that the product is made of can do alone, measured in the same run."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from row import Row

ROWS = 500_000


def rate(work: Callable[[], object], rows: int, repeats: int = 3) -> float:
    """Best of a few runs: a limit, not an average."""
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return rows / best


def run(scratch: Path, events: Path) -> list[Row]:
    lines = b"".join(path.read_bytes() for path in sorted(events.glob("*.jsonl"))[:8]).splitlines(keepends=True)[:ROWS]
    clean = [line for line in lines if line.startswith(b'{"transaction_id"') and line.endswith(b"}\n") and b"\x00" not in line]
    data, count = b"".join(clean), len(clean)
    frame = pl.read_ndjson(data, infer_schema_length=10_000, ignore_errors=True)
    rng = np.random.default_rng(1)
    wide = frame.select("transaction_id", "account_id", "amount", "event_time").with_columns(
        pl.Series(f"f{n}", rng.random(frame.height)) for n in range(30)
    )
    account, moment = rng.integers(0, 50_000, count), rng.integers(0, 10**12, count)

    def clock() -> None:
        order = np.lexsort((moment, account))
        np.maximum.accumulate(moment[order] - np.arange(count))

    from catboost import CatBoostClassifier, Pool
    from deltalake import write_deltalake

    x = rng.random((count, 40)).astype(np.float32)
    scorer = CatBoostClassifier(iterations=300, depth=6, verbose=False, thread_count=2, allow_writing_files=False)
    scorer.fit(x[:20_000], (x[:20_000, 0] + x[:20_000, 1] > 1.4).astype(int))
    few = Pool(x[:10_000])

    def delta() -> None:
        shutil.rmtree(scratch / "bulk", ignore_errors=True)
        write_deltalake(str(scratch / "bulk"), wide)

    return [
        Row(
            "limit_read_ndjson",
            rate(lambda: pl.read_ndjson(data, schema=frame.schema, ignore_errors=True), count),
            "rows/s",
            "parts",
            1_050_000,
        ),
        Row("limit_sort_and_clock", rate(clock, count), "rows/s", "parts", 1_300_000),
        Row(
            "limit_catboost_score",
            rate(lambda: scorer.predict(x, prediction_type="RawFormulaVal", thread_count=2), count),
            "rows/s",
            "parts",
            3_900_000,
        ),
        Row(
            "limit_catboost_shap",
            rate(lambda: scorer.get_feature_importance(few, type="ShapValues", thread_count=2), 10_000),
            "rows/s",
            "parts",
            22_000,
        ),
        Row("limit_write_deltalake_34_columns", rate(delta, count), "rows/s", "parts", 1_600_000, note="parts: narrower rows"),
        Row(
            "limit_parquet_34_columns",
            rate(lambda: wide.write_parquet(scratch / "bulk.parquet", compression="zstd", compression_level=1, statistics=False), count),
            "rows/s",
        ),
    ]
