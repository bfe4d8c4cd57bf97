"""The wall clock, and dates as users write them."""

from __future__ import annotations

from datetime import UTC, date, datetime


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def as_date(day: date | str) -> date:
    """A date, or its ISO 8601 text. Raises UsageError."""
    from lakewarden.errors import UsageError

    if isinstance(day, date):
        return day
    try:
        return date.fromisoformat(day)
    except ValueError as error:
        raise UsageError(f"{day!r} is no date.", state="nothing was done", next="write it as YYYY-MM-DD") from error
