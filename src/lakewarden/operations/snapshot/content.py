"""What a snapshot holds of a date, and the figures that prove it: rows, amounts, bands and a SHA-256 that anyone can compute again.

The digest is over CSV (RFC 4180, no header, LF): the rows in their order of arrival, the columns `CONTENT` in theirs; text and dates in
quotes, whole numbers as they are, a score as the whole number that its eight bytes make (IEEE 754), a null as `\\N`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.tables import GOLD, RUN_COLUMNS, SILVER, SNAPSHOTS

if TYPE_CHECKING:
    from lakewarden.lake.lakehouse import Snapshot

PIECE_ROWS: Final = 1_000_000
"""Rows that are held at a time."""

CONTENT: Final = tuple(name for name in SNAPSHOTS.columns if name not in (*RUN_COLUMNS, "snapshot_id"))
"""What two snapshots of the same facts agree in: all columns but those that say which snapshot it is."""

_SCORED: Final = ("seq", "risk_score", "risk_band", "model_version", "release_id")
_RECEIVED: Final = ("seq", "event_date", "transaction_id", "account_id", "amount_minor", "currency")


def current(tables: Snapshot, day: date, most: int = PIECE_ROWS) -> Iterator[pl.DataFrame]:
    """What silver and gold say of a date at a published point: the columns `CONTENT`, by `seq`, piece by piece.

    Args:
        tables: silver and gold.
        most: rows of a piece.
    """
    of_day = pl.col("event_date") == day
    silver = tables.scan(SILVER.name).filter(of_day).select(_RECEIVED)
    gold = tables.scan(GOLD.name).filter(of_day).select(_SCORED)
    for within in _stretches(gold, most):
        rows = silver.filter(within).join(gold.filter(within), on="seq").with_columns(pl.lit(day).alias("snapshot_date"))
        yield rows.select(CONTENT).sort("seq").collect()


def stored(tables: Snapshot, day: date, most: int = PIECE_ROWS) -> Iterator[pl.DataFrame]:
    """What the table of snapshots holds of a date, likewise."""
    rows = tables.scan(SNAPSHOTS.name).filter(pl.col("snapshot_date") == day)
    for within in _stretches(rows.select("seq"), most):
        yield rows.filter(within).select(CONTENT).sort("seq").collect()


def _stretches(rows: pl.LazyFrame, most: int) -> Iterator[pl.Expr]:
    places = rows.select("seq").collect().to_series().sort()
    for start in range(0, places.len(), most):
        yield pl.col("seq").is_between(places[start], places[min(start + most, places.len()) - 1])


class Figures:
    """Rows, sums of amounts by currency, rows by band, releases, and the digest, of pieces as they come."""

    def __init__(self) -> None:
        self.rows = 0
        self._amounts: dict[str, int] = {}
        self._bands: dict[str, int] = {}
        self._releases: set[str] = set()
        self._digest = hashlib.sha256()

    def add(self, piece: pl.DataFrame) -> pl.DataFrame:
        """Count a piece in, and give it back."""
        self.rows += piece.height
        for currency, minor in piece.group_by("currency").agg(pl.col("amount_minor").cast(pl.Int128).sum()).iter_rows():
            self._amounts[currency] = self._amounts.get(currency, 0) + int(minor)
        for band, rows in piece.group_by("risk_band").len().iter_rows():
            self._bands[band] = self._bands.get(band, 0) + rows
        self._releases.update(piece["release_id"].unique())
        self._digest.update(csv(piece))
        return piece

    def told(self) -> dict[str, Any]:
        """JSON-ready; the same of the same rows."""
        return {
            "rows": self.rows,
            "sha256": self._digest.hexdigest(),
            "amounts_minor": dict(sorted(self._amounts.items())),
            "bands": dict(sorted(self._bands.items())),
            "releases": sorted(self._releases),
        }


def figures(pieces: Iterator[pl.DataFrame]) -> dict[str, Any]:
    """The figures of all pieces."""
    found = Figures()
    for piece in pieces:
        found.add(piece)
    return found.told()


def csv(piece: pl.DataFrame) -> bytes:
    """The bytes that the digest is over."""
    bits = pl.Series("risk_score", piece["risk_score"].to_numpy().view("int64"), dtype=pl.Int64)
    told = piece.select(CONTENT).with_columns(bits, pl.col(pl.Date).dt.to_string("%Y-%m-%d"))
    return told.write_csv(include_header=False, quote_style="non_numeric", null_value="\\N").encode()
