"""Show a replay, and clean up behind it: its sandbox goes, its plan and its reports stay (runbook section 4.2 step 7)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from lakewarden.errors import LakeBusyError, LakeError
from lakewarden.lake.lease import Lease
from lakewarden.operations.replay import journal as papers
from lakewarden.operations.replay.sandbox import Sandbox
from lakewarden.operations.status import Report

if TYPE_CHECKING:
    from lakewarden.operations.replay.journal import Journal


def show(journal: Journal) -> Report:
    """One replay: its plan, its state, and verdict and gates of its newest validation."""
    plan, state, report = journal.plan(), journal.state(), journal.report()
    content = {name: value for name, value in plan.to_dict().items() if name != "ok"}
    told = {} if report is None else {name: report[name] for name in ("verdict", "gates", "classes", "page")}
    return Report({"id": plan.id, "state": state["state"], "next": journal.next(), **told, "progress": state, "plan": content})


def clean(journal: Journal, now: datetime, *, archive: bool = False) -> Report:
    """Remove the sandbox of a replay; doing it again removes nothing more. What was swapped in stays, and can be undone as before.

    Args:
        archive: keep its rows first, one compressed Parquet file a table, below `archive/` in the replay's folder.

    Raises:
        LakeBusyError: the replay runs at this moment.
        LakeError: its swap waits to be carried out.
    """
    state = journal.state()["state"]
    if state == papers.ORDERED:
        raise LakeError(f"The swap of {journal.id} waits to be carried out.", state="nothing was removed", next=journal.next())
    kept = state if state == papers.SWAPPED else papers.CLEANED
    try:
        with Lease(journal.store, f"clean {journal.id}", now.isoformat(timespec="seconds")):
            sandbox = Sandbox(journal.store)
            rows = sandbox.archive() if archive else 0
            journal.move(kept, now, sandbox="removed")  # first: half a sandbox must never look like a whole one
            files, size = sandbox.remove()
    except LakeBusyError as error:
        raise LakeBusyError(
            f"Another process runs {journal.id} now.", state="nothing was removed", next=f"lakewarden replay show {journal.id}"
        ) from error
    told = {"archived_rows": rows} if archive else {}
    return Report({"id": journal.id, "state": kept, "files_removed": files, "bytes": size, **told, "kept": journal.store.root})
