"""Silver as it was seen from a place in the order of arrival, although swaps and undos changed it since.

A row's windows saw what silver held when the row arrived. An order that changed that holds for the rows from `Done.next_seq` on; for those
before, it is taken back here, from its pins. Where a pin was released, what stands now is all that there is.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

import polars as pl

from lakewarden.lake import orders, pins
from lakewarden.lake.exchange import Rows
from lakewarden.lake.history import NEVER
from lakewarden.tables import SILVER

if TYPE_CHECKING:
    from lakewarden.lake.log import DataFile
    from lakewarden.lake.store import Store


@dataclass(frozen=True)
class Turn:
    """An order that changed the stages' state: which rows of silver it exchanged, and from which place on that was seen.

    `undoes`: the number of the order whose content it took back. `history`: it brought in a block of history, which `lake.history` hides
    from the rows before it.
    """

    order: int
    seen_from: int
    rows: Rows
    undoes: int | None
    history: bool


def turns(store: Store) -> list[Turn]:
    """Those that a lake has seen, oldest first. One that was begun and is not done is seen by nobody yet, though its rows may be there."""
    found: list[Turn] = []
    for number in orders.numbers(store):
        order, done = orders.get(store, number), orders.done(store, number)
        if order.rebuild and SILVER.name in order.changes and orders.verdict(store, number) == orders.CARRIED_OUT:
            seen_from = NEVER if done is None else done.next_seq
            found.append(Turn(number, seen_from, order.changes[SILVER.name].rows, order.undoes, order.history is not None))
    return found


@dataclass(frozen=True)
class Source:
    """Rows of silver that were seen: which of those in some pinned files, or (None) of those that the table has now."""

    keep: pl.Expr
    files: tuple[DataFile, ...] | None = None


def as_seen(store: Store, known: Sequence[Turn], seq: int) -> list[Source]:
    """Where silver, as a row that arrived at `seq` saw it, stands now.

    Args:
        known: `turns`.
    """
    later = [turn for turn in known if seq < turn.seen_from]
    cancelled = {turn.undoes for turn in later} & {turn.order for turn in later}
    seen = [Source(pl.lit(value=True))]
    for turn in reversed(later):
        if turn.history or turn.order in cancelled or turn.undoes in cancelled:
            continue  # it is hidden already; or it came and went, all behind this place
        pin_id = orders.pin_of(store, turn.order, SILVER.name)
        pin = None if pin_id is None else pins.get(store, pin_id)
        if pin is None and pin_id is not None:
            continue
        if not turn.rows.none:
            seen = [Source(source.keep & ~turn.rows.where(), source.files) for source in seen]
        if pin is not None:
            seen.append(Source(pl.lit(value=True), tuple(pin.files)))
    return seen


def pinned_rows(store: Store, files: Sequence[DataFile], columns: Sequence[str]) -> list[pl.LazyFrame]:
    """The rows of pinned files of silver, with `event_date`; a file that is gone is left out.

    Args:
        columns: those that are wanted; none of the partition columns.
    """
    found = []
    for file in files:
        data = store.get(f"{SILVER.name}/{file.path}")
        if data is not None:
            day = pl.lit(file.partition["event_date"]).str.to_date()
            found.append(pl.read_parquet(io.BytesIO(data), columns=list(columns)).lazy().with_columns(day.alias("event_date")))
    return found


def exchanged(known: Sequence[Turn], first: int, seq: int) -> pl.Expr | None:
    """Which rows were exchanged at turns behind `first` and up to `seq`; None where there was none."""
    meant = [turn.rows.where() for turn in known if first < turn.seen_from <= seq and not turn.rows.none]
    return reduce(or_, meant) if meant else None
