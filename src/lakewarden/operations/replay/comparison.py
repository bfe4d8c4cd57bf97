"""Old against new in figures: rows and amounts, bands, alerts, rules' pass rates, conservation (runbook section 4.2 step 5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.audit import conservation
from lakewarden.lake.lakehouse import Snapshot
from lakewarden.operations.latencies import SLO_SECONDS
from lakewarden.operations.replay.difference import COMPARED
from lakewarden.operations.replay.sandbox import REPLAYED, Sandbox
from lakewarden.tables import ALERTS, BRONZE, DQ_RESULTS, GOLD, PIPELINE_RUNS, SILVER

if TYPE_CHECKING:
    from lakewarden.flow.release import Release
    from lakewarden.operations.replay.plan import Plan

AMOUNTS: Final = (SILVER.name, GOLD.name, ALERTS.name)
"""Tables with an amount in the base currency; dead letters' and duplicates' amounts are in the conservation statements, by currency."""


@dataclass(frozen=True)
class Some(Snapshot):
    """The lake with the rows of some events only, in the tables that a replay derives, bronze aside."""

    among: pl.Series

    def scan(self, name: str) -> pl.LazyFrame:
        """A lazy scan of one table."""
        rows = Snapshot.scan(self, name)
        return rows.filter(pl.col("seq").is_in(self.among.implode())) if name in REPLAYED and REPLAYED[name].per_event else rows


def replayed_part(snapshot: Snapshot, among: pl.Series | None) -> Snapshot:
    """What of a snapshot a replay is compared with.

    Args:
        among: the events that it derived; None: all of its dates.
    """
    return snapshot if among is None else Some(snapshot.point, snapshot.tables, among)


@dataclass(frozen=True)
class Replayed(Snapshot):
    """The lake as if the sandbox had taken the place of the dates' rows: bronze up to the plan, the rest from the sandbox."""

    sandbox: Sandbox
    cut: int
    among: pl.Series | None

    def scan(self, name: str) -> pl.LazyFrame:
        """A lazy scan of one table."""
        if name in REPLAYED:
            stays = None if self.among is None else ~pl.col("seq").is_in(self.among.implode())
            if stays is None or not REPLAYED[name].per_event:
                return self.sandbox.scan(name)
            of_others = Snapshot.scan(self, name).filter(pl.col("seq") <= self.cut, stays)
            return pl.concat([of_others, self.sandbox.scan(name)])
        rows = Snapshot.scan(self, name)
        if name == BRONZE.name:
            return rows.filter(pl.col("seq") <= self.cut)
        return rows.filter(pl.col("last_seq") <= self.cut) if name == PIPELINE_RUNS.name else rows


def totals(snapshot: Snapshot, sandbox: Sandbox, plan: Plan) -> list[dict[str, Any]]:
    """Rows and amounts (minor units of the base currency) by table and date, old and new. Late rows are left out of both."""
    last = plan.stretch[1] if plan.stretch else -1
    rows: list[dict[str, Any]] = []
    for spec in COMPARED:
        old, new = (
            _by_date(source.scan(spec.name).filter(pl.col("event_date").is_between(*plan.dates), pl.col("seq") <= last), spec.name)
            for source in (snapshot, sandbox)
        )
        for day in sorted({*old, *new}):
            (was, amount_was), (becomes, amount_becomes) = old.get(day, (0, 0)), new.get(day, (0, 0))
            row = {"table": spec.name, "date": str(day), "old": was, "new": becomes, "change": becomes - was}
            amounts = {"old_amount": amount_was, "new_amount": amount_becomes} if spec.name in AMOUNTS else {}
            rows.append({**row, **amounts})
    return rows


def _by_date(rows: pl.LazyFrame, name: str) -> dict[date, tuple[int, int]]:
    amount = pl.col("amount_base_minor").cast(pl.Int128).sum() if name in AMOUNTS else pl.lit(0)
    found = rows.group_by("event_date").agg(pl.len().alias("n"), amount.alias("amount")).collect()
    return {day: (int(count), int(total)) for day, count, total in found.iter_rows()}


