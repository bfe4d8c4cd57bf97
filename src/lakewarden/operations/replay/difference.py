"""Where production and a sandbox differ, row by row, and why (runbook section 4.2 step 5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.audit.verification import SEED, comparable
from lakewarden.flow.behaviour import BehaviourState
from lakewarden.flow.deduplicate import DedupState
from lakewarden.tables import ALERTS, BRONZE, DLQ, DUPLICATES, GOLD, SILVER, TableSpec

if TYPE_CHECKING:
    from lakewarden.lake.lakehouse import Snapshot
    from lakewarden.operations.replay.plan import Plan
    from lakewarden.operations.replay.sandbox import Sandbox

COMPARED: Final = (SILVER, GOLD, ALERTS, DLQ, DUPLICATES)
STANDS: Final = (SILVER, DLQ, DUPLICATES)
"""Each event stands in exactly one of these."""

NAMING: Final = ("release_id", "model_name", "model_version", "model_run_id", "features_version")
"""Columns that name a release or its parts: under another release they differ in every row, and say nothing of what became of it."""

RELEASE_CHANGE: Final = "release change"
DUPLICATE: Final = "duplicate"
LATE: Final = "late"
DATA_LOSS: Final = "data loss"
UNEXPLAINED: Final = "unexplained"

CLASSES: Final = {
    RELEASE_CHANGE: "the row, or an earlier one that its windows can see, was recorded under another release than the replay's",
    DUPLICATE: "production holds the event more than once",
    LATE: "the event arrived after the plan; it is no part of the replay",
    DATA_LOSS: "the event's row is missing on one side, though the event is in bronze",
    UNEXPLAINED: "nothing of the above: same event, same release, another row",
}

SCHEMA: Final = pl.Schema(
    {
        "table": pl.String(),
        "event_date": pl.Date(),
        "seq": pl.Int64(),
        "transaction_id": pl.String(),
        "kind": pl.String(),
        "class": pl.String(),
        "recorded_release": pl.String(),
        "old_band": pl.String(),
        "new_band": pl.String(),
        "old_score": pl.Float64(),
        "new_score": pl.Float64(),
    }
)
"""One row for each row of a table that differs."""


@dataclass(frozen=True)
class Places:
    """How often each event of the dates stands in silver, dead letters and duplicates, on both sides; which production scored, and HIGH."""

    old: pl.DataFrame
    new: pl.DataFrame
    scored: pl.DataFrame
    high: pl.DataFrame
    keys: pl.DataFrame
    """Account and counterparty of each transaction of the dates, with the first arrival of each under another release."""

    @classmethod
    def of(cls, snapshot: Snapshot, sandbox: Sandbox, plan: Plan) -> Places:
        """Count them over all dates of a plan."""
        within = pl.col("event_date").is_between(*plan.dates)
        gold = snapshot.scan(GOLD.name).filter(within)
        return cls(
            _stands([snapshot.scan(spec.name).filter(within) for spec in STANDS]).rename({"n": "n_old"}),
            _stands([sandbox.scan(spec.name) for spec in STANDS]).rename({"n": "n_new"}),
            snapshot.scan(SILVER.name).filter(within).select(pl.col("seq").unique(), pl.lit(True).alias("in_silver")).collect(),
            gold.filter(pl.col("risk_band") == "HIGH").select(pl.col("seq").unique(), pl.lit(True).alias("was_high")).collect(),
            _keys(snapshot, sandbox, plan),
        )


def _keys(snapshot: Snapshot, sandbox: Sandbox, plan: Plan) -> pl.DataFrame:
    """What was recorded under another release reaches later rows: through its account, its counterparty, and whom it paid."""
    within, columns = pl.col("seq").is_between(*(plan.stretch or (0, -1))), ("seq", "account_id", "party_id", "counterparty_id")
    both = pl.concat([source.scan(SILVER.name).filter(within).select(columns) for source in (snapshot, sandbox)])
    seen = both.unique("seq").collect()
    rows = seen.join(_recorded(snapshot, seen.select("seq")), on="seq", how="left")
    other = rows.filter(pl.lit(plan.release is not None), pl.col("release_id").ne_missing(pl.lit(plan.release, pl.String)))
    for key, of in (("account_id", "account_id"), ("party_id", "party_id"), ("counterparty_id", "account_id")):
        first = other.filter(pl.col(key).is_not_null()).group_by(key).agg(pl.col("seq").min().alias(f"from_{key}"))
        rows = rows.join(first, left_on=of, right_on=key, how="left")
    return rows.select("seq", pl.min_horizontal("^from_.*$").alias("reached_from"))


def _recorded(snapshot: Snapshot, seqs: pl.DataFrame) -> pl.DataFrame:
    """The release under which production's row of an event stands (after a swap, the replay's), else the one that bronze recorded."""
    wanted = seqs.lazy()
    standing = pl.concat([snapshot.scan(spec.name).select("seq", "release_id") for spec in STANDS]).join(wanted, on="seq", how="semi")
    bronze = snapshot.scan(BRONZE.name).select("seq", "release_id").join(wanted, on="seq", how="semi")
    return pl.concat([standing, bronze]).unique("seq", keep="first", maintain_order=True).collect()


def _stands(tables: list[pl.LazyFrame]) -> pl.DataFrame:
    return pl.concat([rows.select("seq") for rows in tables]).group_by("seq").agg(pl.len().alias("n")).collect()


def differences(snapshot: Snapshot, sandbox: Sandbox, plan: Plan, day: date, places: Places, totals: Totals) -> pl.DataFrame:
    """Every row of a date that differs, in any table, with its kind and its class; columns `SCHEMA`, by `seq`.

    Args:
        totals: counts and hash totals are added to it.
    """
    found = [_of_table(spec, snapshot, sandbox, plan, day, totals) for spec in COMPARED]
    unlike = pl.concat([rows for rows in found if rows.height] or [pl.DataFrame(schema={**SCHEMA, "_nth": pl.Int64()}).drop("class")])
    recorded = _recorded(snapshot, unlike.select("seq").unique()).rename({"release_id": "_recorded"})
    for known in (recorded, places.old, places.new, places.scored, places.high, places.keys):
        unlike = unlike.join(known, on="seq", how="left")
    told = unlike.with_columns(_class(plan).alias("class"), pl.col("_recorded").alias("recorded_release"))
    return told.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()).sort("seq", "table")


@dataclass
class Totals:
    """Of the rows that a swap takes out and brings in, by table: how many go, and hash totals on both sides (sums of row hashes, 64 bits).

    Attributes:
        state: hash totals of what the stages remember of silver's rows; where both sides are equal, a swap changes no later row.
    """

    rows_out: dict[str, int] = field(default_factory=dict)
    old: dict[str, int] = field(default_factory=dict)
    new: dict[str, int] = field(default_factory=dict)
    state: dict[str, int] = field(default_factory=lambda: {"old": 0, "new": 0})

    def add(self, spec: TableSpec, side: str, rows: pl.DataFrame) -> None:
        """Count rows of one side in."""
        of_side = self.old if side == "old" else self.new
        of_side[spec.name] = (of_side.get(spec.name, 0) + hash_total(rows, comparable(spec))) % (1 << 64)
        if side == "old":
            self.rows_out[spec.name] = self.rows_out.get(spec.name, 0) + rows.height
        if spec is SILVER:
            self.state[side] = (self.state[side] + hash_total(rows, REMEMBERED)) % (1 << 64)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        totals = {name: {"old": f"{old:016x}", "new": f"{self.new.get(name, 0):016x}"} for name, old in self.old.items()}
        return {"rows_out": self.rows_out, "hash_totals": totals, "state_changes": self.state["old"] != self.state["new"]}


REMEMBERED: Final = sorted({*BehaviourState.NEEDS, *DedupState.NEEDS})
"""Columns of silver that the stages' state is made of."""


