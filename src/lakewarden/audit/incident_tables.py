"""The tables of incidents and their notes, on SQLite and on PostgreSQL."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Date, DateTime, ForeignKey, Index, Integer, String, Table, Text, column

from lakewarden.audit.database import METADATA

SUBJECT_LENGTH: Final = 512

INCIDENTS: Final = Table(
    "incidents",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("code", String(16), nullable=False),
    Column("subject", String(SUBJECT_LENGTH), nullable=False),
    Column("state", String(16), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("title", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("owner", String(128)),
    Column("run_id", String(64)),
    Column("opened_time", DateTime, nullable=False),
    Column("opened_by", String(256), nullable=False),
    Column("seen_time", DateTime, nullable=False),
    Column("seen_count", Integer, nullable=False),
    Column("impact_from", DateTime),
    Column("impact_to", DateTime),
    Column("impact_tables", Text, nullable=False),
    Column("first_date", Date),
    Column("last_date", Date),
    Column("cause", Text),
    Column("remediation", Text),
    Column("closed_time", DateTime),
    Column("closed_by", String(256)),
    Column("follows", Integer, ForeignKey("incidents.number")),
)
"""One row an incident; times are UTC without a zone, `detail` and `impact_tables` JSON."""

Index(
    "one_open_incident_a_subject",
    INCIDENTS.c.subject,
    unique=True,
    sqlite_where=column("state") == "open",
    postgresql_where=column("state") == "open",
)

NOTES: Final = Table(
    "incident_notes",
    METADATA,
    Column("number", Integer, primary_key=True),
    Column("incident", Integer, ForeignKey("incidents.number"), nullable=False, index=True),
    Column("time", DateTime, nullable=False),
    Column("author", String(256), nullable=False),
    Column("text", Text, nullable=False),
)
"""What was noted on incidents, in the order of `number`."""