def bands(snapshot: Snapshot, sandbox: Sandbox, plan: Plan) -> list[dict[str, Any]]:
    """How many transactions went from which band to which; those that stand on both sides."""
    columns = pl.col("seq"), pl.col("risk_band")
    old = snapshot.scan(GOLD.name).filter(pl.col("event_date").is_between(*plan.dates)).select(columns).unique("seq")
    both = old.join(sandbox.scan(GOLD.name).select(columns), on="seq", suffix="_new")
    found = both.group_by("risk_band", "risk_band_new").agg(pl.len().alias("n")).collect()
    return [{"old": a, "new": b, "transactions": n} for a, b, n in sorted(found.iter_rows())]


def alerts(snapshot: Snapshot, sandbox: Sandbox, plan: Plan) -> dict[str, int]:
    """Alerts that a swap would open and close, and those that stay. Late ones are left out."""
    last = plan.stretch[1] if plan.stretch else -1
    old = (
        snapshot.scan(ALERTS.name)
        .filter(pl.col("event_date").is_between(*plan.dates), pl.col("seq") <= last)
        .select(pl.col("seq").unique())
    )
    both = old.collect().join(sandbox.scan(ALERTS.name).select(pl.col("seq").unique()).collect(), on="seq", how="inner").height
    was = int(old.select(pl.len()).collect().item())
    becomes = int(sandbox.scan(ALERTS.name).select(pl.col("seq").n_unique()).collect().item())
    return {"opened": becomes - both, "closed": was - both, "kept": both}


def rules(snapshot: Snapshot, sandbox: Sandbox, plan: Plan) -> list[dict[str, Any]]:
    """Pass rates by data-quality rule, old and new: of the micro-batches that the stretch touches, and of the whole stretch."""
    if plan.stretch is None:
        return []
    runs = snapshot.scan(PIPELINE_RUNS.name).filter(pl.col("last_seq") >= plan.stretch[0], pl.col("first_seq") <= plan.stretch[1])
    old = _rates(snapshot.scan(DQ_RESULTS.name).join(runs.select("batch"), on="batch", how="semi"), "old")
    both = old.join(_rates(sandbox.scan(DQ_RESULTS.name), "new"), on=["rule", "criticality"], how="full", coalesce=True)
    return both.sort("criticality", "rule").to_dicts()


def service_level(snapshot: Snapshot, plan: Plan, replayed_seconds: float | None) -> dict[str, Any]:
    """Latency of the dates as they were streamed, weighed by events; a replay has none, and its seconds stand beside it."""
    stretch = plan.stretch or (0, -1)
    runs = snapshot.scan(PIPELINE_RUNS.name).filter(pl.col("last_seq") >= stretch[0], pl.col("first_seq") <= stretch[1])
    found = runs.select("received", "latency_p95_ms").sort("latency_p95_ms").collect()
    reached = found.filter(pl.col("received").cum_sum() >= 0.95 * int(found["received"].sum())) if found.height else found
    old = None if reached.is_empty() else float(reached["latency_p95_ms"][0])
    return {
        "latency_p95_ms": {"old": old, "new": None},
        "level_ms": SLO_SECONDS * 1000,
        "old_met": None if old is None else old <= SLO_SECONDS * 1000,
        "replay_seconds": replayed_seconds,
    }


def _rates(results: pl.LazyFrame, side: str) -> pl.DataFrame:
    of_rule = results.group_by("rule", "criticality").agg(pl.col("rows").sum(), pl.col("failed").sum()).collect()
    passed = pl.when(pl.col("rows") > 0).then(1 - pl.col("failed") / pl.col("rows"))
    return of_rule.select(
        "rule",
        "criticality",
        pl.col("rows").alias(f"{side}_rows"),
        pl.col("failed").alias(f"{side}_failed"),
        passed.alias(f"{side}_pass_rate"),
    )


def critical_pass_rate(rules: list[dict[str, Any]], side: str) -> float | None:
    """The share of evaluations of critical rules that passed; None where none was evaluated."""
    critical = [rule for rule in rules if rule["criticality"] == "critical" and rule[f"{side}_rows"]]
    rows = sum(int(rule[f"{side}_rows"]) for rule in critical)
    return 1 - sum(int(rule[f"{side}_failed"]) for rule in critical) / rows if rows else None


def statements(
    snapshot: Snapshot, sandbox: Sandbox, plan: Plan, release: Release, days: list[date], among: pl.Series | None
) -> list[dict[str, Any]]:
    """The conservation statement of each date, with the sandbox's rows in production's place."""
    replayed = Replayed(snapshot.point, snapshot.tables, sandbox, plan.cut, among)
    return [conservation.state(replayed, day, release, 0.0).to_dict() for day in days]
