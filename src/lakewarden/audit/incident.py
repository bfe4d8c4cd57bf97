"""What an incident is: the runbook's codes, its impact, its record (runbook section 3)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from lakewarden.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

CODES: Final[Mapping[str, str]] = {
    "INC-S01": "streaming job failure or lag",
    "INC-B01": "batch reconciliation failure",
    "INC-DQ01": "massive data-quality failures",
    "INC-ML01": "model degradation or drift",
    "INC-DATA01": "corrupted partition or bad backfill",
}
"""The runbook's codes and what each is about."""

SEVERITIES: Final = ("critical", "high", "medium", "low")

USUAL_SEVERITY: Final[Mapping[str, str]] = {
    "INC-S01": "high",
    "INC-B01": "medium",
    "INC-DQ01": "high",
    "INC-ML01": "medium",
    "INC-DATA01": "critical",
}
"""What an incident's severity is where nobody says otherwise."""

OPEN: Final = "open"
CLOSED: Final = "closed"
_ID: Final = re.compile(r"(INC-[A-Z]+\d+)-0*(\d{1,10})", flags=re.ASCII)


@dataclass(frozen=True)
class Impact:
    """What was hit: since when, until when, which tables, which dates (`event_date`, both ends included); None where nobody knows."""

    since: datetime | None = None
    until: datetime | None = None
    tables: Sequence[str] = ()
    first_date: date | None = None
    last_date: date | None = None


@dataclass(frozen=True)
class Note:
    """What somebody noted on an incident."""

    time: str
    author: str
    text: str


@dataclass(frozen=True)
class Incident:
    """One incident. Times are ISO 8601 in UTC; `follows` is the closed incident of the same trouble before it."""

    id: str
    code: str
    state: str
    severity: str
    title: str
    owner: str | None
    opened_time: str
    opened_by: str
    seen_time: str
    seen_count: int
    impact_from: str | None
    impact_to: str | None
    tables: tuple[str, ...]
    first_date: str | None
    last_date: str | None
    detail: Mapping[str, Any]
    run_id: str | None
    cause: str | None
    remediation: str | None
    closed_time: str | None
    closed_by: str | None
    follows: str | None
    notes: tuple[Note, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "tables": list(self.tables), "notes": [asdict(note) for note in self.notes]}


def named(code: str, number: int) -> str:
    """The id of an incident."""
    return f"{code}-{number:06d}"


def number_of(incident_id: str) -> int | None:
    """The number in an incident's id; None where it is no id."""
    found = _ID.fullmatch(incident_id.strip())
    return int(found[2]) if found else None


def from_row(row: RowMapping, follows: str | None = None, notes: Sequence[Note] = ()) -> Incident:
    """An incident as the database holds it."""
    return Incident(
        id=named(row["code"], row["number"]),
        code=row["code"],
        state=row["state"],
        severity=row["severity"],
        title=row["title"],
        owner=row["owner"],
        opened_time=iso(row["opened_time"]),
        opened_by=row["opened_by"],
        seen_time=iso(row["seen_time"]),
        seen_count=row["seen_count"],
        impact_from=row["impact_from"] and iso(row["impact_from"]),
        impact_to=row["impact_to"] and iso(row["impact_to"]),
        tables=tuple(json.loads(row["impact_tables"])),
        first_date=row["first_date"] and row["first_date"].isoformat(),
        last_date=row["last_date"] and row["last_date"].isoformat(),
        detail=json.loads(row["detail"]),
        run_id=row["run_id"],
        cause=row["cause"],
        remediation=row["remediation"],
        closed_time=row["closed_time"] and iso(row["closed_time"]),
        closed_by=row["closed_by"],
        follows=follows,
        notes=tuple(notes),
    )


def impact_columns(impact: Impact) -> dict[str, Any]:
    """The columns that an impact says something of; what it leaves out stays as it is.

    Raises:
        UsageError: it ends before it begins.
    """
    for begin, end in ((impact.since, impact.until), (impact.first_date, impact.last_date)):
        if begin is not None and end is not None and end < begin:
            raise UsageError(f"The impact ends ({end}) before it begins ({begin}).", state="nothing was written", next="swap the two")
    values: dict[str, Any] = {
        "impact_from": impact.since and instant(impact.since),
        "impact_to": impact.until and instant(impact.until),
        "impact_tables": json.dumps(sorted(set(impact.tables))) if impact.tables else None,
        "first_date": impact.first_date,
        "last_date": impact.last_date,
    }
    return {name: value for name, value in values.items() if value is not None}


def instant(time: datetime) -> datetime:
    """A time as the database holds it: UTC, without a zone, in whole seconds."""
    return time.astimezone(UTC).replace(tzinfo=None, microsecond=0)


def iso(time: datetime) -> str:
    """A time of the database as ISO 8601."""
    return time.replace(tzinfo=UTC).isoformat(timespec="seconds")
