"""Comparing two derivations of the same events row by row, by hash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.tables import RUN_COLUMNS

if TYPE_CHECKING:
    from lakewarden.tables import TableSpec

SEED: Final = 20260105
EXAMPLES: Final = 5


@dataclass(frozen=True)
class Difference:
    """One row that differs: where, how (missing, unexpected, changed), and for a change the columns with both values."""

    table: str
    seq: int
    kind: str
    columns: dict[str, tuple[Any, Any]]


@dataclass(frozen=True)
class Comparison:
    """How many rows were compared and differ, the first differences, and a hash total over the derived rows."""

    rows: int
    differences: int
    first: tuple[Difference, ...]
    hash_total: int


def comparable(spec: TableSpec) -> list[str]:
    """A table's columns but run ids and wall-clock columns: what two derivations must agree in."""
    return [name for name in spec.columns if name not in RUN_COLUMNS]


def compare(spec: TableSpec, stored: pl.DataFrame, derived: pl.DataFrame) -> Comparison:
    """Compare stored rows with freshly derived ones by `seq`.

    Args:
        stored: rows of the table as published.
        derived: the same rows derived again, with the table's comparable columns.

    A `seq` that occurs twice on either side is a difference too: nothing may be written twice.
    """
    columns = comparable(spec)
    left, right = (_hashed(frame.select([pl.col(c).cast(spec.columns[c]) for c in columns])) for frame in (stored, derived))
    joined = left.select("seq", "_nth", pl.col("_hash").alias("_stored")).join(
        right.select("seq", "_nth", pl.col("_hash").alias("_derived")), on=["seq", "_nth"], how="full", coalesce=True
    )
    unlike = joined.filter(pl.col("_stored").ne_missing(pl.col("_derived"))).sort("seq", "_nth")
    first = tuple(_difference(spec.name, row, stored, derived, columns) for row in unlike.head(EXAMPLES).iter_rows(named=True))
    total = int(right["_hash"].cast(pl.Int128).sum()) % (1 << 64) if right.height else 0
    return Comparison(joined.height, unlike.height, first, total)


def _hashed(rows: pl.DataFrame) -> pl.DataFrame:
    hashes = rows.hash_rows(SEED) if rows.height else pl.Series([], dtype=pl.UInt64)
    return pl.DataFrame({"seq": rows["seq"], "_hash": hashes}).with_columns(pl.int_range(pl.len()).over("seq").alias("_nth"))


def _difference(table: str, row: dict[str, Any], stored: pl.DataFrame, derived: pl.DataFrame, columns: list[str]) -> Difference:
    seq = row["seq"]
    if row["_derived"] is None:
        return Difference(table, seq, "unexpected", {})
    if row["_stored"] is None:
        return Difference(table, seq, "missing", {})
    ours, theirs = (frame.filter(pl.col("seq") == seq).row(row["_nth"], named=True) for frame in (stored, derived))
    return Difference(table, seq, "changed", {c: (ours[c], theirs[c]) for c in columns if ours[c] != theirs[c]})
