"""Figures of a backfill that was run, from its sandbox: by date, rules, ids that live data have too, hash totals."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.audit.verification import comparable
from lakewarden.operations.backfill.sandbox import BROUGHT_IN
from lakewarden.operations.replay.difference import hash_total
from lakewarden.tables import ALERTS, BRONZE, DLQ, DQ_RESULTS, DUPLICATES, GOLD, SILVER

if TYPE_CHECKING:
    from lakewarden.lake.lakehouse import Snapshot
    from lakewarden.operations.backfill.sandbox import BackfillSandbox

BANDS: Final = ("LOW", "MEDIUM", "HIGH")


def by_date(sandbox: BackfillSandbox) -> list[dict[str, Any]]:
    """Events, what they became, amounts (minor units of the base currency) and bands of each date."""
    counted = [
        sandbox.scan(spec.name).group_by("event_date").agg(pl.len().cast(pl.Int64).alias(name))
        for name, spec in (("events", BRONZE), ("silver", SILVER), ("dead_letters", DLQ), ("duplicates", DUPLICATES), ("alerts", ALERTS))
    ]
    band = [(pl.col("risk_band") == name).sum().cast(pl.Int64).alias(name.lower()) for name in BANDS]
    amount = pl.col("amount_base_minor").cast(pl.Int128).sum().cast(pl.Int64).alias("amount_base_minor")
    rows = counted[0]
    for more in (*counted[1:], sandbox.scan(GOLD.name).group_by("event_date").agg(amount, *band)):
        rows = rows.join(more, on="event_date", how="full", coalesce=True)
    found = rows.fill_null(0).sort("event_date").collect()
    return [{"date": str(row.pop("event_date")), **row} for row in found.to_dicts()]


def rules(sandbox: BackfillSandbox) -> list[dict[str, Any]]:
    """Pass rates by data-quality rule."""
    of_rule = sandbox.scan(DQ_RESULTS.name).group_by("rule", "criticality").agg(pl.col("rows").sum(), pl.col("failed").sum())
    passed = pl.when(pl.col("rows") > 0).then(1 - pl.col("failed") / pl.col("rows")).alias("pass_rate")
    return of_rule.with_columns(passed).sort("criticality", "rule").collect().to_dicts()


def critical_pass_rate(rules: list[dict[str, Any]]) -> float | None:
    """The share of evaluations of critical rules that passed; None where none was evaluated."""
    critical = [rule for rule in rules if rule["criticality"] == "critical"]
    rows = sum(int(rule["rows"]) for rule in critical)
    return 1 - sum(int(rule["failed"]) for rule in critical) / rows if rows else None


def live_ids(snapshot: Snapshot, sandbox: BackfillSandbox, most: int) -> dict[str, Any]:
    """Transaction ids that live data have already: how many, as a share of all, and the first of them."""
    ids = sandbox.scan(SILVER.name).select("transaction_id").unique()
    both = ids.join(snapshot.scan(SILVER.name).select("transaction_id"), on="transaction_id", how="semi").sort("transaction_id").collect()
    total = int(ids.select(pl.len()).collect().item())
    return {"ids": both.height, "share": both.height / total if total else 0.0, "examples": both["transaction_id"].head(most).to_list()}


def ends(snapshot: Snapshot, sandbox: BackfillSandbox) -> dict[str, Any]:
    """The last date and clock of the history, and the first date and clock of what the lake has (microseconds; None where it is empty)."""
    clock = pl.max_horizontal(pl.col("clock").max(), pl.col("party_clock").max())
    first = pl.min_horizontal(pl.col("clock").min(), pl.col("party_clock").min())
    return {
        "first_date": _date(sandbox.scan(BRONZE.name).select(pl.col("event_date").min())),
        "last_date": _date(sandbox.scan(BRONZE.name).select(pl.col("event_date").max())),
        "last_clock": sandbox.scan(SILVER.name).select(clock).collect().item(),
        "live_date": _date(snapshot.scan(BRONZE.name).select(pl.col("event_date").min())),
        "live_clock": snapshot.scan(SILVER.name).select(first).collect().item(),
    }


def hash_totals(sandbox: BackfillSandbox, days: list[str]) -> dict[str, str]:
    """By table, the sum of the rows' hashes without run ids and wall-clock columns."""
    totals: dict[str, str] = {}
    for name, spec in BROUGHT_IN.items():
        if spec.per_event:
            columns = comparable(spec)
            of_days = (sandbox.scan(name).filter(pl.col("event_date") == date.fromisoformat(day)).collect() for day in days)
            totals[name] = f"{sum(hash_total(rows, columns) for rows in of_days) % (1 << 64):016x}"
    return totals


def _date(found: pl.LazyFrame) -> str | None:
    day = found.collect().item()
    return None if day is None else str(day)