def hash_total(rows: pl.DataFrame, columns: list[str]) -> int:
    """The sum of the rows' hashes over these columns; the same in any order."""
    return int(rows.select(columns).hash_rows(SEED).cast(pl.Int128).sum()) if rows.height else 0


def _of_table(spec: TableSpec, snapshot: Snapshot, sandbox: Sandbox, plan: Plan, day: date, totals: Totals) -> pl.DataFrame:
    columns = [name for name in comparable(spec) if plan.release is None or name not in NAMING]
    scores = {"risk_band": "band", "risk_score": "score"} if spec is GOLD else {}
    sides: list[pl.DataFrame] = []
    for source, side in ((snapshot, "old"), (sandbox, "new")):
        rows = source.scan(spec.name).filter(pl.col("event_date") == day).collect()
        totals.add(spec, side, rows.filter(pl.col("seq") <= plan.cut))
        sides.append(_hashed(rows, columns, scores, side))
    old, new = sides
    unlike = old.join(new, on=["seq", "_nth"], how="full", coalesce=True).filter(pl.col("old_hash").ne_missing(pl.col("new_hash")))
    return unlike.select(
        pl.lit(spec.name).alias("table"),
        pl.lit(day, pl.Date).alias("event_date"),
        "seq",
        pl.coalesce("new_id", "old_id").alias("transaction_id"),
        _kind().alias("kind"),
        pl.lit(None, pl.String).alias("recorded_release"),
        "old_band",
        "new_band",
        "old_score",
        "new_score",
        "_nth",
    )


