"""What a version of the model decided (`model decisions`): counts by date and band, and the rows, at the published point."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.errors import StorageError, UsageError
from lakewarden.flow.gold import SCORECARD as SCORECARD_NAME
from lakewarden.operations.change.plan import SCORECARD
from lakewarden.operations.status import Report
from lakewarden.tables import ALERTS, GOLD

if TYPE_CHECKING:
    from lakewarden.lake.lakehouse import Lakehouse

ROWS: Final = (
    "event_date",
    "transaction_id",
    "account_id",
    "risk_score",
    "risk_band",
    "is_anomaly",
    "alert",
    "model_version",
    "release_id",
    "seq",
)
BANDS: Final = ("LOW", "MEDIUM", "HIGH")
KINDS: Final = {".parquet": "Parquet", ".csv": "CSV"}


@dataclass(frozen=True)
class Choice:
    """Which decisions: of a version or `scorecard`, between two event dates, of one band; None: all."""

    version: str
    first: date | None = None
    last: date | None = None
    band: str | None = None

    def rows(self) -> pl.Expr:
        """As a filter over gold."""
        if self.version == SCORECARD:
            wanted = pl.col("model_name") == SCORECARD_NAME
        else:
            wanted = (pl.col("model_version") == self.version) & (pl.col("model_name") != SCORECARD_NAME)
        if self.first is not None:
            wanted &= pl.col("event_date") >= self.first
        if self.last is not None:
            wanted &= pl.col("event_date") <= self.last
        return wanted if self.band is None else wanted & (pl.col("risk_band") == self.band)


def decisions(lake: Lakehouse, choice: Choice, limit: int, out: Path | None) -> Report:
    """Counts by date and band, and the newest rows; all rows go to a file where one is named.

    Args:
        limit: most rows in the report.
        out: a file that ends in `.parquet` or `.csv`.

    Raises:
        UsageError: band, dates or the file's kind make no sense.
        StorageError: the file can't be written.
    """
    _check(choice, out)
    snapshot = lake.snapshot((GOLD.name, ALERTS.name))
    gold = snapshot.scan(GOLD.name).filter(choice.rows())
    alerts = snapshot.scan(ALERTS.name).select("seq", pl.lit(True).alias("alert"))
    counted = gold.group_by("event_date", "risk_band").agg(pl.len().alias("n"), pl.col("release_id").unique()).collect()
    total = int(counted["n"].sum())
    data: dict[str, Any] = {
        "version": choice.version,
        "rows": total,
        "releases": sorted(counted["release_id"].explode(empty_as_null=True).drop_nulls().unique().to_list()),
        "by_date": _by_date(counted),
    }
    if out is not None:
        _write(_rows(gold, alerts).sort("seq"), out)
        data["written"] = str(out)
    newest = gold.top_k(limit, by="seq") if limit else gold.limit(0)
    shown = _rows(newest, alerts).sort("seq", descending=True).collect()
    return Report({**data, "truncated": total > shown.height, "decisions": shown.to_dicts()})


def dates_of(lake: Lakehouse, version: str) -> tuple[date, date, int] | None:
    """First and last event date that a version decided, and how many dates of these it is; None where it decided nothing."""
    found = (
        lake.table(GOLD.name).filter(Choice(version).rows()).select(pl.col("event_date").unique().sort()).collect()["event_date"].to_list()
    )
    return (found[0], found[-1], len(found)) if found else None


def _rows(gold: pl.LazyFrame, alerts: pl.LazyFrame) -> pl.LazyFrame:
    return gold.join(alerts, on="seq", how="left").with_columns(pl.col("alert").fill_null(False)).select(ROWS)


def _by_date(counted: pl.DataFrame) -> list[dict[str, Any]]:
    found: dict[date, dict[str, Any]] = {}
    for day, band, count in counted.select("event_date", "risk_band", "n").sort("event_date").iter_rows():
        found.setdefault(day, {"date": str(day), "rows": 0, **dict.fromkeys(BANDS, 0)})
        found[day][band] = count
        found[day]["rows"] += count
    return list(found.values())


def _check(choice: Choice, out: Path | None) -> None:
    if choice.band is not None and choice.band not in BANDS:
        raise UsageError(f"{choice.band!r} is no band.", state="nothing was read", next=f"use one of {', '.join(BANDS)}")
    if choice.first is not None and choice.last is not None and choice.first > choice.last:
        raise UsageError(f"{choice.first} is after {choice.last}.", state="nothing was read", next="give the earlier date as --from")
    if out is not None and out.suffix not in KINDS:
        raise UsageError(f"{out} is neither Parquet nor CSV.", state="nothing was read", next="name a file that ends in .parquet or .csv")


def _write(rows: pl.LazyFrame, out: Path) -> None:
    try:
        if out.suffix == ".csv":
            rows.sink_csv(out)
        else:
            rows.sink_parquet(out)
    except OSError as error:
        raise StorageError(f"{out} can't be written: {error}", state="the lake was only read", next="name another file") from error
