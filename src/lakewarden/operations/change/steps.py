"""Apply a plan of a change of the model, step by step; a step that is done is not done again (runbook section 6.2 steps 2, 3, 5).

Aliases and tags go first: they decide nothing. Then the release comes into force whole (`operations.restoring`), it is looked at again, and
the receipt is left under the change's own id, so that there is one however often the change is resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lakewarden.audit.receipts import Act
from lakewarden.errors import LakeError
from lakewarden.lake import releases
from lakewarden.models import registry, stages
from lakewarden.operations import release, restoring
from lakewarden.operations.change import building
from lakewarden.operations.change import journal as papers
from lakewarden.operations.change.plan import CONFIRM, RECEIPT, RELEASE, REPLAY, ROLLBACK, SCORECARD, Plan
from lakewarden.settings import FlowSettings

if TYPE_CHECKING:
    from lakewarden.audit.receipts import Ledger
    from lakewarden.lake.store import Store
    from lakewarden.operations.change.journal import Journal


@dataclass(frozen=True)
class Applier:
    """Applies plans.

    Attributes:
        store: the lake's objects.
        ledger: leaves the receipt, made ready before the first step.
        now: the wall clock.
        replay: plans the replay of what a version decided, under a release; gives what came of it.
    """

    store: Store
    ledger: Ledger
    now: Callable[[], datetime]
    replay: Callable[[Plan], Mapping[str, Any]]

    def apply(self, journal: Journal) -> dict[str, Any]:
        """Do every step that isn't done; gives what came of each.

        Raises:
            LakeError: another release came into force meanwhile; the change is at its end, and nothing of it is in force.
            StorageError: registry or storage refuse; the same command goes on where it stopped.
        """
        plan = journal.plan()
        for step in plan.steps:
            if step not in journal.state()["done"]:
                journal.done(step, self._step(step, plan, journal), self.now())
        journal.end(papers.DONE, self.now())
        return dict(journal.state()["done"])

    def _step(self, step: str, plan: Plan, journal: Journal) -> Mapping[str, Any]:
        if step == RELEASE:
            return self._put_in_force(plan, journal)
        if step == CONFIRM:
            return confirmed(self.store, plan)
        if step == REPLAY:
            return self.replay(plan)
        if step == RECEIPT:
            return self._receipt(plan, journal)
        return self._register(plan)

    def _register(self, plan: Plan) -> Mapping[str, Any]:
        asked = plan.request
        to = None if plan.version_after == SCORECARD else plan.version_after
        by = plan.id if asked.kind == ROLLBACK else None
        if to is not None or plan.demoted is not None:
            stages.move(
                registry.store_uri(self.store), stages.Move(plan.model, asked.alias, to, plan.demoted, asked.demote_to, rolled_back=by)
            )
        return {"alias": asked.alias, "version": to, "demoted": plan.demoted}

    def _put_in_force(self, plan: Plan, journal: Journal) -> Mapping[str, Any]:
        marker = restoring.read(self.store)
        if marker is None or marker.change != plan.id:
            present = releases.current_id(self.store)
            if present != plan.release_before:
                journal.end(papers.STALE, self.now())
                raise LakeError(
                    f"Release {present} came into force after {plan.id} was planned for {plan.release_before}.",
                    state="aliases in the registry may have moved; nothing was put in force",
                    next="the same command again (a new plan)",
                )
            building.stored(self.store, plan)
            for data in restoring.edits(self.store, releases.load(self.store, plan.release_before)).values():
                releases.put_blob(self.store, data)
            restoring.begin(self.store, plan.id, releases.save(self.store, manifest_of(plan)))
        made = release.create(self.store, self.now()).id
        ours = releases.load(self.store, made).parts == manifest_of(plan).parts  # else something came after it; confirming says so
        return {"release": made if ours else plan.release_after, "release_before": plan.release_before}

    def _receipt(self, plan: Plan, journal: Journal) -> Mapping[str, Any]:
        state = journal.state()
        done: Mapping[str, Any] = state["done"]
        approvals: Sequence[Mapping[str, str]] = state.get("approvals", [])
        in_force = [] if plan.release_after is None else [str(done[RELEASE]["release"])]
        outcome = {
            "change": plan.id,
            "model": plan.model,
            "alias": plan.request.alias,
            "version_before": plan.version_before if plan.release_after else plan.demoted,
            "version_after": plan.version_after,
            "release_before": plan.release_before,
            "release": in_force[0] if in_force else plan.release_before,
            "parts_of": plan.source,
            "changed": [row["part"] for row in plan.parts if row["changes"]],
            "in_force_at": done[RELEASE]["time"] if in_force else None,
            "confirmed": done[CONFIRM]["confirmed"],
            "found": done[CONFIRM]["found"],
            "replay": done.get(REPLAY),
            "replaced_edits": dict(plan.edits),
        }
        receipt = self.ledger.record(
            Act(
                f"model.{plan.request.kind}",
                id=plan.id,
                reason=plan.request.reason.strip(),
                incident=plan.request.incident,
                plan=plan.to_dict(),
                predicted={"release": plan.release_after, "version": plan.version_after},
                outcome=outcome,
                hash_totals={"model": plan.sha256} if plan.sha256 else {},
                releases=in_force,
                approvals=approvals,
            )
        )
        return {"number": receipt.number, "hash": receipt.hash}


def manifest_of(plan: Plan) -> releases.Manifest:
    """The release that a plan puts in force. Raises LakeError where the plan's own id for it is another."""
    said = dict(plan.manifest or {})
    model = said.pop("model")
    said["settings"] = FlowSettings(**said["settings"]).model_dump()
    manifest = releases.Manifest(model=releases.ModelRef(**model) if model else None, **said)
    if manifest.id != plan.release_after:
        raise LakeError(
            f"{plan.id} was planned for settings that this version of the product doesn't know.",
            state="nothing was put in force",
            next="the same command with the version of Lakewarden that made the plan",
        )
    return manifest


def confirmed(store: Store, plan: Plan) -> dict[str, Any]:
    """Whether lake and registry are as planned; `found` says what is not, in sentences."""
    found = []
    if plan.release_after is not None:
        present = releases.current_id(store)
        if present is None or releases.load(store, present).parts != manifest_of(plan).parts:
            found.append(f"release {present} is in force, and not {plan.release_after}: something came after the change")
        elif edited := sorted(restoring.edits(store, releases.load(store, present))):
            found.append(f"conf/ was edited since: {', '.join(edited)}")
    known = {one.version: one for one in stages.versions(registry.store_uri(store), plan.model)}
    holder = next((one.version for one in known.values() if plan.request.alias in one.aliases), SCORECARD)
    if holder != plan.version_after:
        found.append(f"the alias {plan.request.alias} is with {holder}, and not with {plan.version_after}")
    elif holder != SCORECARD and known[holder].stage != plan.request.alias:
        found.append(f"version {holder} is tagged {known[holder].stage}, and not {plan.request.alias}")
    return {"confirmed": not found, "found": found}
