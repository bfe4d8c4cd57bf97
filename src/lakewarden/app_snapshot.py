"""The part of the composition root and the Python API that takes regulatory snapshots: see `lakewarden.app`."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Any

from lakewarden.app_swap import Swaps
from lakewarden.errors import UsageError
from lakewarden.operations import status as standing
from lakewarden.operations.dates import as_date, utc_now

if TYPE_CHECKING:
    from lakewarden.engines.port import Reader
    from lakewarden.lake.orders import Order
    from lakewarden.progress import OnProgress


class Snapshots(Swaps):
    """A lake's regulatory snapshots (runbook 4.2 step 6, 5.2 step 4); each public method is the command of the same name."""

    def snapshot_take(
        self,
        day: date | str | None = None,
        *,
        first: date | str | None = None,
        last: date | str | None = None,
        reason: str | None = None,
        incident: str | None = None,
        on_progress: OnProgress | None = None,
        step: Callable[[str], None] = lambda _: None,
    ) -> standing.Report:
        """Keep what silver and gold say of a date as evidence, one row a transaction; a snapshot that says the same already stays.

        Each date is proved to be conserved first. What is replaced stays pinned as long as snapshots are kept. Leaves a receipt a snapshot.

        Args:
            day: one date; None: a range, or else all dates before today that have none, or one that is outdated.
            first, last: a range.
            step: told the name of each step before it; for tests that stop there.

        Raises:
            LakeError: a date isn't conserved, or has no scores; the snapshots that were taken before it stand.
            LakeBusyError: another order is under way, or whoever streams didn't carry this one out in time; the order stands.
            UsageError: both a date and a range are given, or half a range.
        """
        from lakewarden.progress import Progress

        began = time.monotonic()
        self.witness("snapshot.take", reason, incident)  # what can't be signed, or belongs to no incident, isn't begun
        self._finish_snapshots(on_progress)
        days = self._snapshot_days(day, first, last)
        rows: list[dict[str, Any]] = []
        with self.on(self.house) as engine:
            for number, one in enumerate(days):
                if on_progress is not None:
                    on_progress(Progress(number, len(days), f"taking the snapshot of {one}"))
                rows.append(self._snapshot_of(engine, one, reason, incident, on_progress, step))
        taken = sum(row["taken"] for row in rows)
        told = {
            "dates": len(rows),
            "taken": taken,
            "unchanged": len(rows) - taken,
            "rows": sum(row["rows"] for row in rows if row["taken"]),
        }
        return standing.Report(
            {**told, "notice": self.house.published().notice, "seconds": round(time.monotonic() - began, 3), "snapshots": rows}
        )

    def _snapshot_days(self, day: date | str | None, first: date | str | None, last: date | str | None) -> list[date]:
        from lakewarden.operations.snapshot import book

        if (first is None) is not (last is None) or (day is not None and first is not None):
            raise UsageError("Name one date, or a range by both its ends, or nothing.", next="lakewarden snapshot take --help")
        if day is not None:
            return [as_date(day)]
        if first is None or last is None:
            return book.closed(self.house, utc_now().date())
        if as_date(first) > as_date(last):
            raise UsageError(f"{first} is after {last}.", state="no snapshot was taken", next="give the earlier date as --from")
        return book.with_scores(self.house, as_date(first), as_date(last))

    def _snapshot_of(
        self,
        engine: Reader,
        day: date,
        reason: str | None,
        incident: str | None,
        on_progress: OnProgress | None,
        step: Callable[[str], None],
    ) -> dict[str, Any]:
        from lakewarden.operations import conserve
        from lakewarden.operations.snapshot import book, take

        statement = conserve.conserve(self.house, engine, day, utc_now(), time.monotonic)
        settings, author = self._settings(), self.ledger().author
        order = take.order_take(self.house, statement, author, settings, utc_now(), reason=reason, incident=incident)
        if order is None:
            stands = book.standing(self.house)[day]
            return {"date": str(day), "id": stands.id, "taken": False, "rows": stands.figures["rows"], "sha256": stands.figures["sha256"]}
        step("carry out")
        ended = self.carry_out(order.number, on_progress, step)
        told = {name: order.receipt["outcome"][name] for name in ("id", "rows", "sha256", "replaces")}
        return {"date": str(day), "taken": True, **told, "point": ended.point, "receipt": self._numbered(order.number)}

    def _finish_snapshots(self, on_progress: OnProgress | None) -> list[Order]:
        """Have orders of snapshots carried out whose command was cut short, and the newest one's receipt written; gives what was open."""
        from lakewarden.lake import orders
        from lakewarden.operations.ordering import given
        from lakewarden.operations.snapshot import book

        found = [order for order in orders.pending(self.house.store) if order.kind in book.KINDS]
        for order in found:
            self.carry_out(order.number, on_progress)
        newest = next((order for order in reversed(given(self.house)) if order.kind in book.KINDS), None)
        done = newest is not None and orders.done(self.house.store, newest.number) is not None
        if newest is not None and done and self.ledger().find(newest.act) is None:
            self._numbered(newest.number)
            found.append(newest)
        return found

    def snapshot_list(self, *, history: bool = False) -> standing.Report:
        """The snapshots that stand, and the dates that have none or an outdated one.

        Args:
            history: those as well that were replaced or taken back.
        """
        from lakewarden.operations.snapshot import book

        why = book.outdated(self.house)
        rows = [
            {
                "date": str(one.day),
                "id": one.id,
                "state": f"outdated: {why[one.day]}" if one.state == book.STANDS and one.day in why else one.state,
                "rows": one.figures["rows"],
                "taken": one.order.time,
                "by": one.order.who,
                "sha256": one.figures["sha256"],
                "releases": one.figures["releases"],
            }
            for one in book.book(self.house)
            if history or one.state == book.STANDS
        ]
        due = [{"date": str(day), "why": reason} for day, reason in sorted(why.items())]
        wanted = any(reason != book.GONE for reason in why.values())  # what has no rows any more can only be taken back
        return standing.Report({"rows": len(rows), "snapshots": rows, "due": due, "next": "lakewarden snapshot take" if wanted else None})

    def snapshot_verify(self, day: date | str | None = None, on_progress: OnProgress | None = None) -> standing.Report:
        """Prove that the rows of snapshots are those that their signed receipts tell, and that the chain of receipts holds.

        Whether silver and gold say the same today is told too; where not, the snapshot is outdated, and still good evidence of its time.

        Args:
            day: one date; None: every date that has a snapshot.

        Raises:
            LakeError: there is no snapshot of that date.
        """
        from lakewarden.errors import LakeError
        from lakewarden.operations.snapshot import book, proof
        from lakewarden.progress import Progress

        began, stands = time.monotonic(), book.standing(self.house)
        days = sorted(stands) if day is None else [as_date(day)]
        if not set(days) <= stands.keys():
            raise LakeError(f"There is no snapshot of {days[0]}.", state="nothing was verified", next="lakewarden snapshot list")
        proofs: list[dict[str, Any]] = []
        for number, one in enumerate(days):
            if on_progress is not None:
                on_progress(Progress(number, len(days), f"verifying the snapshot of {one}"))
            proofs.append(proof.proved(self.house, stands[one], self.ledger().find))
        chain = self.receipts_verify().ok
        differing = [one["date"] for one in proofs if not one["ok"]]
        told = {"rows": sum(one["rows"] for one in proofs), "differences": len(differing), "receipts": chain}
        seconds = round(time.monotonic() - began, 3)
        return standing.Report({**told, "seconds": seconds, "snapshots": proofs}, ok=chain and not differing)

    def snapshot_undo(
        self,
        day: date | str,
        reason: str,
        *,
        incident: str | None = None,
        on_progress: OnProgress | None = None,
        step: Callable[[str], None] = lambda _: None,
    ) -> standing.Report:
        """Take a date's snapshot back: the one that it replaced stands again, or none. It stays pinned itself. Leaves a receipt.

        An undo of this date that was cut short is finished, and no second one begun.

        Raises:
            LakeError: the date has none, or what it replaced isn't held any more.
            UsageError: there is no reason.
        """
        from lakewarden.operations.snapshot import book, take

        why = self._because(reason, f"lakewarden snapshot undo {day}", incident)
        author = self._ready().author
        begun = [one for one in self._finish_snapshots(on_progress) if (one.kind, one.subject) == (book.UNDO, as_date(day).isoformat())]
        order = begun[-1] if begun else take.order_undo(self.house, as_date(day), author, self._settings(), why, incident, utc_now())
        step("carry out")
        ended = self.carry_out(order.number, on_progress, step)
        outcome = {name: order.receipt["outcome"][name] for name in ("taken_back", "restored")}
        return standing.Report({"date": str(day), **outcome, "point": ended.point, "receipt": self._numbered(order.number)})
