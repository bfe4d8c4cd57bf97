"""The conservation statement of a date, drawn up at the published point and stored as evidence."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from lakewarden.audit.conservation import Statement, state
from lakewarden.errors import LakeError
from lakewarden.lake import releases
from lakewarden.lake.release_loader import materialise

if TYPE_CHECKING:
    from lakewarden.lake.lakehouse import Lakehouse


def conserve(lake: Lakehouse, day: date, now: datetime, monotonic: Callable[[], float]) -> Statement:
    """Draw up the statement of one date and keep it below `_evidence/conservation/`.

    Raises:
        LakeError: the date has no events, or there is no release in force.
    """
    started = monotonic()
    release_id = releases.current_id(lake.store)
    if release_id is None:
        raise LakeError("The lake has no release.", next=f"lakewarden init --lake {lake.store.root}")
    statement = state(lake.snapshot(), day, materialise(lake.store, release_id), 0.0)
    if statement.counts["bronze"] == 0 and sum(statement.counts.values()) == 0:
        raise LakeError(f"There are no events of {day}.", state="nothing was stated", next="lakewarden status (shows the dates there are)")
    statement = replace(statement, seconds=monotonic() - started)
    evidence = {**statement.to_dict(), "stated": now.isoformat(), "lake": lake.store.root}
    lake.store.put(f"_evidence/conservation/{day}-{statement.point}.json", json.dumps(evidence, indent=2).encode())
    return statement
