"""The demo: simulate, train, stream, show, prove. The lake stays, for the user to explore."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.app import init, simulate
from lakewarden.errors import LakeError
from lakewarden.tables import ALERTS, BRONZE, DLQ, DQ_RESULTS, GOLD

if TYPE_CHECKING:
    from lakewarden.app import Lake, StreamReport
    from lakewarden.progress import OnProgress

MARKER: Final = "_demo"
HISTORY_DAYS: Final = 21
DAYS: Final = 3
START: Final = date(2026, 1, 5)


@dataclass(frozen=True)
class DemoReport:
    """What the demo did and found; `ok` when every date is conserved and verifies without a difference."""

    data: dict[str, Any]
    ok: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"ok": self.ok, **self.data}


def run(lake_path: str | Path = "demo-lake", *, seed: int = 7, on_progress: OnProgress | None = None) -> DemoReport:
    """Run the demo into a lake of its own; an earlier demo there is replaced.

    Raises:
        LakeError: something that is not an earlier demo stands there; it is left alone.
    """
    started, path = time.monotonic(), Path(lake_path)
    _make_room(path)
    inputs = path / MARKER
    lake = init(path)
    inputs.mkdir(exist_ok=True)
    history, days = inputs / "history", inputs / "days"
    simulate(
        history, seed=seed + 1, days=HISTORY_DAYS, start=date(2025, 12, 1), faults="none", events_per_day=6_000, on_progress=on_progress
    )
    simulate(days, seed=seed, days=DAYS, start=START, faults="default", on_progress=on_progress)
    lake.reference_import(history / "reference")
    trained = lake.train(history / "labels" / "labels.csv", source=history, seed=seed, on_progress=on_progress)
    lake.reference_import(days / "reference")
    streamed = lake.stream(days, once=True, batch_rows=5_000, on_progress=on_progress)
    dates = [START.fromordinal(START.toordinal() + n) for n in range(DAYS)]
    statements = [lake.conserve(day) for day in dates]
    verified = [lake.verify(day, on_progress) for day in dates]
    ok = all(s.ok for s in statements) and all(v.ok for v in verified)
    return DemoReport(
        {
            "id": streamed.run_id,
            "rows": streamed.rows,
            "differences": sum(v.differences for v in verified),
            "seconds": round(time.monotonic() - started, 1),
            "model": {"release": trained.release_id, **{k: v for k, v in trained.metrics.items() if v is not None}},
            "stream": _stream_facts(streamed),
            "risk_bands": _bands(lake),
            "top_alerts": _top_alerts(lake),
            "data_quality": _failed_rules(lake),
            "dead_letter_reasons": _dead_letters(lake),
            "conservation": [
                {"date": str(s.date), **s.counts, "equations": f"{sum(c.ok for c in s.checks)} of {len(s.checks)} hold"} for s in statements
            ],
            "verification": [{"date": str(v.date), "rows": v.rows, "differences": v.differences} for v in verified],
            "lake": str(path),
            "try_next": _next(path),
        },
        ok,
    )


def _make_room(path: Path) -> None:
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / MARKER).is_dir():
        raise LakeError(
            f"{path} is not empty and is no demo lake.", state="it was left as it is", next="lakewarden demo --lake ANOTHER_PATH"
        )
    shutil.rmtree(path)


def _stream_facts(streamed: StreamReport) -> dict[str, Any]:
    facts = streamed.to_dict()
    return {name: facts[name] for name in ("events_per_second", "micro_batches", "latency_ms", "counts")}


def _bands(lake: Lake) -> dict[str, int]:
    return dict(lake.table(GOLD.name).group_by("risk_band").agg(pl.len()).sort("risk_band").collect().iter_rows())


def _top_alerts(lake: Lake) -> list[dict[str, Any]]:
    top = lake.table(ALERTS.name).sort("risk_score", "seq", descending=[True, False]).head(5).collect()
    return [
        {
            "transaction_id": row["transaction_id"],
            "amount_eur": row["amount_base_minor"] / 100,
            "risk_score": row["risk_score"],
            "reasons": row["reasons"][:3],
            "owner": row["owner"],
        }
        for row in top.iter_rows(named=True)
    ]


def _failed_rules(lake: Lake) -> list[dict[str, Any]]:
    failed = (
        lake.table(DQ_RESULTS.name)
        .group_by("rule", "dimension", "criticality")
        .agg(pl.col("rows").sum(), pl.col("failed").sum())
        .filter(pl.col("failed") > 0)
        .with_columns(pass_rate=1 - pl.col("failed") / pl.col("rows"))
        .sort("failed", "rule", descending=[True, False])
        .collect()
    )
    return failed.to_dicts()


def _dead_letters(lake: Lake) -> list[dict[str, Any]]:
    reasons = lake.table(DLQ.name).select("codes", "reasons").explode("codes", "reasons").collect()
    return (
        reasons.group_by("codes")
        .agg(pl.len().alias("events"), pl.col("reasons").first().alias("for_example"))
        .sort("events", "codes", descending=[True, False])
        .rename({"codes": "reason"})
        .head(12)
        .to_dicts()
    )


def _next(path: Path) -> list[str]:
    return [
        f"lakewarden status --lake {path}",
        f'lakewarden sql --lake {path} "SELECT reasons, risk_score FROM {ALERTS.name} ORDER BY risk_score DESC LIMIT 5"',
        f'lakewarden sql --lake {path} "SELECT codes, count(*) AS events FROM {DLQ.name} GROUP BY 1 ORDER BY 2 DESC"',
        f"lakewarden verify --lake {path} --date {START}",
        f'lakewarden sql --lake {path} "SELECT count(*) AS events FROM {BRONZE.name}"',
    ]
