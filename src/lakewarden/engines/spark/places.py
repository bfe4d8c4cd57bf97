"""Rows that stand together: every table's rows of some places of arrival, brought to one worker as parcels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import reduce
from typing import TYPE_CHECKING, Final, TypeVar

import polars as pl
import pyarrow as pa

from lakewarden.engines.spark import parts
from lakewarden.engines.spark.columns import from_arrow
from lakewarden.engines.spark.flow import grouped, mapped
from lakewarden.engines.spark.parcels import Parcel, of_kind, packed, unpacked
from lakewarden.engines.spark.sending import send
from lakewarden.tables import TABLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from lakewarden.engines.port import Frames
    from lakewarden.engines.spark.flow import Shards

T = TypeVar("T")

STORED: Final = "stored "
"""Before a table's name: its published rows."""

ANSWER: Final = "answer"


def narrowed(rows: DataFrame, day: date | None, seqs: tuple[int, int] | None) -> DataFrame:
    """Rows of a date and of some places, so that Spark leaves files out."""
    if day is not None:
        rows = rows.filter(rows["event_date"] == day)
    return rows if seqs is None else rows.filter(rows["seq"].between(*seqs))


def dated(rows: DataFrame, day: str) -> DataFrame:
    """Rows of data files of one date, which the files don't hold."""
    from pyspark.sql import functions as f

    return rows.withColumn("event_date", f.to_date(f.lit(day)))


def over(
    stored: Mapping[str, DataFrame],
    derived: DataFrame | None,
    names: Mapping[str, str],
    within: pl.Expr,
    function: Callable[[Frames, Frames], T],
    shards: Shards,
    columns: Sequence[str] | None = None,
) -> list[T]:
    """Run a function over all rows of some blocks of places, in the workers; gives its answers.

    Args:
        stored: published rows by table.
        derived: parcels of an outcome; None: there is none.
        names: the table that each part of the outcome belongs to.
        within: which derived rows are meant.
        function: gets the published and the derived rows, by table.
        shards: into how many pieces the places are dealt.
        columns: of the published rows; None: all.
    """
    schemas = {name: pl.Schema({one: TABLES[name].columns[one] for one in columns or TABLES[name].columns}) for name in stored}
    has_outcome = derived is not None
    sent = send(next(iter(stored.values())).sparkSession, (function, within, dict(names)))

    def answered(moving: pa.Table) -> pa.Table:
        ask, meant, parts_of = sent.value
        held = list(unpacked(moving))
        ours = {name: _together(of_kind(held, STORED + name), schemas[name]) for name in schemas}
        of_parts = parts_of.items() if has_outcome else ()
        theirs = {name: _together(of_kind(held, part), TABLES[name].schema, meant) for part, name in of_parts}
        return packed([Parcel(ANSWER, held[0].shard, ask(ours, theirs))])

    moving = [mapped(rows.select(*schemas[name].names()), _dealing(name, schemas[name], len(shards))) for name, rows in stored.items()]
    everything = reduce(lambda one, other: one.union(other), moving if derived is None else [*moving, derived])
    found = [parcel.content for parcel in unpacked(grouped(everything, shards, answered).toArrow())]
    if found:
        return found
    nothing = {name: schema.to_frame() for name, schema in schemas.items()}
    return [function(nothing, nothing if has_outcome else {})]


def _dealing(name: str, schema: pl.Schema, count: int) -> Callable[[pa.Table], pa.Table]:
    def deal(rows: pa.Table) -> pa.Table:
        return packed(Parcel(STORED + name, shard, some) for shard, some in parts.by_place(from_arrow(rows, schema), count))

    return deal


def _together(rows: list[pl.DataFrame], schema: pl.Schema, meant: pl.Expr | None = None) -> pl.DataFrame:
    whole = pl.concat(rows).sort("seq") if rows else schema.to_frame()
    return whole if meant is None else whole.filter(meant)
