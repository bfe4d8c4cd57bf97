"""Gaps of a source (runbook INC-S01): each opens an incident, once, before an event behind it is in bronze."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from lakewarden.audit.incident import Impact
from lakewarden.tables import ALERTS, BRONZE, GOLD, SILVER

if TYPE_CHECKING:
    from lakewarden.audit.incident import Incident
    from lakewarden.audit.incidents import Incidents
    from lakewarden.sources.port import Gap

CODE: Final = "INC-S01"
MISSED: Final = (BRONZE.name, SILVER.name, GOLD.name, ALERTS.name)
"""The tables that lack the rows of lost events."""


class GapReporter:
    """Called with each gap that a source found.

    Args:
        incidents: opens the incidents' store; called when there is a gap, not before.
        run_id: goes into the incident.
        now: the wall clock.
    """

    def __init__(self, incidents: Callable[[], Incidents], run_id: str, now: Callable[[], datetime]) -> None:
        self._incidents = incidents
        self._run_id = run_id
        self._now = now
        self.opened: list[Incident] = []

    def __call__(self, gap: Gap) -> None:
        """Open the gap's incident, or note that it was seen again.

        Raises:
            StorageError: it can't be recorded; then nothing behind the gap may be taken.
        """
        detail = {
            "source": gap.source,
            "partition": gap.partition,
            "first_offset": gap.first,
            "last_offset": gap.last,
            "events_lost": gap.lost,
            "kind": gap.kind,
        }
        subject = f"gap {gap.kind} {gap.source} {gap.partition} {gap.first}"
        hit = Impact(tables=MISSED)
        self.opened.append(self._incidents().open_once(CODE, subject, gap.detail, detail, self._run_id, self._now(), impact=hit))
