"""Bring a validated backfill in, and take it out again: orders that move file entries, not rows (runbook section 5.2 step 2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.errors import LakeError
from lakewarden.lake import history, orders
from lakewarden.lake.exchange import Rows
from lakewarden.lake.orders import Change, Order
from lakewarden.operations import papers
from lakewarden.operations.backfill.sandbox import BROUGHT_IN, BackfillSandbox
from lakewarden.operations.in_effect import in_effect
from lakewarden.operations.ordering import given, newest_order, note, staged
from lakewarden.operations.replay import approval
from lakewarden.operations.replay.sandbox import FOLDER
from lakewarden.tables import BRONZE, GOLD, PIPELINE_RUNS

if TYPE_CHECKING:
    from lakewarden.audit.receipts import Author
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.operations.backfill.journal import Journal
    from lakewarden.operations.backfill.plan import Plan
    from lakewarden.settings import OperationSettings

SWAP: Final = "backfill.swap"
UNDO: Final = "backfill.undo"


@dataclass(frozen=True)
class CanUndo:
    """Whether a backfill can be taken out again, why (not), and how many live rows were derived with it since."""

    ok: bool
    reason: str
    order: int | None = None
    seen_by: int = 0


def order_swap(house: Lakehouse, journal: Journal, author: Author, settings: OperationSettings, now: datetime) -> Order:
    """Stage a validated backfill's files beside production's and give the order to bring them in; readers see nothing yet.

    Raises:
        LakeError: it isn't validated, an approval is missing, or the lake begins elsewhere by now.
        LakeBusyError: another order is under way.
    """
    journal.require(papers.VALIDATED)
    plan, report = journal.plan(), journal.report()
    assert report is not None
    newest = newest_order(house)
    _still_below(house, plan, report)
    approvals = approval.required(journal, plan, report, settings)
    sandbox = BackfillSandbox(journal.store)
    changes = {name: Change(incoming=staged(house, journal, FOLDER, sandbox.tables[name], name)) for name in BROUGHT_IN}
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
        rebuild=True,
        pin_days=settings.pin_days,
        receipt={
            "reason": plan.reason,
            "incident": plan.incident,
            "plan": plan.to_dict(),
            "predicted": dict(plan.predictions),
            "outcome": {"verdict": report["verdict"], "gates": report["gates"], "document": report["document"]},
            "hash_totals": report["hash_totals"],
            "releases": [plan.release],
            "approvals": approvals,
        },
        history=(report["block"][0], report["block"][1]),
    )
    orders.place(house.store, order)
    note(journal, order, now)
    return order


def order_undo(
    house: Lakehouse, journal: Journal, author: Author, settings: OperationSettings, reason: str, incident: str | None, now: datetime
) -> Order:
    """Give the order that takes a backfill's rows out again; every other row stays.

    Raises:
        LakeError: it can't be undone; says why.
        LakeBusyError: another order is under way.
    """
    journal.require(papers.SWAPPED)
    plan, report = journal.plan(), journal.report()
    answer = can_undo(house, journal)
    if not answer.ok or answer.order is None:
        raise LakeError(
            f"{plan.id} can't be undone: {answer.reason}", state="nothing was changed", next=f"lakewarden backfill show {plan.id}"
        )
    newest, swap = newest_order(house), orders.get(house.store, answer.order)
    assert swap.history is not None
    changes = {name: Change(_brought_in(plan, name, swap.history)) for name in swap.changes}
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
        rebuild=True,
        pin_days=settings.pin_days,
        receipt={
            "reason": reason,
            "incident": incident or plan.incident,
            "plan": {"undoes": swap.act, "order": swap.number, "backfill": plan.id},
            "predicted": {"rows": {name: sum(file.rows for file in swap.changes[name].incoming) for name in swap.changes}},
            "outcome": {"taken_out": swap.act, "live_rows_that_saw_it": answer.seen_by},
            "hash_totals": (report or {}).get("hash_totals", {}),
            "releases": [],
            "approvals": [],
        },
    )
    orders.place(house.store, order)
    note(journal, order, now)
    return order


def can_undo(house: Lakehouse, journal: Journal) -> CanUndo:
    """Whether the rows of a backfill can be taken out exactly. Nothing limits it in time: they are taken out by their places."""
    state = journal.state()
    if state["state"] != papers.SWAPPED:
        return CanUndo(False, f"it is {state['state']}, and only what was swapped in can be undone.")
    number, plan = int(state["order"]), journal.plan()
    blocks = history.blocks(house.store)
    own = next(block for block in blocks if block.order == number)
    older = [block for block in blocks if block.last < own.first]
    if older:
        return CanUndo(False, f"{older[-1].subject} was brought in below it since; undo that first.", number)
    span = _dates(journal, plan)
    later = [one for one in in_effect(house.store, house.published().order) if one.order > number and one.overlaps(span)]
    if later:
        return CanUndo(False, f"{later[0].subject} was swapped in over its dates since; undo that first.", number)
    saw = house.table(GOLD.name).filter(pl.col("seq") >= own.seen_from).select(pl.len()).collect().item() if own.seen_from >= 0 else 0
    told = "its rows are known by their places, and no other row stands there."
    if saw:
        told += f" {saw:,} live rows were scored with it since: they keep their scores, and can be verified as long as what goes is pinned."
    return CanUndo(True, told, number, saw)


def _dates(journal: Journal, plan: Plan) -> tuple[date, date]:
    report = journal.report()
    if report is None:
        return plan.scope.span.first or date.min, plan.scope.span.last
    span = report["document"]["range"]
    return date.fromisoformat(span["from"]), date.fromisoformat(span["to"])


def _brought_in(plan: Plan, name: str, block: tuple[int, int]) -> Rows:
    """The rows of a table that stand there because of a backfill."""
    return Rows(seq=block) if BROUGHT_IN[name].per_event else Rows(run=plan.id)


def _still_below(house: Lakehouse, plan: Plan, report: dict[str, Any]) -> None:
    """Refuse a block that no longer lies right below all that the lake has.

    Raises:
        LakeError: the lake begins elsewhere by now.
    """
    seq, day = house.table(BRONZE.name).select(pl.col("seq").min(), pl.col("event_date").min()).collect().row(0)
    batch = house.table(PIPELINE_RUNS.name).select(pl.col("batch").min()).collect().item()
    last = report["ends"]["last_date"]
    elsewhere = min(0, seq or 0) != plan.below or min(-1, -1 if batch is None else batch) != plan.below_batch
    if elsewhere or (day is not None and str(day) <= last):
        why = "another backfill came between" if elsewhere else f"an event of {day} arrived since, and this ends on {last}"
        raise LakeError(
            f"{plan.id} doesn't lie right before live data any more: {why}.",
            state="nothing was changed",
            next=f"lakewarden backfill clean {plan.id}, then plan again (--to the day before {day})",
        )
