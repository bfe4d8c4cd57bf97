"""Show a replay, and clean up behind it: its sandbox goes, its plan and its reports stay (runbook section 4.2 step 7)."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from lakewarden.errors import LakeBusyError
from lakewarden.lake.lease import Lease
from lakewarden.operations.replay import journal as papers
from lakewarden.operations.replay.sandbox import Sandbox
from lakewarden.operations.status import Report

if TYPE_CHECKING:
    from lakewarden.operations.replay.journal import Journal

NEXT: Final = {
    papers.PLANNED: "lakewarden replay run {id}",
    papers.RUNNING: "lakewarden replay run {id}      # carries on",
    papers.RUN: "lakewarden replay validate {id}",
    papers.VALIDATED: "lakewarden replay clean {id}   # when the report was read",
    papers.STOPPED: "lakewarden replay clean {id}   # when the report was read",
    papers.CLEANED: "",
}
"""The next command, by state."""


def show(journal: Journal) -> Report:
    """One replay: its plan, its state, and verdict and gates of its newest validation."""
    plan, state, report = journal.plan(), journal.state(), journal.report()
    content = {name: value for name, value in plan.to_dict().items() if name != "ok"}
    told = {} if report is None else {name: report[name] for name in ("verdict", "gates", "classes", "page")}
    step = NEXT.get(state["state"], "").format(id=plan.id) if plan.ok else "lakewarden replay plan"
    return Report({"id": plan.id, "state": state["state"], "next": step, **told, "progress": state, "plan": content})


def clean(journal: Journal, now: datetime) -> Report:
    """Remove the sandbox of a replay; doing it again removes nothing more.

    Raises:
        LakeBusyError: the replay runs at this moment.
    """
    try:
        with Lease(journal.store, f"clean {journal.id}", now.isoformat(timespec="seconds")):
            files, size = Sandbox(journal.store).remove()
            journal.move(papers.CLEANED, now)
    except LakeBusyError as error:
        raise LakeBusyError(
            f"Another process runs {journal.id} now.", state="nothing was removed", next=f"lakewarden replay show {journal.id}"
        ) from error
    return Report({"id": journal.id, "state": papers.CLEANED, "files_removed": files, "bytes": size, "kept": journal.store.root})
