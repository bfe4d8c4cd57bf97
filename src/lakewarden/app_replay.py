"""The part of the composition root and the Python API that replays dates: see `lakewarden.app`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lakewarden.app_engine import Engines
from lakewarden.flow.version import code_version
from lakewarden.operations import status as standing
from lakewarden.operations.dates import as_date, utc_now

if TYPE_CHECKING:
    from lakewarden.operations.replay.journal import Journal
    from lakewarden.progress import OnProgress


class Replays(Engines):
    """A lake's replays (runbook section 4); each public method is the command of the same name and gives its report."""

    def replay_plan(
        self,
        first: date | str,
        last: date | str,
        *,
        reason: str,
        release: str | None = None,
        incident: str | None = None,
        accounts: Sequence[str] = (),
        carry_on: bool = False,
        dry_run: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> standing.Report:
        """Plan a replay of these dates and store the plan (`dry_run`: don't); not ok where a precondition doesn't hold.

        Args:
            release: a release's id or the beginning of it, for all rows; None: each row under the release recorded for it.
            accounts: whose events are replayed; none named: all.
            carry_on: go on to the newest date that has events, since later windows look back on what is replayed.
            settings: what is other than `conf/operations.yaml` says of how the replay is cut and judged.

        Raises:
            UsageError: the dates are the wrong way round, or there is no reason.
            LakeError: there is no such release or incident.
        """
        from lakewarden.audit.receipts import Act
        from lakewarden.lake.release_loader import materialise
        from lakewarden.operations import policy
        from lakewarden.operations.replay import planning
        from lakewarden.operations.replay.journal import Journal

        if incident is not None:
            self.incident_show(incident)
        plan = planning.build(
            self.house,
            (as_date(first), max(as_date(last), planning.newest_date(self.house)) if carry_on else as_date(last)),
            release_prefix=release,
            reason=reason,
            incident=incident,
            who=self._ready().author.actor,
            now=utc_now(),
            code_version=code_version(),
            settings=policy.load(self.house.store).replay.model_copy(update=dict(settings or {})),
            load=lambda release_id: materialise(self.house.store, release_id),
            accounts=tuple(accounts),
        )
        if dry_run:
            return standing.Report({**plan.to_dict(), "stored": False}, ok=plan.ok)
        step = Journal.begin(self.house.store, plan).next()
        told = {"replay": plan.id, "ok": plan.ok}
        name = f"plan {plan.id}"
        act = Act(
            "replay.plan",
            id=name,
            reason=plan.reason,
            incident=incident,
            plan=plan.to_dict(),
            predicted=dict(plan.predictions),
            outcome=told,
        )
        return standing.Report({**plan.to_dict(), "stored": True, "receipt": self.record(act).number, "next": step}, ok=plan.ok)

    def replay_run(self, replay_id: str, on_progress: OnProgress | None = None) -> standing.Report:
        """Run a planned replay into its sandbox, or carry on with one that was killed; no production table is written.

        Raises:
            LakeError: there is no such replay, its plan isn't ok, or plan or code were changed since.
            LakeBusyError: another process runs it.
        """
        from lakewarden.lake.release_loader import materialise
        from lakewarden.operations.replay import run

        journal = self._journal(replay_id)
        self._ready()
        with self.reading() as engine:
            report = run.run(
                engine,
                journal,
                load=lambda release_id: materialise(engine.lake.store, release_id),
                code_version=code_version(),
                now=utc_now,
                monotonic=time.monotonic,
                on_progress=on_progress,
            )
        names = ("rows", "arrivals", "chunks", "counts", "seconds", "events_per_second")
        return self._told(journal, "replay.run", report, {name: report.data[name] for name in names}, f"run {replay_id}")

    def replay_validate(self, replay_id: str, on_progress: OnProgress | None = None) -> standing.Report:
        """Compare a replay with what is published, put each difference in a class, and judge it; not ok where a gate stops.

        Raises:
            LakeError: there is no such replay, or it isn't run to its end.
        """
        from lakewarden.lake.release_loader import materialise
        from lakewarden.operations.replay import validate

        journal = self._journal(replay_id)
        self._ready()
        with self.reading() as engine:
            report = validate.validate(
                engine,
                journal,
                load=lambda release_id: materialise(engine.lake.store, release_id),
                now=utc_now,
                monotonic=time.monotonic,
                on_progress=on_progress,
            )
        names = ("verdict", "gates", "differences", "classes", "alerts", "band_move_share", "rows_out", "state_changes", "point")
        return self._told(journal, "replay.validate", report, {name: report.data[name] for name in names}, None)

    def replays(self) -> standing.Report:
        """All replays, newest first."""
        from lakewarden.operations.replay import journal

        found = journal.listed(self.house.store)
        return standing.Report({"rows": len(found), "replays": found})

    def replay_show(self, replay_id: str) -> standing.Report:
        """One replay: its plan, its state, its newest verdict. Raises LakeError where there is none of that id."""
        from lakewarden.operations.replay import clean

        return clean.show(self._journal(replay_id))

    def replay_clean(self, replay_id: str, *, archive: bool = False) -> standing.Report:
        """Remove the sandbox of a replay; its plan and its reports stay, and so does what was swapped in. Leaves a receipt.

        Args:
            archive: keep its rows first, one compressed file a table.

        Raises:
            LakeBusyError: it runs at this moment.
        """
        from lakewarden.operations.replay import clean

        journal = self._journal(replay_id)
        self._ready()
        if replay_id in self.house.published().notices:
            self.house.announce(replay_id, None, utc_now())
        report = clean.clean(journal, utc_now(), archive=archive)
        return self._told(journal, "replay.clean", report, {**report.data}, None)

    def replays_clean(self, days: float, *, archive: bool = False) -> standing.Report:
        """Clean up behind every replay that was planned longer ago than so many days and still has a sandbox."""
        limit = utc_now() - timedelta(days=days)
        due = [row["id"] for row in self.replays().data["replays"] if row["planned"] and datetime.fromisoformat(row["planned"]) < limit]
        kept = [
            one
            for one in due
            if self._journal(one).state().get("sandbox") != "removed" and self._journal(one).state()["state"] != "ordered"
        ]
        cleaned = [self.replay_clean(one, archive=archive).data for one in kept]
        return standing.Report({"rows": len(cleaned), "bytes": sum(int(one["bytes"]) for one in cleaned), "replays": cleaned})

    def _told(self, journal: Journal, kind: str, report: standing.Report, outcome: dict[str, Any], name: str | None) -> standing.Report:
        """A report with the number of the receipt that its act left."""
        from lakewarden.audit.receipts import Act

        plan = journal.plan()
        said = {"replay": plan.id, **outcome}
        act = Act(kind, id=name, reason=plan.reason, incident=plan.incident, predicted=dict(plan.predictions), outcome=said)
        return standing.Report({**report.data, "receipt": self.record(act).number}, ok=report.ok)

    def _journal(self, replay_id: str) -> Journal:
        """A replay's journal, brought up to what became of its order."""
        from lakewarden.operations.replay import swap
        from lakewarden.operations.replay.journal import Journal

        journal = Journal.of(self.house.store, replay_id)
        swap.settle(self.house, journal, utc_now())
        return journal
