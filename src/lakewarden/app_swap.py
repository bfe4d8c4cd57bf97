"""The part of the composition root and the Python API that swaps, undoes and pins: see `lakewarden.app`."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from lakewarden.app_replay import Replays
from lakewarden.errors import LakeBusyError, LakeError, UsageError
from lakewarden.operations import papers
from lakewarden.operations import status as standing
from lakewarden.operations.dates import utc_now

if TYPE_CHECKING:
    from lakewarden.audit.receipts import Receipt
    from lakewarden.lake.orders import Done, Order
    from lakewarden.operations.orders import Orders
    from lakewarden.operations.papers import Papers
    from lakewarden.operations.replay.journal import Journal
    from lakewarden.progress import OnProgress
    from lakewarden.settings import OperationSettings

POLL_SECONDS = 0.05
"""How often a command looks whether a running stream has carried its order out."""


class Swaps(Replays):
    """A lake's swaps, what can be undone of them, and its pins; each public method is the command of the same name."""

    def orders(self, remark: Callable[[str], None], step: Callable[[str], None] = lambda _: None) -> Orders:
        """What carries the lake's orders out, for whoever holds the lease."""
        from lakewarden.operations.job import Clocks
        from lakewarden.operations.orders import Orders

        return Orders(self.house, Clocks(utc_now, time.monotonic), self._receipt_of_order, remark, step)

    def _receipt_of_order(self, order: Order, done: Done) -> Receipt:
        """The receipt of an order that was carried out, in the name of who gave it."""
        from lakewarden.audit.receipts import Author, Ledger
        from lakewarden.audit.signing import signer
        from lakewarden.operations import acts

        ledger = Ledger(self.house.store, lambda: signer(self.house.store), utc_now, Author(order.who, order.host))
        return ledger.record(acts.carried_out(order, done))

    # --- the replay's last steps ----------------------------------------------------------------------------------

    def replay_approve(self, replay_id: str) -> standing.Report:
        """Approve the swap of what was validated, as a second person. Leaves a receipt.

        Raises:
            LakeError: there is no such replay, or it isn't validated.
            UsageError: who planned it can't approve it.
        """
        from lakewarden.audit.receipts import Act
        from lakewarden.operations.replay import approval

        journal, plan = self._journal(replay_id), self._journal(replay_id).plan()
        who = self._ready().author.actor
        told = approval.approve(journal, who, utc_now())
        name = f"approve {replay_id} {who} {told['plan_hash']}"
        receipt = self.record(
            Act("replay.approve", id=name, reason=plan.reason, incident=plan.incident, outcome={"replay": replay_id, **told})
        )
        return standing.Report({"id": replay_id, **told, "receipt": receipt.number, "next": f"lakewarden replay swap {replay_id}"})

    def replay_freeze(self, replay_id: str, *, thaw: bool = False) -> standing.Report:
        """Tell readers that a replay's dates are under replay, or take that back (`thaw`; a swap does so by itself). Leaves a receipt."""
        from lakewarden.audit.receipts import Act

        journal, plan = self._journal(replay_id), self._journal(replay_id).plan()
        self._ready()
        told = f"{plan.dates[0]} to {plan.dates[1]} are under replay ({replay_id}): what is read of these dates may change."
        before = self.house.published()
        if (replay_id in before.notices) is thaw:
            point = self.house.announce(replay_id, None if thaw else told, utc_now())
            kind, outcome = ("replay.thaw" if thaw else "replay.freeze"), {"replay": replay_id, "point": point.point, "notice": told}
            self.record(Act(kind, reason=plan.reason, incident=plan.incident, outcome=outcome))
        point = self.house.published()
        return standing.Report({"id": replay_id, "frozen": not thaw, "point": point.point, "notice": point.notice, "next": journal.next()})

    def replay_swap(
        self, replay_id: str, on_progress: OnProgress | None = None, step: Callable[[str], None] = lambda _: None
    ) -> standing.Report:
        """Put a validated replay in production's place, in all tables at once; finishes a swap that was cut short. Leaves a receipt.

        Args:
            step: told the name of each step before it; for tests that stop there.

        Raises:
            LakeError: it isn't validated, an approval is missing, or production changed since.
            LakeBusyError: the stream didn't carry the order out in time, or another order is under way; the order stands.
        """
        from lakewarden.operations.replay import swap

        journal = self._journal(replay_id)
        give = lambda: swap.order_swap(self.house, journal, self._ready().author, self._settings(), utc_now())  # noqa: E731  # begun below
        return self._swapped(journal, give, lambda: self._carried_out(journal, on_progress, step), step)

    def replay_undo(
        self,
        replay_id: str,
        reason: str,
        *,
        incident: str | None = None,
        on_progress: OnProgress | None = None,
        step: Callable[[str], None] = lambda _: None,
    ) -> standing.Report:
        """Put back what a swap replaced, exactly; rows that arrived since stay. A swap that waits is called off. Leaves a receipt.

        Raises:
            LakeError: it can't be undone; says why.
            UsageError: there is no reason.
        """
        from lakewarden.operations.replay import swap

        journal, why = self._journal(replay_id), self._because(reason, f"lakewarden replay undo {replay_id}", incident)
        give = lambda: swap.order_undo(  # noqa: E731  # begun below
            self.house, journal, self._ready().author, self._settings(), why, incident, utc_now()
        )
        return self._undone(journal, give, lambda: self._carried_out(journal, on_progress, step), step)

    def _because(self, reason: str, command: str, incident: str | None) -> str:
        """The reason of an undo, once it is known to be one and its incident to be there."""
        if not reason.strip():
            raise UsageError("An undo needs a reason.", state="nothing was changed", next=f'{command} --reason "why"')
        if incident is not None:
            self._incidents().get(incident)
        return reason.strip()

    def _swapped(
        self, journal: Papers[Any], give: Callable[[], object], end: Callable[[], standing.Report], step: Callable[[str], None]
    ) -> standing.Report:
        """Give the order to swap unless it was given, and have it carried out."""
        if journal.state()["state"] != papers.ORDERED:
            self._ready()
            step("give the order")
            give()
        return end()

    def _undone(
        self, journal: Papers[Any], give: Callable[[], object], end: Callable[[], standing.Report], step: Callable[[str], None]
    ) -> standing.Report:
        """Call off a swap that waits; else give the order to undo it, and have it carried out."""
        from lakewarden.lake import orders
        from lakewarden.operations import ordering

        state = journal.state()
        if state["state"] == papers.ORDERED and state["after"] == papers.SWAPPED:
            if orders.call_off(self.house.store, int(state["order"]), utc_now()):
                ordering.settle(self.house, journal, utc_now())
                return standing.Report({"id": journal.id, "state": journal.state()["state"], "called_off": True, "next": journal.next()})
            end()
        return self._swapped(journal, give, end, step)

    def replay_can_undo(self, replay_id: str) -> standing.Report:
        """Whether a swap can be undone, why (not), and until when; not ok where it can't."""
        from lakewarden.operations.replay import swap

        answer = swap.can_undo(self.house, self._journal(replay_id), utc_now())
        return standing.Report({"id": replay_id, "reason": answer.reason, "until": answer.until, "order": answer.order}, ok=answer.ok)

    def _carried_out(self, journal: Journal, on_progress: OnProgress | None, step: Callable[[str], None]) -> standing.Report:
        """Have a replay's order carried out, by a running stream or here, and say what came of it."""
        from lakewarden.operations.replay import swap

        number = int(journal.state()["order"])
        ended = self.carry_out(number, on_progress, step)
        swap.settle(self.house, journal, utc_now())
        figures: dict[str, Any] = {"point": ended.point, "swap_seconds": round(ended.seconds, 3), "tables": ended.tables}
        told = {"id": journal.id, "state": journal.state()["state"], "order": number, **figures, "receipt": self._numbered(number)}
        return standing.Report({**told, "due": self._due(journal.plan().dates), "next": journal.next()})

    def _due(self, dates: tuple[date, date]) -> list[dict[str, str]]:
        """The snapshots of dates that aren't what a new one would be any more."""
        from lakewarden.operations import after
        from lakewarden.operations.snapshot import book

        stands, why = book.standing(self.house), book.outdated(self.house)
        found = sorted(day for day in stands.keys() & why.keys() if dates[0] <= day <= dates[1])
        return [after.FollowUp("snapshot", found[0], found[-1]).to_dict()] if found else []

    def carry_out(self, number: int, on_progress: OnProgress | None = None, step: Callable[[str], None] = lambda _: None) -> Done:
        """Have an order carried out: by whoever streams, or here where nobody does. For operations.

        Raises:
            LakeBusyError: whoever streams didn't do it in time; the order stands.
        """
        from lakewarden.lake import orders
        from lakewarden.progress import Progress

        limit = time.monotonic() + self._settings().wait_seconds
        while (ended := orders.done(self.house.store, number)) is None:
            if orders.verdict(self.house.store, number) == orders.CALLED_OFF:
                raise LakeError(f"Order {number} was called off.", state="nothing was changed", next="lakewarden replay list")
            try:
                self._carry_out_here(step)
            except LakeBusyError as busy:
                if time.monotonic() > limit:
                    raise LakeBusyError(
                        f"Order {number} was given, and whoever writes the lake didn't carry it out in time.",
                        state="the order stands and is carried out sooner or later; " + (busy.what or ""),
                        next="run the same command again (it waits on), or lakewarden replay undo ID --reason ... (calls it off)",
                    ) from busy
                if on_progress is not None:
                    on_progress(Progress(0, None, "waiting for the stream to carry it out"))
                self._await(number)
        return ended

    def _await(self, number: int) -> None:
        """Until an order is done, for about a second."""
        from lakewarden.lake import orders

        for _ in range(20):
            if orders.done(self.house.store, number) is not None:
                return
            time.sleep(POLL_SECONDS)

    def _carry_out_here(self, step: Callable[[str], None]) -> None:
        """Take the lease and carry out what waits, as a stream would that has no events."""
        with self.caught_up(step):
            pass

    @contextlib.contextmanager
    def caught_up(self, step: Callable[[str], None] = lambda _: None) -> Iterator[None]:
        """The lake under its lease, everything finished that was begun and every order carried out, as by a stream that has no events.

        Raises:
            LakeBusyError: a stream holds the lake.
        """
        from lakewarden.lake.bookmarks import Bookmarks
        from lakewarden.lake.release_loader import materialise
        from lakewarden.operations import release, stream
        from lakewarden.operations.job import Clocks, Releases, StreamJob
        from lakewarden.settings import StreamSettings
        from lakewarden.sources.nothing import Nothing

        run_id = f"run-{uuid.uuid4().hex[:12]}"
        with self.writing(run_id) as engine:
            known = Releases(
                lambda: release.ensure(self.house.store, utc_now()), lambda release_id: materialise(self.house.store, release_id)
            )
            job = StreamJob(
                engine,
                self.orders(lambda _: None, step),
                Nothing(),
                known,
                StreamSettings(),
                run_id,
                Clocks(utc_now, time.monotonic),
                Bookmarks(self.house.store),
                lambda _: None,
                lambda _: None,
                self.house.publish,
            )
            running = stream.Stream(job, check=self.house.check)
            running.recover()
            running.carry_out()
            yield

    def _numbered(self, number: int) -> int:
        """The number of an order's receipt; written now where whoever carried it out could not."""
        from lakewarden.lake import orders

        order, ended = orders.get(self.house.store, number), orders.done(self.house.store, number)
        assert ended is not None
        return self._receipt_of_order(order, ended).number

    # --- pins -----------------------------------------------------------------------------------------------------

    def pins(self) -> standing.Report:
        """What is held so that it can be restored: table, rows, bytes, since when and until when, and why."""
        from lakewarden.lake import pins

        now, held = utc_now(), pins.pins(self.house.store)
        rows = [
            {
                "id": one.id,
                "table": one.table,
                "rows": one.rows,
                "files": len(one.files),
                "bytes": one.size,
                "created": one.created_time,
                "until": one.until,
                "holds": one.holds(now),
                "reason": one.reason,
            }
            for one in held
        ]
        return standing.Report({"rows": len(rows), "bytes": sum(one.size for one in held), "pins": rows})

    def pin_release(self, pin_id: str, reason: str) -> standing.Report:
        """Let go of what a pin holds: it can't be restored from then on. Leaves a receipt.

        Raises:
            LakeError: there is no such pin.
            UsageError: there is no reason.
        """
        from lakewarden.audit.receipts import Act
        from lakewarden.lake import pins

        if not reason.strip():
            raise UsageError(
                "Releasing a pin needs a reason.", state="nothing was released", next='lakewarden pins release ID --reason "why"'
            )
        self._ready()
        found = pins.release(self.house.store, pin_id)
        grace = timedelta(seconds=self.house.settings.vacuum_grace_seconds)
        outcome = {"pin": found.id, "table": found.table, "files": len(found.files), "held": found.reason, "until": found.until}
        receipt = self.record(Act("pins.release", id=f"release {found.id} {found.created_time}", reason=reason.strip(), outcome=outcome))
        told = {"table": found.table, "rows": found.rows, "bytes": found.size, "kept_for_seconds": grace.total_seconds()}
        return standing.Report({"id": found.id, **told, "receipt": receipt.number})

    # --- what they share ------------------------------------------------------------------------------------------

    def _settings(self) -> OperationSettings:
        from lakewarden.operations import policy

        return policy.load(self.house.store)
