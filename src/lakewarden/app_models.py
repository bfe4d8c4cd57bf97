"""The part of the composition root and the Python API that changes the model: see `lakewarden.app`."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from lakewarden.app_replay import Replays
from lakewarden.operations import status as standing
from lakewarden.operations.dates import as_date, utc_now

if TYPE_CHECKING:
    from lakewarden.operations.change.journal import Journal
    from lakewarden.operations.change.plan import Plan, Request
    from lakewarden.progress import OnProgress
    from lakewarden.settings import OperationSettings, WatchSettings

PRODUCTION: Final = "production"
STAGING: Final = "staging"
ARCHIVED: Final = "archived"


class Models(Replays):
    """A lake's models (runbook section 6); each public method is the command of the same name and gives its report."""

    def models(self) -> standing.Report:
        """Every version of the model, newest first, and the changes that were made.

        Raises:
            StorageError: the registry can't be reached.
        """
        from lakewarden.operations.change import versions

        return versions.listed(self.house)

    def model_show(self, version: str) -> standing.Report:
        """All that is known of one version. Raises ModelError where there is none."""
        from lakewarden.operations.change import versions

        return versions.shown(self.house, version)

    def model_decisions(
        self,
        version: str,
        *,
        first: date | str | None = None,
        last: date | str | None = None,
        band: str | None = None,
        limit: int = 50,
        out: str | Path | None = None,
    ) -> standing.Report:
        """What a version decided: counts by date and band, the newest rows, and all rows in a file where one is named.

        Args:
            version: of the model, or `scorecard`.
            first, last: event dates.
            band: LOW, MEDIUM or HIGH.
            limit: most rows in the report.
            out: a file that ends in `.parquet` or `.csv`.

        Raises:
            UsageError: band, dates or the file's kind make no sense.
            StorageError: the file can't be written.
        """
        from lakewarden.operations.change import decisions

        choice = decisions.Choice(version, None if first is None else as_date(first), None if last is None else as_date(last), band)
        return decisions.decisions(self.house, choice, limit, None if out is None else Path(out))

    def model_rollback(
        self,
        *,
        reason: str,
        to: str | None = None,
        incident: str | None = None,
        model_only: bool = False,
        demote_to: str = ARCHIVED,
        replay: bool = False,
        dry_run: bool = False,
        approvals: Sequence[Mapping[str, str]] = (),
    ) -> standing.Report:
        """Put a former model back, with rules, thresholds, references and contract of its release. Leaves a receipt.

        The same call again finishes one that was killed.

        Args:
            reason: why.
            to: a version, or `scorecard`; None: the last known good, by the receipts and the registry.
            incident: the incident that it belongs to.
            model_only: keep the present rules, thresholds, references and contract.
            demote_to: the stage of the version that is replaced, `archived` or `staging`.
            replay: plan the replay of the dates that the replaced version decided; it isn't run.
            dry_run: give the plan, and store nothing.
            approvals: who approved, for the receipt.

        Raises:
            UsageError: there is no reason.
            ModelError: there is no such version, it is in production already, or a precondition doesn't hold.
            LakeError: there is no last known good, no such incident, another change is under way, or another release came into force.
            LakeBusyError: another process changes the model now.
            StorageError: the registry can't be reached.
        """
        from lakewarden.operations.change.plan import ROLLBACK, Request

        asked = Request(ROLLBACK, to, PRODUCTION, model_only, demote_to, replay, reason, incident)
        return self._changed(asked, dry_run, approvals)

    def model_promote(
        self,
        version: str,
        *,
        reason: str,
        alias: str = PRODUCTION,
        incident: str | None = None,
        with_release: bool = False,
        demote_to: str = ARCHIVED,
        replay: bool = False,
        dry_run: bool = False,
        approvals: Sequence[Mapping[str, str]] = (),
    ) -> standing.Report:
        """Give a version an alias; in production it scores from the next micro-batch on. Leaves a receipt.

        Args:
            alias: `production`, or `staging`, which changes the registry only.
            with_release: take rules, thresholds, references and contract of the version's release too; else the present ones stay.

        Other arguments, and what it raises: as `model_rollback`.
        """
        from lakewarden.operations.change.plan import PROMOTE, Request

        asked = Request(PROMOTE, version, alias, not with_release, demote_to, replay, reason, incident)
        return self._changed(asked, dry_run, approvals)

    def model_resume(self, change_id: str) -> standing.Report:
        """Finish a change that was killed; one that is at its end is only shown.

        Raises:
            LakeError: there is no such change, or another release came into force meanwhile.
            LakeBusyError: another process applies it now.
        """
        from lakewarden.operations.change import journal as papers

        journal = papers.Journal.of(self.house.store, change_id)
        with self._alone():
            return self._applied(journal)

    def model_approve(self, change_id: str) -> standing.Report:
        """Approve a change of the model, as a second person. Leaves a receipt.

        Raises:
            LakeError: there is no such change, or it is at its end.
            UsageError: who planned it can't approve it.
        """
        from lakewarden.audit.receipts import Act
        from lakewarden.operations.change.journal import Journal

        who = self._ready().author.actor
        journal = Journal.of(self.house.store, change_id)
        told, asked = journal.approve(who, utc_now()), journal.plan().request
        act = Act(
            "model.approve",
            id=f"approve {change_id} {who}",
            reason=asked.reason,
            incident=asked.incident,
            outcome={"change": change_id, **told},
        )
        step = f"lakewarden model {asked.kind} --resume {change_id}"
        return standing.Report({"id": change_id, **told, "receipt": self.record(act).number, "next": step})

    def model_call_off(self, change_id: str) -> standing.Report:
        """End a change that waits for approval, and was not begun. Leaves a receipt.

        Raises:
            LakeError: there is no such change, it is at its end, or steps of it are done.
        """
        from lakewarden.audit.receipts import Act
        from lakewarden.operations.change.journal import Journal

        self._ready()
        journal = Journal.of(self.house.store, change_id)
        with self._alone():
            journal.call_off(utc_now())
        asked = journal.plan().request
        act = Act("model.call-off", id=f"call off {change_id}", reason=asked.reason, incident=asked.incident, outcome={"change": change_id})
        return standing.Report({"id": change_id, "state": journal.state()["state"], "receipt": self.record(act).number})

    def model_watch(
        self,
        change_id: str,
        length: str | timedelta,
        *,
        settings: WatchSettings | None = None,
        stop: threading.Event | None = None,
        on_progress: OnProgress | None = None,
        now: Callable[[], datetime] = utc_now,
        wait: Callable[[float], bool] | None = None,
    ) -> standing.Report:
        """Record figures before and after a change until so much time has passed or `stop` is set. Leaves a receipt.

        Not ok where it was watched to the end and has not stabilised.

        Args:
            length: `24h`, `30m`, or a timedelta.
            settings: how often it looks and what counts as stabilised; None: the defaults.
            now, wait: the wall clock, and what waits for so many seconds and says whether to stop.

        Raises:
            LakeError: there is no such change, or it put no release in force.
            UsageError: `length` is no length of time.
        """
        from lakewarden.operations.change.journal import Journal
        from lakewarden.operations.change.watch import Watcher, duration
        from lakewarden.settings import WatchSettings

        halted = stop or threading.Event()
        lasting = duration(length) if isinstance(length, str) else length
        journal = Journal.of(self.house.store, change_id)
        chosen = settings or WatchSettings()
        told = Watcher(self.house, journal, self._ready(), chosen, now, wait or halted.wait, on_progress).watch(lasting)
        return standing.Report({"id": change_id, **told}, ok=told["stabilised"] or told["interrupted"])

    # --- how a change is made -------------------------------------------------------------------------------------

    def _changed(self, asked: Request, dry_run: bool, approvals: Sequence[Mapping[str, str]]) -> standing.Report:
        from lakewarden.audit.receipts import Author
        from lakewarden.operations.change import building
        from lakewarden.operations.change import journal as papers

        if asked.incident is not None:
            self._incidents().get(asked.incident)
        if dry_run:
            plan = building.build(self.house, asked, who=Author.of_this_process().actor, now=utc_now())
            return standing.Report({**plan.explained(), "stored": False}, ok=plan.ok)
        ledger = self._ready()
        with self._alone():
            begun = papers.unfinished(self.house.store)
            if begun is not None:
                self._same(begun.plan(), asked)
                return self._applied(begun)
            plan = building.build(self.house, asked, who=ledger.author.actor, now=utc_now())
            plan.require()
            return self._applied(papers.Journal.begin(self.house.store, plan, [dict(one) for one in approvals]))

    def _same(self, plan: Plan, asked: Request) -> None:
        """Refuse another change while one is under way."""
        from lakewarden.errors import LakeError
        from lakewarden.operations.change import versions

        if plan.request != asked:
            raise LakeError(
                f"{plan.id} isn't at its end: {plan.request.kind} to version {plan.version_after}, planned {plan.time} by {plan.who}.",
                state="nothing of the new change was done",
                next=versions.resume(plan.id, plan.request.kind),
            )

    def _applied(self, journal: Journal) -> standing.Report:
        """Apply what isn't done yet, and say what came of it."""
        from lakewarden.operations.change.plan import CONFIRM, RECEIPT, RELEASE, REPLAY
        from lakewarden.operations.change.steps import Applier

        journal.require_approval(self._settings().second_person)
        done = Applier(self.house.store, self._ready(), utc_now, self._planned_replay).apply(journal)
        plan = journal.plan()
        data: dict[str, Any] = {
            "id": plan.id,
            "kind": plan.request.kind,
            "alias": plan.request.alias,
            "version_before": plan.version_before if plan.release_after else plan.demoted,
            "version": plan.version_after,
            "release_before": plan.release_before,
            "release": done.get(RELEASE, {}).get("release", plan.release_before),
            "confirmed": done[CONFIRM]["confirmed"],
            "found": done[CONFIRM]["found"],
            "receipt": done[RECEIPT]["number"],
            "why": list(plan.why),
            "notes": list(plan.notes),
            "changed": [dict(row) for row in plan.parts if row["changes"]],
        }
        if REPLAY in done:
            data["replay"] = {name: value for name, value in done[REPLAY].items() if name != "time"}
        if plan.release_after is not None:
            data["next"] = f"lakewarden model watch {plan.id} --for 24h"
        return standing.Report(data, ok=bool(done[CONFIRM]["confirmed"]))

    def _planned_replay(self, plan: Plan) -> Mapping[str, Any]:
        """Plan the replay of the dates that the replaced version decided, under the release that is in force now."""
        from lakewarden.errors import LakeError
        from lakewarden.operations.change import decisions

        found = decisions.dates_of(self.house, plan.version_before)
        if found is None:
            return {"id": None, "what": f"version {plan.version_before} decided nothing: there is nothing to replay"}
        first, last, days = found
        reason = f"{plan.id}: what version {plan.version_before} decided. {plan.request.reason.strip()}"
        try:
            report = self.replay_plan(first, last, reason=reason, release=plan.release_after, incident=plan.request.incident)
        except LakeError as error:  # the model is changed all the same, and the receipt says what could not be planned
            return {"id": None, "what": error.what, "next": error.next}
        told = {"id": report.data["id"], "ok": report.ok, "from": first, "to": last, "dates_decided": days}
        return {**told, "release": plan.release_after, "next": report.data.get("next")}

    def _settings(self) -> OperationSettings:
        from lakewarden.operations import policy

        return policy.load(self.house.store)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One change of the model at a time."""
        from lakewarden.errors import LakeBusyError
        from lakewarden.lake.lease import Lease
        from lakewarden.lake.store import Store
        from lakewarden.operations.change.journal import FOLDER

        papers = Store(self.house.store.uri(FOLDER), create=True)
        try:
            with Lease(papers, "change of the model", utc_now().isoformat(timespec="seconds")):
                yield
        except LakeBusyError as error:
            raise LakeBusyError(
                "Another process changes the model now.", state="nothing of this change was done", next="lakewarden model list"
            ) from error
