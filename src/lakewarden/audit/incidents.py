"""Incidents (runbook section 3): opened once for the same trouble, noted on, closed with a cause; safe for many at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from lakewarden.audit.database import records_error
from lakewarden.audit.incident import (
    CLOSED,
    CODES,
    OPEN,
    SEVERITIES,
    USUAL_SEVERITY,
    Impact,
    Incident,
    Note,
    from_row,
    impact_columns,
    instant,
    iso,
    named,
    number_of,
)
from lakewarden.audit.incident_tables import INCIDENTS, NOTES, SUBJECT_LENGTH
from lakewarden.errors import LakeError, StorageError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, RowMapping

ITSELF: Final = "lakewarden"
"""Who opened an incident that the product itself saw."""

ATTEMPTS: Final = 20


class Incidents:
    """The incidents of one lake.

    Args:
        engine: a database from `audit.database.connect`.
        owner_of: which role owns an incident of a code when nobody is named.

    Raises (all methods): StorageError when the database refuses.
    """

    def __init__(self, engine: Engine, owner_of: Callable[[str], str | None] = lambda _: None) -> None:
        self._engine = engine
        self._owner_of = owner_of

    def open_once(
        self,
        code: str,
        subject: str,
        title: str,
        detail: Mapping[str, Any],
        run_id: str | None,
        now: datetime,
        *,
        severity: str | None = None,
        owner: str | None = None,
        impact: Impact | None = None,
        author: str = ITSELF,
    ) -> Incident:
        """Open an incident, or note on the open one of the subject that it was seen again.

        Where the subject's last incident is closed, a new one is opened that refers to it.

        Args:
            code: one of `CODES`.
            subject: what it is about, the same text for the same trouble; cut at 512 characters.
            title: one sentence.
            detail: facts; those of the newest sighting are kept.
            run_id: the run that saw it.
            now: UTC.
            severity: one of `SEVERITIES`; None: the usual one of the code.
            owner: a role; None: the usual one of the code.
            impact: what was hit; of a later sighting, what it says is taken over.
            author: who opened it.

        Raises:
            UsageError: the code or the severity is none of those, or the impact ends before it begins.
        """
        _check(code, severity)
        subject, hit = subject[:SUBJECT_LENGTH], impact_columns(impact or Impact())
        sighting = {"seen_time": instant(now), "title": title, "detail": json.dumps(dict(detail), sort_keys=True, default=str), **hit}
        first = {
            "code": code,
            "subject": subject,
            "state": OPEN,
            "severity": severity or USUAL_SEVERITY[code],
            "owner": owner or self._owner_of(code),
            "run_id": run_id,
            "opened_time": instant(now),
            "opened_by": author,
            "seen_count": 1,
            "impact_tables": "[]",
            **sighting,
        }
        for _ in range(ATTEMPTS):
            try:
                with self._writing() as connection:
                    return _opened(connection, subject, sighting, first)
            except IntegrityError:  # another process opened it between our look and our insert
                continue
        raise StorageError(f"{title!r} can't be recorded as an incident: others keep opening and closing it.", next="run it again")

    def note(
        self,
        incident_id: str,
        words: str,
        author: str,
        now: datetime,
        *,
        severity: str | None = None,
        owner: str | None = None,
        impact: Impact | None = None,
    ) -> Incident:
        """Add a note; severity, owner and impact change where they are given. A closed incident takes notes too.

        Raises:
            LakeError: there is no such incident.
            UsageError: the note is empty, or the severity is none.
        """
        if not words.strip():
            raise UsageError("The note is empty.", state="nothing was written", next="lakewarden incident note ID TEXT")
        _check(None, severity)
        given = {"severity": severity, "owner": owner, **impact_columns(impact or Impact())}
        changed = {name: value for name, value in given.items() if value is not None}
        with self._writing() as connection:
            # The update takes SQLite's lock for writing before anything is read, so that two notes wait for each other.
            connection.execute(update(INCIDENTS).where(_is(incident_id)).values(**{"state": INCIDENTS.c.state, **changed}))
            row = _row(connection, incident_id)
            connection.execute(insert(NOTES).values(incident=row["number"], time=instant(now), author=author, text=words.strip()))
            return _whole(connection, row)

    def close(
        self, incident_id: str, cause: str, remediation: str, author: str, now: datetime, *, impact: Impact | None = None
    ) -> Incident:
        """Close an incident; closing it once more in the same words changes nothing.

        Raises:
            LakeError: there is no such incident, or it is closed already.
            UsageError: cause or remediation is missing.
        """
        for option, given in (("--cause", cause), ("--remediation", remediation)):
            if not given.strip():
                raise UsageError(
                    f"An incident is closed with its {option[2:]}, and that is missing.",
                    state=f"{incident_id} stays open",
                    next=f'lakewarden incident close {incident_id} --cause "..." --remediation "..."',
                )
        said = {"cause": cause.strip(), "remediation": remediation.strip()}
        values = {"state": CLOSED, "closed_time": instant(now), "closed_by": author, **said, **impact_columns(impact or Impact())}
        with self._writing() as connection:
            done = connection.execute(update(INCIDENTS).where(_is(incident_id), INCIDENTS.c.state == OPEN).values(**values))
            row = _row(connection, incident_id)
            if done.rowcount == 0 and said != {name: row[name] for name in said}:
                raise LakeError(
                    f"{incident_id} was closed already, by {row['closed_by']} at {iso(row['closed_time'])}.",
                    state="nothing was changed",
                    next=f"lakewarden incident note {incident_id} TEXT (a closed incident takes notes)",
                )
            return _whole(connection, row)

    def list(self, *, open_only: bool = False, code: str | None = None) -> list[Incident]:
        """Incidents, newest first, without their notes.

        Args:
            open_only: only those that are open.
            code: only those of this code.
        """
        wanted = select(INCIDENTS).order_by(INCIDENTS.c.number.desc())
        if open_only:
            wanted = wanted.where(INCIDENTS.c.state == OPEN)
        if code is not None:
            _check(code, None)
            wanted = wanted.where(INCIDENTS.c.code == code)
        with self._reading() as connection:
            rows = connection.execute(wanted).mappings().all()
            earlier = {row["number"]: row["code"] for row in connection.execute(select(INCIDENTS.c.number, INCIDENTS.c.code)).mappings()}
        return [from_row(row, row["follows"] and named(earlier[row["follows"]], row["follows"])) for row in rows]

    def get(self, incident_id: str) -> Incident:
        """One incident with its notes.

        Raises:
            LakeError: there is none of that id.
        """
        with self._reading() as connection:
            return _whole(connection, _row(connection, incident_id))

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            raise records_error("write", error) from error

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise records_error("read", error) from error


def _opened(connection: Connection, subject: str, sighting: Mapping[str, Any], first: Mapping[str, Any]) -> Incident:
    """The subject's open incident, seen once more, or a new one. The update comes first: it takes SQLite's lock for writing."""
    same = (INCIDENTS.c.subject == subject, INCIDENTS.c.state == OPEN)
    seen = connection.execute(update(INCIDENTS).where(*same).values(**sighting, seen_count=INCIDENTS.c.seen_count + 1))
    if seen.rowcount == 0:
        before = connection.execute(select(func.max(INCIDENTS.c.number)).where(INCIDENTS.c.subject == subject)).scalar()
        connection.execute(insert(INCIDENTS).values(**first, follows=before))
    return _whole(connection, connection.execute(select(INCIDENTS).where(*same)).mappings().one())


def _is(incident_id: str) -> Any:  # noqa: ANN401  # a condition of SQLAlchemy, whose type is private
    number = number_of(incident_id)
    return INCIDENTS.c.number == (-1 if number is None else number)


def _row(connection: Connection, incident_id: str) -> RowMapping:
    row = connection.execute(select(INCIDENTS).where(_is(incident_id))).mappings().one_or_none()
    if row is None or named(row["code"], row["number"]) != incident_id.strip():
        raise LakeError(f"There is no incident {incident_id}.", state="nothing was changed", next="lakewarden incident list")
    return row


def _whole(connection: Connection, row: RowMapping) -> Incident:
    follows = None
    if row["follows"] is not None:
        code = connection.execute(select(INCIDENTS.c.code).where(INCIDENTS.c.number == row["follows"])).scalar_one()
        follows = named(code, row["follows"])
    rows = connection.execute(select(NOTES).where(NOTES.c.incident == row["number"]).order_by(NOTES.c.number)).mappings()
    return from_row(row, follows, [Note(iso(note["time"]), note["author"], note["text"]) for note in rows])


def _check(code: str | None, severity: str | None) -> None:
    for what, given, known in (("code", code, tuple(CODES)), ("severity", severity, SEVERITIES)):
        if given is not None and given not in known:
            raise UsageError(f"{given!r} is no {what} of an incident.", state="nothing was written", next=f"use one of {', '.join(known)}")
