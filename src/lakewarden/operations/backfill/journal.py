"""What is kept of a backfill: its plan, its state and its reports, below `_backfills/<id>/` (runbook section 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lakewarden.operations import papers
from lakewarden.operations.backfill.plan import Plan
from lakewarden.operations.papers import Kind, Papers

if TYPE_CHECKING:
    from lakewarden.lake.store import Store

FOLDER: Final = "_backfills"

NEXT: Final = {
    papers.PLANNED: "lakewarden backfill run {id}",
    papers.RUNNING: "lakewarden backfill run {id} (carries on)",
    papers.RUN: "lakewarden backfill validate {id}",
    papers.VALIDATED: "lakewarden backfill swap {id}",
    papers.STOPPED: "lakewarden backfill clean {id} (when the report was read)",
    papers.ORDERED: "lakewarden backfill swap {id} (finishes what was begun)",
    papers.SWAPPED: "lakewarden backfill can-undo {id}; lakewarden backfill clean {id} (when it isn't needed any more)",
    papers.UNDONE: "lakewarden backfill clean {id}",
    papers.CLEANED: "lakewarden backfill plan (a new one)",
}
"""The next command, by state."""

AT_WORK: Final = frozenset({papers.RUNNING, papers.RUN, papers.VALIDATED, papers.ORDERED})
"""States in which a backfill is on its way into the lake."""


class Journal(Papers[Plan]):
    """The papers of one backfill."""

    kind = Kind("backfill", FOLDER, Plan.from_dict, NEXT)


def listed(lake: Store) -> list[dict[str, Any]]:
    """Every backfill of a lake, newest first: id, state, when and by whom it was planned, source, dates, release, reason."""
    return papers.listed(lake, Journal, _told)


def _told(journal: Journal) -> dict[str, Any]:
    plan, state = journal.plan(), journal.state()
    span = plan.scope.span
    told = {"source": plan.scope.source, "from": str(span.first or ""), "to": str(span.last), "release": plan.release}
    return {**told, "rows": state.get("staged"), "reason": plan.reason, "incident": plan.incident}
