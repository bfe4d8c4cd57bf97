"""Swap a validated replay into production, and undo that (runbook section 4.2 step 6): orders that move file entries, not rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from lakewarden.errors import LakeError
from lakewarden.lake import orders, pins
from lakewarden.lake.exchange import Rows, sorted_out, split
from lakewarden.lake.orders import Change, Order
from lakewarden.operations.in_effect import Standing, in_effect
from lakewarden.operations.ordering import given, newest_order, note, settle, staged
from lakewarden.operations.replay import approval
from lakewarden.operations.replay import journal as papers
from lakewarden.operations.replay.sandbox import FOLDER, REPLAYED, Sandbox

if TYPE_CHECKING:
    import polars as pl

    from lakewarden.audit.receipts import Author
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.lake.log import DataFile
    from lakewarden.operations.replay.journal import Journal
    from lakewarden.operations.replay.plan import Plan
    from lakewarden.settings import OperationSettings

__all__ = ["settle"]

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
    newest = newest_order(house)
    _unchanged(house, plan, report)
    approvals = approval.required(journal, plan, report, settings)
    among = journal.events()
    rows = replaced(plan, among)
    for name, meant in rows.items():
        split(house.store, house.tables[name], meant)
        there = sum(file.rows for file in sorted_out(house.store, house.tables[name], meant).whole)
        if name in report["rows_out"] and there != report["rows_out"][name]:
            raise _stale(plan, f"{name} has {there:,} rows of these dates, and had {report['rows_out'][name]:,} when it was validated")
    sandbox = Sandbox(journal.store)
    changes = {name: Change(rows[name], staged(house, journal, FOLDER, sandbox.tables[name], name)) for name in rows}
    attempt = 1 + sum(order.kind == SWAP and order.subject == plan.id for order in given(house))
    order = Order(
        number=newest + 1,
        kind=SWAP,
        subject=plan.id,
        act=f"swap {plan.id} {attempt}",
        who=author.actor,
        host=author.host,
        time=now.isoformat(),
        changes=changes,
        standing=_standing(plan, newest + 1, among),
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
    note(journal, order, now)
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
    newest, swap = newest_order(house), orders.get(house.store, answer.order)
    changes = {name: Change(_brought_in(plan, swap, name), _pinned(house, swap, name)) for name in swap.changes}
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
    note(journal, order, now)
    return order


def can_undo(house: Lakehouse, journal: Journal, now: datetime) -> CanUndo:
    """Whether what a swap replaced can be put back exactly, and until when."""
    state = journal.state()
    if state["state"] != papers.SWAPPED:
        return CanUndo(False, f"it is {state['state']}, and only what was swapped in can be undone.")
    number, plan = int(state["order"]), journal.plan()
    later = [one for one in in_effect(house.store, house.published().order) if one.order > number and one.overlaps(plan.dates)]
    if later:
        return CanUndo(False, f"{later[0].subject} was swapped in over the same dates since; undo that first.", order=number)
    ids = {name: orders.pin_of(house.store, number, name) for name in orders.get(house.store, number).changes}
    held = {name: pins.get(house.store, pin_id) for name, pin_id in ids.items() if pin_id is not None}
    for name, pin in held.items():
        if pin is None:
            return CanUndo(False, f"the pin {ids[name]} was released.", order=number)
        if not pin.holds(now):
            return CanUndo(False, f"the pin {pin.id} ran out at {pin.until}.", pin.until, number)
        gone = next((file.path for file in pin.files if not house.store.exists(f"{name}/{file.path}")), None)
        if gone is not None:
            return CanUndo(False, f"a pinned file is gone: {name}/{gone}.", order=number)
    until = min((pin.until for pin in held.values() if pin is not None and pin.until is not None), default=None)
    files = sum(len(pin.files) for pin in held.values() if pin is not None)
    return CanUndo(True, f"all {files} files that were replaced are pinned and there.", until, number)


def replaced(plan: Plan, among: pl.Series | None) -> dict[str, Rows]:
    """By table, the rows that a swap takes out. Checks of data quality stay, as evidence; those of the replay come beside them.

    Args:
        among: the events that were replayed; None: all of the dates.
    """
    first, last = plan.dates[0].isoformat(), plan.dates[1].isoformat()
    events = Rows(dates=(first, last), seq=(_FIRST_SEQ, plan.cut), among=None if among is None else tuple(among.sort()))
    return {name: events if spec.per_event else Rows() for name, spec in REPLAYED.items()}


def _brought_in(plan: Plan, swap: Order, name: str) -> Rows:
    """The rows of a table that stand there because of a swap."""
    return swap.changes[name].rows if REPLAYED[name].per_event else Rows(run=plan.id)


def _pinned(house: Lakehouse, swap: Order, name: str) -> tuple[DataFile, ...]:
    pin_id = orders.pin_of(house.store, swap.number, name)
    pin = None if pin_id is None else pins.get(house.store, pin_id)
    return () if pin is None else pin.files


_FIRST_SEQ: Final = -(1 << 62)
"""Below every place in the order of arrival."""


def _standing(plan: Plan, number: int, among: pl.Series | None) -> dict[str, Any]:
    assert plan.stretch is not None
    events = None if among is None else frozenset(among)
    return Standing(number, plan.id, plan.dates, plan.cut, plan.stretch, plan.release, plan.settings.chunk_rows, events).to_dict()


def _unchanged(house: Lakehouse, plan: Plan, report: Mapping[str, Any]) -> None:
    """Refuse what was validated against tables that another order has changed since, in the same dates."""
    for order in given(house):
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
