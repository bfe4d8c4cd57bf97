"""Conservation: received = bronze; bronze = silver + dead letters + duplicates; silver = gold. By count, by amount, by row.

The statement of a date is the evidence that no event was lost and none was written twice (architecture: promise 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.flow.decode import decode
from lakewarden.tables import ALERTS, BRONZE, DLQ, DUPLICATES, GOLD, PIPELINE_RUNS, SILVER

if TYPE_CHECKING:
    from lakewarden.flow.release import Release
    from lakewarden.lake.lakehouse import Snapshot

CHUNK_ROWS: Final = 500_000


@dataclass(frozen=True)
class Check:
    """One equation of the statement: its words, both sides, and whether it holds."""

    name: str
    left: int
    right: int

    @property
    def ok(self) -> bool:
        """Whether both sides are equal."""
        return self.left == self.right


@dataclass(frozen=True)
class Statement:
    """The conservation statement of one date at one published point."""

    date: date
    point: int
    counts: dict[str, int]
    amounts: dict[str, dict[str, str]]
    checks: tuple[Check, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every equation holds."""
        return all(check.ok for check in self.checks)

    @property
    def differences(self) -> int:
        """How many equations don't hold."""
        return sum(not check.ok for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "ok": self.ok,
            "date": self.date.isoformat(),
            "point": self.point,
            "rows": self.counts["bronze"],
            "differences": self.differences,
            "seconds": round(self.seconds, 3),
            "counts": self.counts,
            "amounts": self.amounts,
            "checks": [{"name": c.name, "left": c.left, "right": c.right, "ok": c.ok} for c in self.checks],
        }


def state(snapshot: Snapshot, day: date, release: Release, seconds: float) -> Statement:
    """Draw up the statement of one date.

    Amounts are summed exactly, in thousandths of a unit, by currency; a dead letter whose amount can't be read has none on either side.
    """
    share = stated({name: snapshot.scan(name).filter(pl.col("event_date") == day) for name in STATED}, release)
    arrivals = received(snapshot.scan(PIPELINE_RUNS.name), *counted(snapshot.scan(BRONZE.name)))
    return statement(day, snapshot.point.point, [share], arrivals, seconds)


STATED: Final = (BRONZE.name, SILVER.name, GOLD.name, ALERTS.name, DLQ.name, DUPLICATES.name)
"""The tables that a statement counts."""


@dataclass(frozen=True)
class Share:
    """What some events' rows state: everything in it adds up over events."""

    counts: Mapping[str, int]
    came: Mapping[str, int]
    went: Mapping[str, int]
    checks: Sequence[Check]


def stated(rows: Mapping[str, pl.LazyFrame], release: Release) -> Share:
    """Counts, amounts by currency and equations of all rows of some events, by table."""
    counts = {
        "bronze": _count(rows[BRONZE.name]),
        "silver": _count(rows[SILVER.name]),
        "dead_letters": _count(rows[DLQ.name]),
        "duplicates": _count(rows[DUPLICATES.name]),
        "gold": _count(rows[GOLD.name]),
        "alerts": _count(rows[ALERTS.name]),
    }
    return Share(counts, _bronze_amounts(rows[BRONZE.name], release), _amounts(rows), _by_count(rows, counts))


def statement(day: date, point: int, shares: Sequence[Share], arrivals: Sequence[Check], seconds: float) -> Statement:
    """The statement of a date from the shares of its events, and what `received` found."""
    counts, amounts, equations = together(shares)
    return Statement(day, point, counts, amounts, (*arrivals, *equations), seconds)


def together(shares: Sequence[Share]) -> tuple[dict[str, int], dict[str, dict[str, str]], list[Check]]:
    """Counts, amounts by currency and equations of all events of some shares."""
    counts = {name: sum(share.counts[name] for share in shares) for name in shares[0].counts}
    sides = [
        {c: sum(side.get(c, 0) for side in of_side) for c in {c for side in of_side for c in side}}
        for of_side in ([share.came for share in shares], [share.went for share in shares])
    ]
    came, went = sides
    currencies = sorted({*came, *went})
    amounts = {c: {"bronze": _units(came.get(c, 0)), "accounted": _units(went.get(c, 0))} for c in currencies}
    added = [
        Check(checks[0].name, sum(c.left for c in checks), sum(c.right for c in checks))
        for checks in zip(*(share.checks for share in shares), strict=True)
    ]
    return counts, amounts, [*added, *(_by_amount(c, came.get(c, 0), went.get(c, 0)) for c in currencies)]


