"""Which snapshots there are: read from the orders that took them and took them back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.lake import orders
from lakewarden.operations.ordering import given
from lakewarden.tables import GOLD

if TYPE_CHECKING:
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.lake.orders import Order

TAKE: Final = "snapshot.take"
UNDO: Final = "snapshot.undo"
KINDS: Final = (TAKE, UNDO)

STANDS, REPLACED, TAKEN_BACK = "stands", "replaced", "taken back"
GONE: Final = "its rows are gone: lakewarden snapshot undo"


@dataclass(frozen=True)
class Taken:
    """One snapshot of a date: the order that took it, and whether it stands, was replaced by a later one, or was taken back."""

    order: Order
    state: str

    @property
    def id(self) -> str:
        """Its name: date, and the how-manieth of that date it is."""
        return named(self.day, int(self.figures["nth"]))

    @property
    def day(self) -> date:
        """The date that it is of."""
        return date.fromisoformat(self.order.subject)

    @property
    def figures(self) -> Mapping[str, Any]:
        """What its order says of it."""
        told: Mapping[str, Any] = self.order.receipt["outcome"]
        return told


def named(day: date, nth: int) -> str:
    """The id of a date's snapshot."""
    return f"snapshot-{day}-{nth}"


def book(house: Lakehouse) -> list[Taken]:
    """Every snapshot that was taken, by date and in their order."""
    known = [order for order in given(house) if order.kind in KINDS and orders.done(house.store, order.number) is not None]
    undone = {order.undoes for order in known}
    takes = [order for order in known if order.kind == TAKE]
    newest = {order.subject: order.number for order in takes if order.number not in undone}
    found = [
        Taken(order, TAKEN_BACK if order.number in undone else STANDS if newest[order.subject] == order.number else REPLACED)
        for order in takes
    ]
    return sorted(found, key=lambda one: (one.day, one.order.number))


def standing(house: Lakehouse) -> dict[date, Taken]:
    """The snapshot that stands, by date."""
    return {one.day: one for one in book(house) if one.state == STANDS}


def outdated(house: Lakehouse) -> dict[date, str]:
    """Why a date's snapshot isn't what a new one would be, by date; dates that have none are in it, those whose snapshot stands are not.

    By counts and orders, so it costs a look; `content.figures` compares every row.
    """
    told: dict[date, str] = {}
    counted = house.table(GOLD.name).group_by("event_date").len().collect()
    stands, orders_given = standing(house), given(house)
    for day, rows in sorted(counted.iter_rows()):
        taken = stands.get(day)
        if taken is None:
            told[day] = "there is none"
        elif rows != taken.figures["rows"]:
            told[day] = f"{rows - taken.figures['rows']:+,} rows since"
        elif later := _changed(house, [order for order in orders_given if order.number > taken.order.number], day):
            told[day] = f"order {later[-1]} changed rows of it since"
    return {**told, **dict.fromkeys(stands.keys() - set(counted["event_date"]), GONE)}


def _changed(house: Lakehouse, later: list[Order], day: date) -> list[int]:
    """Those of some orders that changed a date's scores; one that was undone by another of them, and that other one, changed nothing."""
    undone = {order.undoes for order in later}
    numbers = {order.number for order in later}
    left = [order for order in later if order.number not in undone and order.undoes not in numbers]
    return [order.number for order in left if (dates := _dates(house, order)) and dates[0] <= day <= dates[1]]


def _dates(house: Lakehouse, order: Order) -> tuple[date, date] | None:
    """The dates whose scores an order changed."""
    told = order.standing or (orders.get(house.store, order.undoes).standing if order.undoes is not None else None)
    if told is None or orders.done(house.store, order.number) is None:
        return None
    return date.fromisoformat(told["from"]), date.fromisoformat(told["to"])


def closed(house: Lakehouse, today: date) -> list[date]:
    """The dates before today that have no snapshot, or one that is outdated; rows of a date that goes on come in still."""
    return [day for day, why in outdated(house).items() if day < today and why != GONE]


def with_scores(house: Lakehouse, first: date, last: date) -> list[date]:
    """The dates in a range that have scores."""
    within = pl.col("event_date").is_between(first, last)
    return house.table(GOLD.name).filter(within).select(pl.col("event_date").unique().sort()).collect()["event_date"].to_list()