def _hashed(rows: pl.DataFrame, columns: list[str], scores: dict[str, str], side: str) -> pl.DataFrame:
    hashes = rows.select(columns).hash_rows(SEED) if rows.height else pl.Series([], dtype=pl.UInt64)
    shown = {name: pl.col(column) for column, name in scores.items()} or {
        "band": pl.lit(None, pl.String),
        "score": pl.lit(None, pl.Float64),
    }
    return rows.select(
        "seq",
        pl.int_range(pl.len(), dtype=pl.Int64).over("seq").alias("_nth"),
        hashes.alias(f"{side}_hash"),
        pl.col("transaction_id").alias(f"{side}_id"),
        *(expression.alias(f"{side}_{name}") for name, expression in shown.items()),
    )


def _kind() -> pl.Expr:
    return (
        pl.when(pl.col("old_hash").is_null())
        .then(pl.lit("added"))
        .when(pl.col("new_hash").is_null())
        .then(pl.lit("removed"))
        .when(pl.col("old_band").ne_missing(pl.col("new_band")))
        .then(pl.lit("band moved"))
        .when(pl.col("old_score").ne_missing(pl.col("new_score")))
        .then(pl.lit("re-scored"))
        .otherwise(pl.lit("changed"))
    )


def _class(plan: Plan) -> pl.Expr:
    """The first class that applies; what a release change can do comes last before what nothing explains."""
    last = plan.stretch[1] if plan.stretch else -1
    added, removed = pl.col("kind") == "added", pl.col("kind") == "removed"
    lost = (
        (added & pl.col("n_old").is_null())
        | (added & (pl.col("table") == GOLD.name) & pl.col("in_silver").fill_null(False))
        | (added & (pl.col("table") == ALERTS.name) & pl.col("was_high").fill_null(False))
        | (removed & pl.col("n_new").is_null())
    )
    reached = (pl.col("reached_from") < pl.col("seq")).fill_null(False)
    return (
        pl.when(pl.col("seq") > last)
        .then(pl.lit(LATE))
        .when(removed & ((pl.col("_nth") > 0) | (pl.col("n_old").fill_null(0) > 1)))
        .then(pl.lit(DUPLICATE))
        .when(lost)
        .then(pl.lit(DATA_LOSS))
        .when(pl.lit(plan.release is not None) & (pl.col("_recorded").ne_missing(pl.lit(plan.release, pl.String)) | reached))
        .then(pl.lit(RELEASE_CHANGE))
        .otherwise(pl.lit(UNEXPLAINED))
    )


def changed_columns(snapshot: Snapshot, sandbox: Sandbox, difference: dict[str, Any]) -> dict[str, list[str]]:
    """Of a row that stands on both sides: the columns that differ, with both values as text."""
    name, seq, day = difference["table"], difference["seq"], difference["event_date"]
    old, new = (source.scan(name).filter(pl.col("event_date") == day, pl.col("seq") == seq).collect() for source in (snapshot, sandbox))
    if not old.height or not new.height:
        return {}
    left, right = old.row(0, named=True), new.row(0, named=True)
    spec = next(spec for spec in COMPARED if spec.name == name)
    return {column: [str(left[column]), str(right[column])] for column in comparable(spec) if left[column] != right[column]}
