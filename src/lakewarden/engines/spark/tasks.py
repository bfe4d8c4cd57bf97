"""What Spark's workers run: parcels in, parcels out. The functions are those of `parts`; here they are fed and their outcomes addressed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import polars as pl
import pyarrow as pa

from lakewarden.engines.spark import parts
from lakewarden.engines.spark.columns import from_arrow
from lakewarden.engines.spark.parcels import Parcel, frame_of, of_kind, packed, unpacked
from lakewarden.flow.behaviour import BehaviourState
from lakewarden.flow.deduplicate import DedupState
from lakewarden.tables import SILVER, UTC_US

if TYPE_CHECKING:
    from datetime import datetime

    from lakewarden.flow.release import Release

IDS, HISTORY = "ids", "history"
"""Parcels that hold a shard's state of deduplication, and of behaviour."""

COPIES: Final = "copies"
"""What the shards of parties say of rows that stand elsewhere."""

OF_IDS: Final = pl.Schema({name: SILVER.columns[name] for name in DedupState.NEEDS})
OF_HISTORY: Final = pl.Schema({name: SILVER.columns[name] for name in BehaviourState.NEEDS})
OF_AGE: Final = pl.Schema({name: SILVER.columns[name] for name in ("seq", "arrival_time")})
"""The columns of silver that each state is made of, and those that tell how old rows are."""

LATEST: Final = "latest"

GATHERED_ROWS: Final = 50_000
"""Events that are admitted at a time."""


def gathered(batches: Iterator[pa.RecordBatch], rows: int = GATHERED_ROWS) -> Iterator[pa.Table]:
    """Arrow batches put together until they have so many rows."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(one.num_rows for one in held) >= rows:
            yield pa.Table.from_batches(held)
            held = []
    if sum(one.num_rows for one in held):
        yield pa.Table.from_batches(held)


def admit(events: pa.Table, shared: parts.Shared, shards: int) -> pa.Table:
    """Bronze rows through the first part: rows for the shards of their ids, and what leaves."""
    outcome = parts.admit(from_arrow(events, parts.ENTERING), shared)
    on = [Parcel(parts.ROW, shard, rows) for shard, rows in parts.by_id(outcome[parts.ROW], shards)]
    dead = [Parcel(parts.DEAD, shard, rows) for shard, rows in parts.by_place(outcome[parts.DEAD], shards)]
    return packed([*on, *dead, Parcel(parts.CHECKED, 0, outcome[parts.CHECKED])])


def recognise(parcels: pa.Table, shared: parts.Shared, shards: int) -> pa.Table:
    """A shard of ids: its rows for the shards of accounts and parties, what leaves, and its state."""
    held = list(unpacked(parcels))
    states, rows = of_kind(held, IDS), of_kind(held, parts.ROW)
    state = states[0] if states else DedupState()
    out: list[Parcel] = []
    if rows:
        outcome = parts.recognise(pl.concat(rows), state, shared)
        out += [Parcel(parts.ROW, shard, some) for shard, some in parts.by_account(outcome[parts.ROW], shards)]
        for kind in (parts.DEAD, parts.REPEATED):
            out += [Parcel(kind, shard, some) for shard, some in parts.by_place(outcome[kind], shards)]
    return packed([*out, Parcel(IDS, held[0].shard, state)])


def remember(parcels: pa.Table, shared: parts.Shared, shards: int) -> pa.Table:
    """A shard of accounts and parties: its rows for the blocks of the order of arrival, what it says of others' rows, and its state."""
    held = list(unpacked(parcels))
    states, rows = of_kind(held, HISTORY), of_kind(held, parts.ROW)
    state = states[0] if states else BehaviourState()
    out: list[Parcel] = []
    if rows:
        told = parts.remember(pl.concat(rows), state, shared)[parts.ROW]
        home, copies = told.filter(parts.HOME).drop(parts.HOME), told.filter(~pl.col(parts.HOME)).select("seq", *parts.OF_PARTY)
        out += [Parcel(parts.ROW, shard, some) for shard, some in parts.by_place(home, shards)]
        out += [Parcel(COPIES, shard, some) for shard, some in parts.by_place(copies, shards)]
    return packed([*out, Parcel(HISTORY, held[0].shard, state)])


def conclude(parcels: pa.Table, shared: parts.Shared, shards: int) -> pa.Table:
    """Blocks of the order of arrival, in which rows and copies meet: what leaves."""
    held = list(unpacked(parcels))
    rows, copies = of_kind(held, parts.ROW), of_kind(held, COPIES)
    if not rows:
        return packed([])
    home = pl.concat(rows)
    met = parts.meet(home, pl.concat(copies)) if copies else home
    outcome = parts.conclude(met, shared)
    return packed(Parcel(kind, shard, some) for kind, frame in outcome.items() for shard, some in parts.by_place(frame, shards))


# --- the state, from silver -----------------------------------------------------------------------------------------


def unfolded(moving: pa.Table, columns: pl.Schema) -> pl.DataFrame:
    """The rows of parcels of silver."""
    rows = [parcel.content.select(columns.names()) for parcel in unpacked(moving)]
    return pl.concat(rows).cast(dict(columns)) if rows else columns.to_frame()


def age(rows: pl.DataFrame, count: int) -> pa.Table:
    """When the last of some rows arrived."""
    return packed([Parcel(LATEST, 0, rows.select(pl.col("arrival_time").max()))] if rows.height else [])


def latest(data: bytes) -> datetime:
    """What `age` said."""
    found: datetime = frame_of(data).item()
    return found


def horizon(newest: datetime | None, release: Release) -> pl.Expr:
    """Which rows' ids are remembered."""
    if newest is None:
        return pl.lit(value=True)
    return pl.col("arrival_time") >= pl.lit(newest, UTC_US) - pl.duration(hours=release.settings.dedup_horizon_hours)


def reach(floor: int | None) -> pl.Expr:
    """Which rows somebody's windows can still reach."""
    return pl.lit(value=True) if floor is None else (pl.col("clock") >= floor) | (pl.col("party_clock") >= floor)


def deal_ids(rows: pl.DataFrame, shards: int) -> pa.Table:
    """Rows of silver for the shards of their ids."""
    return packed(Parcel(parts.ROW, shard, some) for shard, some in parts.by_id(rows, shards))


def deal_history(rows: pl.DataFrame, shards: int) -> pa.Table:
    """Rows of silver for the shards of their accounts and parties."""
    return packed(Parcel(parts.ROW, shard, some.drop(parts.HOME)) for shard, some in parts.by_account(rows, shards))


def fold_ids(parcels: pa.Table, release: Release) -> pa.Table:
    """The state of a shard of ids, from its rows of silver."""
    held, state = list(unpacked(parcels)), DedupState()
    state.rebuild(pl.concat(of_kind(held, parts.ROW)).sort("seq"), release)
    return packed([Parcel(IDS, held[0].shard, state)])


def fold_history(parcels: pa.Table, release: Release) -> pa.Table:
    """The state of a shard of accounts and parties, from its rows of silver."""
    held, state = list(unpacked(parcels)), BehaviourState()
    state.rebuild(pl.concat(of_kind(held, parts.ROW)).sort("seq"), release.settings)
    return packed([Parcel(HISTORY, held[0].shard, state)])
