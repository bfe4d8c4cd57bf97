"""Giving orders (`lake.orders`) from an operation's papers: staging its files, naming the order, and noting what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from lakewarden.errors import LakeBusyError
from lakewarden.lake import orders
from lakewarden.operations import papers

if TYPE_CHECKING:
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.lake.log import DataFile
    from lakewarden.lake.orders import Order
    from lakewarden.lake.table import LakeTable
    from lakewarden.operations.papers import Papers


def newest_order(house: Lakehouse) -> int:
    """The number of the newest order, none being under way; -1 where there is none.

    Raises:
        LakeBusyError: one is.
    """
    waiting = orders.pending(house.store)
    if waiting:
        one = waiting[0]
        raise LakeBusyError(
            f"Order {one.number} ({one.kind} of {one.subject}, given by {one.who} at {one.time}) is under way.",
            state="nothing was changed by this command",
            next=f"lakewarden {one.kind.replace('.', ' ')} {one.subject} (finishes it), then run the command again",
        )
    return max(orders.numbers(house.store), default=-1)


def given(house: Lakehouse) -> list[Order]:
    """All orders, oldest first."""
    return [orders.get(house.store, number) for number in orders.numbers(house.store)]


def staged(house: Lakehouse, papers: Papers[Any], folder: str, table: LakeTable, name: str) -> tuple[DataFile, ...]:
    """Give each file of a sandbox table a second name in production's folder; it belongs to no version there yet.

    Args:
        folder: of the sandbox, below the papers' own.
        table: the sandbox's table.
        name: the table's name in production.
    """
    table.refresh()
    found = []
    for file in table.files():
        below, _, own = file.path.rpartition("/")
        path = f"{below}{'/' if below else ''}{papers.id}-{own}"
        house.store.link(f"{papers.kind.folder}/{papers.id}/{folder}/{table.spec.name}/{file.path}", f"{name}/{path}")
        found.append(type(file)(path, file.size, file.partition, file.rows, file.stats, file.modified))
    return tuple(found)


def note(journal: Papers[Any], order: Order, now: datetime) -> None:
    """Note that an order was given."""
    swap = order.kind.endswith(".swap")
    before, after = (papers.VALIDATED, papers.SWAPPED) if swap else (papers.SWAPPED, papers.UNDONE)
    journal.move(papers.ORDERED, now, order=order.number, before=before, after=after)


def settle(house: Lakehouse, journal: Papers[Any], now: datetime) -> orders.Done | None:
    """Bring papers up to what became of their order; gives that, or None while the order waits or where there is none."""
    state = journal.state()
    for number in (one for one in orders.numbers(house.store) if one > state.get("order", -1)):
        if (order := orders.get(house.store, number)).subject == journal.id:  # given, and its giver was killed before saying so here
            note(journal, order, now)
            state = journal.state()
    if state["state"] != papers.ORDERED:
        return None
    number = int(state["order"])
    ended = orders.done(house.store, number)
    if ended is not None:
        gone = state["after"] == papers.UNDONE and state.get("sandbox") == "removed"
        journal.move(papers.CLEANED if gone else state["after"], now, point=ended.point, swap_seconds=ended.seconds)
    elif orders.verdict(house.store, number) == orders.CALLED_OFF:
        journal.move(state["before"], now)
    return ended