def _by_count(rows: Mapping[str, pl.LazyFrame], counts: Mapping[str, int]) -> list[Check]:
    parts = pl.concat([rows[name].select("seq") for name in (SILVER.name, DLQ.name, DUPLICATES.name)]).collect()
    bronze_seq, gold_seq, silver_seq = (rows[name].select("seq").collect() for name in (BRONZE.name, GOLD.name, SILVER.name))
    accounted = counts["silver"] + counts["dead_letters"] + counts["duplicates"]
    in_one = parts.join(bronze_seq, on="seq", how="semi")["seq"].n_unique()
    scored = gold_seq.join(silver_seq, on="seq", how="semi")["seq"].n_unique()
    return [
        Check("bronze = silver + dead letters + duplicates", counts["bronze"], accounted),
        Check("silver = gold", counts["silver"], counts["gold"]),
        Check("every event stands in exactly one of them", bronze_seq.height, in_one),
        Check("no event stands in two of them", parts.height, parts["seq"].n_unique()),
        Check("every silver row is scored once", silver_seq["seq"].n_unique(), scored),
    ]


def _by_amount(currency: str, came: int, went: int) -> Check:
    return Check(f"amount of bronze = silver + dead letters + duplicates, {currency} (thousandths)", came, went)


def counted(bronze: pl.LazyFrame) -> tuple[int, int]:
    """Rows of bronze, and how many places they stand at; both add up over places."""
    found = bronze.select(pl.len().alias("rows"), pl.col("seq").n_unique().alias("unique")).collect()
    return int(found["rows"][0]), int(found["unique"][0])


def received(runs: pl.LazyFrame, rows: int, places: int) -> list[Check]:
    """What was recorded as received, against bronze, over all rows: `seq` is dense, so a gap or a double shows.

    Live events begin at 0, and history is brought in right below the lowest place that there was.

    Args:
        runs: the run records.
        rows, places: `counted` over all of bronze.
    """
    told = runs.select(pl.col("received").sum(), pl.col("first_seq").min(), pl.col("last_seq").max()).collect()
    first, last = told["first_seq"][0], told["last_seq"][0]
    expected = 0 if last is None else int(last) - min(0, int(first)) + 1
    return [
        Check("received = bronze (all dates)", int(told["received"][0]), rows),
        Check("arrivals have no gap and no double (all dates)", expected, places),
    ]


def _count(rows: pl.LazyFrame) -> int:
    return int(rows.select(pl.len()).collect().item())


THOUSANDTHS: Final = (pl.col("amount") * 1000).round()
"""Exact in int64 up to 9e15 units; larger or unreadable amounts are left out on both sides."""


def _sum(rows: pl.DataFrame) -> dict[str, int]:
    summed = (
        rows.filter(pl.col("amount").is_finite() & (pl.col("amount").abs() < 1e12), pl.col("currency").is_not_null())
        .group_by("currency")
        .agg(THOUSANDTHS.cast(pl.Int64).sum().alias("total"))
    )
    return {currency: int(total) for currency, total in summed.iter_rows()}


def _amounts(rows: Mapping[str, pl.LazyFrame]) -> dict[str, int]:
    return _sum(pl.concat([rows[name].select("amount", "currency") for name in (SILVER.name, DLQ.name, DUPLICATES.name)]).collect())


def _bronze_amounts(bronze: pl.LazyFrame, release: Release) -> dict[str, int]:
    total: dict[str, int] = {}
    ends = bronze.select(pl.col("seq").min().alias("a"), pl.col("seq").max().alias("b")).collect().row(0)
    if ends[0] is None:
        return total
    for start in range(ends[0], ends[1] + 1, CHUNK_ROWS):
        bodies = bronze.filter(pl.col("seq").is_between(start, start + CHUNK_ROWS - 1)).select("body").collect()["body"]
        for currency, amount in _sum(decode(bodies, release.contract, release.settings).select("amount", "currency")).items():
            total[currency] = total.get(currency, 0) + amount
    return total


def _units(thousandths: int) -> str:
    whole, rest = divmod(thousandths, 1000)
    return f"{whole}.{rest:03d}"
