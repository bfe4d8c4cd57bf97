"""Show a backfill, and clean up behind it: its sandbox goes, its plan and its reports stay."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from lakewarden.errors import LakeBusyError, LakeError
from lakewarden.lake.lease import Lease
from lakewarden.operations import papers
from lakewarden.operations.backfill.sandbox import BackfillSandbox
from lakewarden.operations.replay import approval
from lakewarden.operations.status import Report

if TYPE_CHECKING:
    from lakewarden.operations.backfill.journal import Journal


def show(journal: Journal) -> Report:
    """One backfill: its state, verdict and gates, what it is documented to be (runbook section 5.2 step 5), its approvals, its plan."""
    plan, state, report = journal.plan(), journal.state(), journal.report()
    content = {name: value for name, value in plan.to_dict().items() if name != "ok"}
    told = {} if report is None else {name: report[name] for name in ("verdict", "gates", "document", "hash_totals", "page")}
    approvals = {} if report is None else {"approvals": approval.given(journal, plan, report)}
    return Report({"id": plan.id, "state": state["state"], "next": journal.next(), **told, **approvals, "progress": state, "plan": content})


def clean(journal: Journal, now: datetime) -> Report:
    """Remove the sandbox of a backfill; doing it again removes nothing more. What was swapped in stays, and can be undone as before.

    Raises:
        LakeBusyError: the backfill runs at this moment.
        LakeError: its swap waits to be carried out.
    """
    state = journal.state()["state"]
    if state == papers.ORDERED:
        raise LakeError(f"The swap of {journal.id} waits to be carried out.", state="nothing was removed", next=journal.next())
    kept = state if state == papers.SWAPPED else papers.CLEANED
    try:
        with Lease(journal.store, f"clean {journal.id}", now.isoformat(timespec="seconds")):
            journal.move(kept, now, sandbox="removed")  # first: half a sandbox must never look like a whole one
            files, size = BackfillSandbox(journal.store).remove()
    except LakeBusyError as error:
        raise LakeBusyError(
            f"Another process runs {journal.id} now.", state="nothing was removed", next=f"lakewarden backfill show {journal.id}"
        ) from error
    return Report({"id": journal.id, "state": kept, "files_removed": files, "bytes": size, "kept": journal.store.root})
