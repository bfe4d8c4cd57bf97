"""History: blocks of events that were brought in, by an order, in front of all events that there were (docs/adr/0018).

A block has negative places in the order of arrival, right below the lowest that there was. Rows that arrived before it was brought in were
derived without it, and stay so: `Block.seen_from` says from which place on rows are derived with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from lakewarden.lake import orders

if TYPE_CHECKING:
    from lakewarden.lake.store import Store

NEVER: Final = 1 << 62
"""Behind every place in the order of arrival."""


@dataclass(frozen=True)
class Block:
    """One block of history.

    Attributes:
        first, last: its places in the order of arrival.
        seen_from: the first place behind it whose row was, or will be, derived with it; `NEVER` while its order isn't done.
        order, subject: the order that brought it in, and the backfill that it belongs to.
    """

    first: int
    last: int
    seen_from: int
    order: int
    subject: str


def blocks(store: Store) -> list[Block]:
    """The blocks of history that a lake has, or is about to get, lowest first; none that was taken out again."""
    given = [orders.get(store, number) for number in orders.numbers(store)]
    undone = {order.undoes for order in given if order.undoes is not None and orders.done(store, order.number) is not None}
    found: list[Block] = []
    for order in given:
        if order.history is None or order.number in undone or orders.verdict(store, order.number) != orders.CARRIED_OUT:
            continue
        done = orders.done(store, order.number)
        found.append(Block(*order.history, NEVER if done is None else done.next_seq, order.number, order.subject))
    return sorted(found, key=lambda block: block.first)


def seen(known: Sequence[Block], seq: int) -> pl.Expr:
    """Which of the rows before a place are seen from there: all but those of blocks that came in later than the place's own row."""
    hidden = [block for block in known if block.last < seq < block.seen_from]
    visible = pl.lit(True)
    for block in hidden:
        visible &= ~pl.col("seq").is_between(block.first, block.last)
    return visible


def turns(known: Sequence[Block], first: int, last: int) -> list[int]:
    """The places behind `first`, up to `last`, at which a block drops out of sight or comes into it."""
    places = {place for block in known if block.seen_from != block.last + 1 for place in (block.last + 1, block.seen_from)}
    return sorted(place for place in places if first < place <= last)


def regions(known: Sequence[Block]) -> pl.Expr:
    """A number that is the same for rows of one block, and the same for all rows that came as they arrived."""
    ends = [block.last for block in known]
    return pl.sum_horizontal([(pl.col("seq") > end).cast(pl.Int32) for end in ends]) if ends else pl.lit(0, pl.Int32)
