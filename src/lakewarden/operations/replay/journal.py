"""What is kept of a replay: its plan, its state and its reports, below `_replays/<id>/` (runbook section 4)."""

from __future__ import annotations

import io
from typing import Any, Final

import polars as pl

from lakewarden.lake.store import Store
from lakewarden.operations import papers
from lakewarden.operations.papers import (
    CLEANED,
    ORDERED,
    PAGE,
    PLANNED,
    REPORT,
    RUN,
    RUNNING,
    STOPPED,
    SWAPPED,
    UNDONE,
    VALIDATED,
    Kind,
    Papers,
)
from lakewarden.operations.replay.plan import Plan

__all__ = ["CLEANED", "ORDERED", "PAGE", "PLANNED", "REPORT", "RUN", "RUNNING", "STOPPED", "SWAPPED", "UNDONE", "VALIDATED"]

FOLDER: Final = "_replays"
DIFFERENCES: Final = "differences.parquet"
EVENTS: Final = "events.parquet"

NEXT: Final = {
    PLANNED: "lakewarden replay run {id}",
    RUNNING: "lakewarden replay run {id} (carries on)",
    RUN: "lakewarden replay validate {id}",
    VALIDATED: "lakewarden replay swap {id}",
    ORDERED: "lakewarden replay swap {id} (finishes what was begun)",
    SWAPPED: "lakewarden replay can-undo {id}; lakewarden replay clean {id} (when it isn't needed any more)",
    UNDONE: "lakewarden replay clean {id}, or lakewarden replay validate {id} and swap again",
    STOPPED: "lakewarden replay clean {id} (when the report was read)",
    CLEANED: "lakewarden replay plan (a new one)",
}
"""The next command, by state."""


class Journal(Papers[Plan]):
    """The papers of one replay."""

    kind = Kind("replay", FOLDER, Plan.from_dict, NEXT)

    def keep_events(self, seqs: pl.Series) -> None:
        """Keep which events were replayed, where it is not all of the dates."""
        out = io.BytesIO()
        pl.DataFrame({"seq": seqs}).write_parquet(out)
        self.keep(EVENTS, out.getvalue())

    def events(self) -> pl.Series | None:
        """Which events were replayed, by their places in the order of arrival; None: all of the dates."""
        data = self.store.get(EVENTS) if self.plan().accounts else None
        return None if data is None else pl.read_parquet(io.BytesIO(data))["seq"]


def listed(lake: Store) -> list[dict[str, Any]]:
    """Every replay of a lake, newest first: id, state, when and by whom it was planned, dates, release, reason."""
    return papers.listed(lake, Journal, _told)


def _told(journal: Journal) -> dict[str, Any]:
    plan = journal.plan()
    told = {"from": str(plan.dates[0]), "to": str(plan.dates[1]), "release": plan.release or "as recorded"}
    return {**told, "reason": plan.reason, "incident": plan.incident}
