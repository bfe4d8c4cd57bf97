"""The part of the composition root and the Python API that brings history in: see `lakewarden.app`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakewarden.app_swap import Swaps
from lakewarden.flow.version import code_version
from lakewarden.operations import status as standing
from lakewarden.operations.dates import as_date, utc_now

if TYPE_CHECKING:
    from lakewarden.operations.backfill.journal import Journal
    from lakewarden.progress import OnProgress


class Backfills(Swaps):
    """A lake's backfills (runbook section 5); each public method is the command of the same name and gives its report."""

    def backfill_plan(
        self,
        source: str | Path,
        *,
        reason: str,
        mapping: str | Path | None = None,
        first: date | str | None = None,
        last: date | str | None = None,
        release: str | None = None,
        incident: str | None = None,
        line_of_business: str | None = None,
        note: str | None = None,
        dry_run: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> standing.Report:
        """Plan to bring historical files in, and store the plan (`dry_run`: don't); not ok where a precondition doesn't hold.

        Args:
            source: a file or a folder.
            mapping: YAML file that maps other names to the event contract.
            first, last: dates of the events that are taken; None: all that lie before what the lake has.
            release: a release's id or the beginning of it; None: the one in force.
            line_of_business, note: what was agreed on; goes into the plan.
            settings: what is other than `conf/operations.yaml` says of how the backfill is cut and judged.

        Raises:
            UsageError: the dates are the wrong way round, or there is no reason.
            LakeError: there is no such release or incident.
            SourceError: there is nothing to read.
            ConfigurationError: the mapping can't be used.
        """
        from lakewarden.lake.release_loader import materialise
        from lakewarden.operations import policy
        from lakewarden.operations.backfill import planning
        from lakewarden.operations.backfill.journal import Journal

        if incident is not None:
            self.incident_show(incident)
        days = (None if first is None else as_date(first), None if last is None else as_date(last))
        asked = planning.Asked(source, mapping, *days, release, reason, incident, line_of_business, note)
        with self.reading() as engine:
            plan = planning.build(
                engine.lake,
                engine,
                asked,
                who=self._ready().author.actor,
                now=utc_now(),
                code_version=code_version(),
                settings=policy.load(self.house.store).backfill.model_copy(update=dict(settings or {})),
                load=lambda release_id: materialise(engine.lake.store, release_id),
                monotonic=time.monotonic,
            )
        if dry_run:
            return standing.Report({**plan.to_dict(), "stored": False}, ok=plan.ok)
        journal = Journal.begin(self.house.store, plan)
        outcome = {"ok": plan.ok}
        told = standing.Report({**plan.to_dict(), "stored": True, "next": journal.next()}, ok=plan.ok)
        return self._left(journal, "backfill.plan", told, outcome, f"plan {plan.id}", plan=plan.to_dict())

    def backfill_run(
        self, backfill_id: str, on_progress: OnProgress | None = None, step: Callable[[str], None] = lambda _: None
    ) -> standing.Report:
        """Load the files into staging and derive them into the sandbox, or carry on; no production table is written.

        Args:
            step: told the name of each step before it; for tests that stop there.

        Raises:
            LakeError: there is no such backfill, its plan isn't ok, or plan, files or code were changed since.
            LakeBusyError: another process runs it.
        """
        from lakewarden.lake.release_loader import materialise
        from lakewarden.operations.backfill import run

        journal = self._backfill(backfill_id)
        self._ready()
        with self.reading() as engine:
            report = run.run(
                engine,
                journal,
                release=lambda release_id: materialise(engine.lake.store, release_id),
                code_version=code_version(),
                now=utc_now,
                monotonic=time.monotonic,
                on_progress=on_progress,
                step=step,
            )
        names = ("rows", "loaded", "chunks", "counts", "seconds", "events_per_second")
        return self._left(journal, "backfill.run", report, {name: report.data[name] for name in names}, f"run {backfill_id}")

    def backfill_validate(self, backfill_id: str) -> standing.Report:
        """Judge what was run: conservation, data quality, dead letters, ids that live data have too; not ok where a gate stops.

        Raises:
            LakeError: there is no such backfill, or it isn't run to its end.
        """
        from lakewarden.lake.release_loader import materialise
        from lakewarden.operations.backfill import validate

        journal = self._backfill(backfill_id)
        self._ready()
        with self.reading() as engine:
            report = validate.validate(
                engine,
                journal,
                load=lambda release_id: materialise(engine.lake.store, release_id),
                now=utc_now,
                monotonic=time.monotonic,
            )
        names = ("verdict", "gates", "counts", "dq_critical_pass_rate", "live_ids", "block", "document", "hash_totals", "point")
        return self._left(journal, "backfill.validate", report, {name: report.data[name] for name in names}, None)

    def backfill_approve(self, backfill_id: str) -> standing.Report:
        """Approve the swap of what was validated, as a second person. Leaves a receipt.

        Raises:
            LakeError: there is no such backfill, or it isn't validated.
            UsageError: who planned it can't approve it.
        """
        from lakewarden.operations.replay import approval

        journal, who = self._backfill(backfill_id), self._ready().author.actor
        told = approval.approve(journal, who, utc_now())
        report = standing.Report({"id": backfill_id, **told, "next": f"lakewarden backfill swap {backfill_id}"})
        return self._left(journal, "backfill.approve", report, told, f"approve {backfill_id} {who} {told['plan_hash']}")

    def backfill_swap(
        self, backfill_id: str, on_progress: OnProgress | None = None, step: Callable[[str], None] = lambda _: None
    ) -> standing.Report:
        """Bring a validated backfill into every table at once; finishes what was cut short. Leaves a receipt.

        Args:
            step: told the name of each step before it; for tests that stop there.

        Raises:
            LakeError: it isn't validated, an approval is missing, or the lake begins elsewhere by now.
            LakeBusyError: the stream didn't carry the order out in time, or another order is under way; the order stands.
        """
        from lakewarden.operations.backfill import swap

        journal = self._backfill(backfill_id)
        give = lambda: swap.order_swap(self.house, journal, self._ready().author, self._settings(), utc_now())  # noqa: E731  # begun below
        return self._swapped(journal, give, lambda: self._ended(journal, on_progress, step), step)

    def backfill_undo(
        self,
        backfill_id: str,
        reason: str,
        *,
        incident: str | None = None,
        on_progress: OnProgress | None = None,
        step: Callable[[str], None] = lambda _: None,
    ) -> standing.Report:
        """Take a backfill's rows out of every table at once; all others stay. A swap that waits is called off. Leaves a receipt.

        Raises:
            LakeError: it can't be undone; says why.
            UsageError: there is no reason.
        """
        from lakewarden.operations.backfill import swap

        journal, why = self._backfill(backfill_id), self._because(reason, f"lakewarden backfill undo {backfill_id}", incident)
        give = lambda: swap.order_undo(  # noqa: E731  # begun below
            self.house, journal, self._ready().author, self._settings(), why, incident, utc_now()
        )
        return self._undone(journal, give, lambda: self._ended(journal, on_progress, step), step)

    def backfill_can_undo(self, backfill_id: str) -> standing.Report:
        """Whether a backfill can be taken out again, why (not), and how many live rows saw it since; not ok where it can't."""
        from lakewarden.operations.backfill import swap

        answer = swap.can_undo(self.house, self._backfill(backfill_id))
        told = {"reason": answer.reason, "until": None, "order": answer.order, "live_rows_that_saw_it": answer.seen_by}
        return standing.Report({"id": backfill_id, **told}, ok=answer.ok)

    def backfills(self) -> standing.Report:
        """All backfills, newest first."""
        from lakewarden.operations.backfill import journal

        found = journal.listed(self.house.store)
        return standing.Report({"rows": len(found), "backfills": found})

    def backfill_show(self, backfill_id: str) -> standing.Report:
        """One backfill: state, verdict, document, approvals, plan. Raises LakeError where there is none of that id."""
        from lakewarden.operations.backfill import clean

        return clean.show(self._backfill(backfill_id))

    def backfill_clean(self, backfill_id: str) -> standing.Report:
        """Remove a backfill's sandbox; its plan and its reports stay, and so does what was swapped in. Leaves a receipt.

        Raises:
            LakeBusyError: it runs at this moment.
            LakeError: its swap waits to be carried out.
        """
        from lakewarden.operations.backfill import clean

        journal = self._backfill(backfill_id)
        self._ready()
        report = clean.clean(journal, utc_now())
        return self._left(journal, "backfill.clean", report, {**report.data}, None)

    # --- what they share ------------------------------------------------------------------------------------------

    def _ended(self, journal: Journal, on_progress: OnProgress | None, step: Callable[[str], None]) -> standing.Report:
        """Have a backfill's order carried out, by a running stream or here, and say what came of it and what is due now."""
        from lakewarden.operations import ordering

        number = int(journal.state()["order"])
        ended = self.carry_out(number, on_progress, step)
        ordering.settle(self.house, journal, utc_now())
        report = journal.report() or {}
        due = report["document"]["due"] if journal.state()["state"] == "swapped" else []
        figures = {"point": ended.point, "swap_seconds": round(ended.seconds, 3), "tables": ended.tables, "seen_from_seq": ended.next_seq}
        told = {"id": journal.id, "state": journal.state()["state"], "order": number, **figures}
        return standing.Report({**told, "due": due, "receipt": self._numbered(number), "next": journal.next()})

    def _left(
        self,
        journal: Journal,
        kind: str,
        report: standing.Report,
        outcome: Mapping[str, Any],
        name: str | None,
        plan: Mapping[str, Any] | None = None,
    ) -> standing.Report:
        """A report with the number of the receipt that its act left."""
        from lakewarden.audit.receipts import Act

        made = journal.plan()
        said = {"backfill": made.id, **outcome}
        act = Act(kind, id=name, reason=made.reason, incident=made.incident, plan=plan, predicted=dict(made.predictions), outcome=said)
        return standing.Report({**report.data, "receipt": self.record(act).number}, ok=report.ok)

    def _backfill(self, backfill_id: str) -> Journal:
        """A backfill's journal, brought up to what became of its order."""
        from lakewarden.operations import ordering
        from lakewarden.operations.backfill.journal import Journal

        journal = Journal.of(self.house.store, backfill_id)
        ordering.settle(self.house, journal, utc_now())
        return journal
