"""Take a snapshot of a date, and take one back: orders that exchange one partition of the table of snapshots, in one commit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from lakewarden.errors import LakeError
from lakewarden.lake import orders, pins
from lakewarden.lake.exchange import Rows
from lakewarden.lake.orders import Change, Order
from lakewarden.operations.ordering import newest_order
from lakewarden.operations.snapshot import book, content
from lakewarden.tables import GOLD, SILVER, SNAPSHOTS

if TYPE_CHECKING:
    from lakewarden.audit.conservation import Statement
    from lakewarden.audit.receipts import Author
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.lake.log import DataFile
    from lakewarden.settings import OperationSettings


def order_take(
    house: Lakehouse,
    statement: Statement,
    author: Author,
    settings: OperationSettings,
    now: datetime,
    *,
    reason: str | None = None,
    incident: str | None = None,
) -> Order | None:
    """Write a date's rows beside the table of snapshots and give the order to bring them in; None where they stand in it already.

    What stood there goes in the same commit, and stays pinned as long as snapshots are kept.

    Args:
        statement: the date's conservation statement, which holds; it goes into the receipt.

    Raises:
        LakeError: the statement doesn't hold, or the date has no scores.
        LakeBusyError: another order is under way.
    """
    day = statement.date
    if not statement.ok:
        raise LakeError(
            f"There can be no snapshot of {day}: {statement.differences} equation(s) of its conservation statement don't hold.",
            state="no snapshot of this date was taken; what stood stands",
            next=f"lakewarden conserve --date {day}",
        )
    newest, present = newest_order(house), book.standing(house).get(day)
    tables = house.snapshot((SILVER.name, GOLD.name))
    if present is not None and content.figures(content.current(tables, day))["sha256"] == present.figures["sha256"]:
        return None
    nth = 1 + sum(one.day == day for one in book.book(house))
    counted, snapshot_id = content.Figures(), book.named(day, nth)
    written = [_written(house, counted.add(piece), snapshot_id, tables.point.batch, newest + 1) for piece in content.current(tables, day)]
    figures = counted.told()
    if not written:
        raise LakeError(f"There are no scores of {day}.", state="no snapshot was taken", next="lakewarden status (shows the dates)")
    outcome = {
        "id": snapshot_id,
        "nth": nth,
        **figures,
        "point": tables.point.point,
        "replaces": None if present is None else present.id,
        "conservation": {"point": statement.point, "counts": statement.counts, "equations": len(statement.checks)},
    }
    said = _said(reason, incident, {"date": day.isoformat()}, outcome, figures)
    act = f"take {snapshot_id} {newest + 1}"
    return _given(house, newest + 1, book.TAKE, day, act, tuple(written), author, settings, now, said)


def order_undo(
    house: Lakehouse, day: date, author: Author, settings: OperationSettings, reason: str, incident: str | None, now: datetime
) -> Order:
    """Give the order that takes a date's snapshot back: what it replaced stands again, file by file, or none where it was the first.

    Raises:
        LakeError: the date has none, or what it replaced isn't held any more.
        LakeBusyError: another order is under way.
    """
    newest, present = newest_order(house), book.standing(house).get(day)
    if present is None:
        raise LakeError(f"There is no snapshot of {day}.", state="nothing was changed", next="lakewarden snapshot list")
    back = _replaced(house, present)
    outcome = {"taken_back": present.id, "restored": present.figures["replaces"]}
    said = _said(reason, incident, {"undoes": present.order.act, "order": present.order.number}, outcome, present.figures)
    act, undoes = f"undo {present.order.act}", present.order.number
    return _given(house, newest + 1, book.UNDO, day, act, back, author, settings, now, said, undoes)


def _written(house: Lakehouse, piece: pl.DataFrame, snapshot_id: str, batch: int, order: int) -> DataFile:
    """One data file of a snapshot; it belongs to no version until the order is carried out."""
    lineage = {"snapshot_id": pl.lit(snapshot_id), "run_id": pl.lit(snapshot_id), "batch": pl.lit(batch, pl.Int64)}
    rows = piece.with_columns(**lineage).select(pl.col(name).cast(dtype) for name, dtype in SNAPSHOTS.columns.items())
    partition = {"snapshot_date": str(piece["snapshot_date"][0])}
    return house.tables[SNAPSHOTS.name].write_file(partition, rows.drop("snapshot_date"), order)


def _replaced(house: Lakehouse, present: book.Taken) -> tuple[DataFile, ...]:
    pin_id = orders.pin_of(house.store, present.order.number, SNAPSHOTS.name)
    if pin_id is None:
        return ()
    pin = pins.get(house.store, pin_id)
    gone = [] if pin is None else [file.path for file in pin.files if not house.store.exists(f"{SNAPSHOTS.name}/{file.path}")]
    if pin is None or gone:
        why = f"the pin {pin_id} was released" if pin is None else f"a pinned file is gone: {gone[0]}"
        raise LakeError(
            f"{present.id} can't be taken back: {why}.", state="nothing was changed", next=f"lakewarden snapshot take {present.day}"
        )
    return pin.files


def _said(
    reason: str | None, incident: str | None, plan: Mapping[str, Any], outcome: Mapping[str, Any], figures: Mapping[str, Any]
) -> dict[str, Any]:
    """What the receipt says besides the tables' versions."""
    return {
        "reason": reason,
        "incident": incident,
        "plan": plan,
        "outcome": outcome,
        "hash_totals": {f"{SNAPSHOTS.name} sha256": figures["sha256"]},
        "releases": list(figures["releases"]),
        "approvals": [],
    }


def _given(
    house: Lakehouse,
    number: int,
    kind: str,
    day: date,
    act: str,
    incoming: tuple[DataFile, ...],
    author: Author,
    settings: OperationSettings,
    now: datetime,
    said: Mapping[str, Any],
    undoes: int | None = None,
) -> Order:
    """Give the order that exchanges a date's snapshot."""
    order = Order(
        number=number,
        kind=kind,
        subject=day.isoformat(),
        act=act,
        who=author.actor,
        host=author.host,
        time=now.isoformat(),
        changes={SNAPSHOTS.name: Change(Rows(dates=(day.isoformat(), day.isoformat())), incoming)},
        undoes=undoes,
        pin_days=settings.snapshot_days,
        receipt=said,
    )
    orders.place(house.store, order)
    return order
