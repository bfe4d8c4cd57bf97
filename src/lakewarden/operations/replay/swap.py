"""Swap a validated replay into production, and undo that (runbook section 4.2 step 6): orders that move file entries, not rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from lakewarden.errors import LakeBusyError, LakeError
from lakewarden.lake import orders, pins
from lakewarden.lake.exchange import Rows, sorted_out, split
from lakewarden.lake.orders import Change, Order
from lakewarden.operations.in_effect import Standing, in_effect
from lakewarden.operations.replay import approval
from lakewarden.operations.replay import journal as papers
from lakewarden.operations.replay.sandbox import FOLDER, REPLAYED, Sandbox

if TYPE_CHECKING:
    from lakewarden.audit.receipts import Author
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.lake.log import DataFile
    from lakewarden.operations.replay.journal import Journal
    from lakewarden.operations.replay.plan import Plan
    from lakewarden.settings import OperationSettings

SWAP: Final = "replay.swap"
UNDO: Final = "replay.undo"


@dataclass(frozen=True)
class CanUndo:
    """Whether a swap can be undone, why (not), and until when (ISO 8601; None where nothing limits it, or it can't be undone)."""

    ok: bool
    reason: str
    until: str | None = None
    order: int | None = None


def order_swap(house: Lakehouse, journal: Journal, author: Author, settings: OperationSettings, now: datetime) -> Order:
    """Stage a validated replay's files beside production's and give the order to exchange them; nothing that readers see changes yet.

    Raises:
        LakeError: a gate stopped the replay, production changed since it was validated, or an approval is missing.
        LakeBusyError: another order is under way.
    """
    journal.require(papers.VALIDATED)
    plan, report = journal.plan(), journal.report()
    assert report is not None
    newest = _newest_order(house)
    _unchanged(house, plan, report)
    approvals = approval.required(journal, plan, report, settings)
    rows = replaced(plan)
    for name, meant in rows.items():
        split(house.store, house.tables[name], meant)
        there = sum(file.rows for file in sorted_out(house.store, house.tables[name], meant).whole)
        if name in report["rows_out"] and there != report["rows_out"][name]:
            raise _stale(plan, f"{name} has {there:,} rows of these dates, and had {report['rows_out'][name]:,} when it was validated")
    changes = {name: Change(rows[name], _staged(house, journal, plan, name)) for name in rows}
    attempt = 1 + sum(order.kind == SWAP and order.subject == plan.id for order in _all(house))
    order = Order(
        number=newest + 1,
        kind=SWAP,
        subject=plan.id,
        act=f"swap {plan.id} {attempt}",
        who=author.actor,
        host=author.host,
        time=now.isoformat(),
        changes=changes,
        standing=_standing(plan, newest + 1),
        rebuild=bool(report["state_changes"]),
        pin_days=settings.pin_days,
        receipt={
            "reason": plan.reason,
            "incident": plan.incident,
            "plan": plan.to_dict(),
            "predicted": dict(plan.predictions),
            "outcome": {"verdict": report["verdict"], "differences": report["differences"], "gates": report["gates"]},
            "hash_totals": _totals(report, "old", "new"),
            "releases": [plan.release] if plan.release else [],
            "approvals": approvals,
        },
    )
    orders.place(house.store, order)
    _ordered(journal, order, now)
    return order


def order_undo(
    house: Lakehouse, journal: Journal, author: Author, settings: OperationSettings, reason: str, incident: str | None, now: datetime
) -> Order:
    """Give the order that puts back what a swap replaced, file by file; rows that arrived after the replay's plan stay.

    Raises:
        LakeError: it can't be undone (any more); says why.
        LakeBusyError: another order is under way.
    """
    journal.require(papers.SWAPPED)
    plan, report = journal.plan(), journal.report()
    answer = can_undo(house, journal, now)
    if not answer.ok or answer.order is None:
        raise LakeError(
            f"{plan.id} can't be undone: {answer.reason}", state="nothing was changed", next=f"lakewarden replay show {plan.id}"
        )
    newest, swap = _newest_order(house), orders.get(house.store, answer.order)
    changes = {name: Change(_brought_in(plan, name), _pinned(house, swap, name)) for name in swap.changes}
    order = Order(
        number=newest + 1,
        kind=UNDO,
        subject=plan.id,
        act=f"undo {swap.act}",
        who=author.actor,
        host=author.host,
        time=now.isoformat(),
        changes=changes,
        undoes=swap.number,
        rebuild=swap.rebuild,
        pin_days=settings.pin_days,
        receipt={
            "reason": reason,
            "incident": incident or plan.incident,
            "plan": {"undoes": swap.act, "order": swap.number, "replay": plan.id},
            "predicted": {"rows": {name: sum(file.rows for file in change.incoming) for name, change in changes.items()}},
            "outcome": {"restored": swap.act},
            "hash_totals": _totals(report or {}, "new", "old"),
            "releases": [],
            "approvals": [],
        },
    )
    orders.place(house.store, order)
    _ordered(journal, order, now)
    return order


def settle(house: Lakehouse, journal: Journal, now: datetime) -> orders.Done | None:
    """Bring a replay's journal up to what became of its order; gives that, or None while the order waits or where there is none."""
    state = journal.state()
    for number in (one for one in orders.numbers(house.store) if one > state.get("order", -1)):
        if (given := orders.get(house.store, number)).subject == journal.id:  # given, and its giver was killed before saying so here
            _ordered(journal, given, now)
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


def _ordered(journal: Journal, order: Order, now: datetime) -> None:
    before, after = (papers.VALIDATED, papers.SWAPPED) if order.kind == SWAP else (papers.SWAPPED, papers.UNDONE)
    journal.move(papers.ORDERED, now, order=order.number, before=before, after=after)


def can_undo(house: Lakehouse, journal: Journal, now: datetime) -> CanUndo:
    """Whether what a swap replaced can be put back exactly, and until when."""
    state = journal.state()
    if state["state"] != papers.SWAPPED:
        return CanUndo(False, f"it is {state['state']}, and only what was swapped in can be undone.")
    number, plan = int(state["order"]), journal.plan()
    later = [one for one in in_effect(house.store, house.published().order) if one.order > number and one.overlaps(plan.dates)]
    if later:
        return CanUndo(False, f"{later[0].subject} was swapped in over the same dates since; undo that first.", order=number)
    held = {name: pins.get(house.store, pins.named(number, name)) for name in orders.get(house.store, number).changes}
    for name, pin in held.items():
        if pin is None:
            return CanUndo(False, f"the pin {pins.named(number, name)} was released.", order=number)
        if not pin.holds(now):
            return CanUndo(False, f"the pin {pin.id} ran out at {pin.until}.", pin.until, number)
        gone = next((file.path for file in pin.files if not house.store.exists(f"{name}/{file.path}")), None)
        if gone is not None:
            return CanUndo(False, f"a pinned file is gone: {name}/{gone}.", order=number)
    until = min((pin.until for pin in held.values() if pin is not None and pin.until is not None), default=None)
    files = sum(len(pin.files) for pin in held.values() if pin is not None)
    return CanUndo(True, f"all {files} files that were replaced are pinned and there.", until, number)


def replaced(plan: Plan) -> dict[str, Rows]:
    """By table, the rows that a swap takes out. Checks of data quality stay, as evidence; those of the replay come beside them."""
    first, last = plan.dates[0].isoformat(), plan.dates[1].isoformat()
    events = Rows(dates=(first, last), seq=(_FIRST_SEQ, plan.cut))
    return {name: events if spec.per_event else Rows() for name, spec in REPLAYED.items()}


def _brought_in(plan: Plan, name: str) -> Rows:
    """The rows of a table that stand there because of a swap."""
    return replaced(plan)[name] if REPLAYED[name].per_event else Rows(run=plan.id)


def _pinned(house: Lakehouse, swap: Order, name: str) -> tuple[DataFile, ...]:
    pin = pins.get(house.store, pins.named(swap.number, name))
    return () if pin is None else pin.files


_FIRST_SEQ: Final = -(1 << 62)
"""Below every place in the order of arrival."""


def _standing(plan: Plan, number: int) -> dict[str, Any]:
    assert plan.stretch is not None
    return Standing(number, plan.id, plan.dates, plan.cut, plan.stretch, plan.release, plan.settings.chunk_rows).to_dict()


def _staged(house: Lakehouse, journal: Journal, plan: Plan, name: str) -> tuple[DataFile, ...]:
    """Give each file of a sandbox table a second name in production's folder; it belongs to no version there yet."""
    table = Sandbox(journal.store).tables[name]
    table.refresh()
    found = []
    for file in table.files():
        folder, _, own = file.path.rpartition("/")
        path = f"{folder}{'/' if folder else ''}{plan.id}-{own}"
        house.store.link(f"{papers.FOLDER}/{plan.id}/{FOLDER}/{table.spec.name}/{file.path}", f"{name}/{path}")
        found.append(type(file)(path, file.size, file.partition, file.rows, file.stats, file.modified))
    return tuple(found)


def _newest_order(house: Lakehouse) -> int:
    """The number of the newest order, none being under way.

    Raises:
        LakeBusyError: one is.
    """
    waiting = orders.pending(house.store)
    if waiting:
        one = waiting[0]
        raise LakeBusyError(
            f"Order {one.number} ({one.kind} of {one.subject}, given by {one.who} at {one.time}) is under way.",
            state="nothing was changed by this command",
            next=f"lakewarden replay {one.kind.rpartition('.')[2]} {one.subject} (finishes it), then run the command again",
        )
    return max(orders.numbers(house.store), default=-1)


def _all(house: Lakehouse) -> list[Order]:
    return [orders.get(house.store, number) for number in orders.numbers(house.store)]


def _unchanged(house: Lakehouse, plan: Plan, report: Mapping[str, Any]) -> None:
    """Refuse what was validated against tables that another order has changed since, in the same dates."""
    for order in _all(house):
        told = order.standing or (orders.get(house.store, order.undoes).standing if order.undoes is not None else None)
        if order.number <= report["order"] or told is None or orders.done(house.store, order.number) is None:
            continue
        if told["from"] <= plan.dates[1].isoformat() and plan.dates[0].isoformat() <= told["to"]:
            raise _stale(plan, f"{order.kind} of {order.subject} came between, over the same dates")


def _stale(plan: Plan, why: str) -> LakeError:
    return LakeError(
        f"{plan.id} was compared with tables that aren't there any more: {why}.",
        state="nothing was changed",
        next=f"lakewarden replay validate {plan.id}",
    )


def _totals(report: Mapping[str, Any], before: str, after: str) -> dict[str, str]:
    found = report.get("hash_totals", {})
    return {f"{name} {when}": totals[side] for name, totals in found.items() for when, side in (("before", before), ("after", after))}
