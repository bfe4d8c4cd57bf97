"""RFC 3339 instants, read exactly and fast: one reader for every path that an event can take.

Source: RFC 3339 section 5.6. Not allowed here: a space for the `T` (ISO 8601 in general), a leap second (`:60`), which
no clock of ours can hold. A fraction may have any number of digits; what is below a microsecond is cut off.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lakewarden.compiled import compiled

UNREADABLE: Final = -(2**63)
"""What :func:`instant` gives for text that is no RFC 3339 instant."""

_MICROS_A_DAY: Final = 86_400_000_000


@compiled
def _digits(data: NDArray[Any], at: int, count: int) -> int:
    """The number that `count` ASCII digits from `at` spell; negative when one of them is no digit."""
    total = 0
    for i in range(at, at + count):
        digit = data[i] - np.int64(48)
        if digit < 0 or digit > 9:
            return -1
        total = total * 10 + digit
    return total


@compiled
def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 in the proleptic Gregorian calendar (H. Hinnant's civil-day algorithm), years from 0."""
    shifted = year - 1 if month <= 2 else year
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


@compiled
def _date(data: NDArray[Any], at: int) -> int:
    """Days since 1970 of `YYYY-MM-DD` at `at`; UNREADABLE when it is no date."""
    year, month, day = _digits(data, at, 4), _digits(data, at + 5, 2), _digits(data, at + 8, 2)
    if year < 0 or month < 1 or month > 12 or day < 1 or data[at + 4] != 45 or data[at + 7] != 45:
        return UNREADABLE
    leap = (year % 4 == 0 and year % 100 != 0) or year % 400 == 0
    short = 30 if month in (4, 6, 9, 11) else 31
    if day > ((29 if leap else 28) if month == 2 else short):
        return UNREADABLE
    return _days(year, month, day)


@compiled
def _offset(data: NDArray[Any], at: int, end: int) -> int:
    """Minutes east of UTC that `data[at:end]` names (`Z` or `+HH:MM`); UNREADABLE when it names none."""
    if at >= end:
        return UNREADABLE
    sign = data[at]
    if sign in (90, 122) and end - at == 1:
        return 0
    if sign not in (43, 45) or end - at != 6 or data[at + 3] != 58:
        return UNREADABLE
    hours, minutes = _digits(data, at + 1, 2), _digits(data, at + 4, 2)
    if hours < 0 or hours > 23 or minutes < 0 or minutes > 59:
        return UNREADABLE
    total = hours * 60 + minutes
    return -total if sign == 45 else total


@compiled
def instant(data: NDArray[Any], start: int, end: int) -> int:
    """Microseconds since 1970 (UTC) of the RFC 3339 text `data[start:end]`, or :data:`UNREADABLE`."""
    if end - start < 20 or (data[start + 10] != 84 and data[start + 10] != 116):
        return UNREADABLE
    day = _date(data, start)
    hour, minute, second = _digits(data, start + 11, 2), _digits(data, start + 14, 2), _digits(data, start + 17, 2)
    if day == UNREADABLE or hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return UNREADABLE
    if data[start + 13] != 58 or data[start + 16] != 58:
        return UNREADABLE
    at, micros = start + 19, 0
    if data[at] == 46:
        at += 1
        unit, first = 100_000, at
        while at < end and 48 <= data[at] <= 57:
            micros += (data[at] - np.int64(48)) * unit
            unit //= 10
            at += 1
        if at == first:
            return UNREADABLE
    offset = _offset(data, at, end)
    if offset == UNREADABLE:
        return UNREADABLE
    return day * _MICROS_A_DAY + (hour * 3600 + minute * 60 + second - offset * 60) * 1_000_000 + micros


@compiled
def _instants(data: NDArray[Any], offsets: NDArray[np.int64], out: NDArray[np.int64]) -> None:
    for i in range(len(out)):
        out[i] = instant(data, offsets[i], offsets[i + 1])


def read_instants(texts: pl.Series) -> pl.Series:
    """UTC instants of RFC 3339 texts, same height and order; null where a text is null or unreadable.

    Args:
        texts: a String series.

    Returns:
        a `Datetime("us", "UTC")` series of the same name.
    """
    plain = texts.fill_null("").rechunk().to_arrow()
    offsets = np.frombuffer(plain.buffers()[1], dtype=np.int64)[plain.offset : plain.offset + len(plain) + 1]
    held = plain.buffers()[2]
    data = np.frombuffer(held, dtype=np.uint8) if held is not None else np.zeros(0, dtype=np.uint8)
    micros = np.empty(len(plain), dtype=np.int64)
    _instants(data, offsets, micros)
    series = pl.Series(texts.name, micros)
    return series.set(series == UNREADABLE, None).cast(pl.Datetime("us", "UTC")) if len(micros) else series.cast(pl.Datetime("us", "UTC"))
