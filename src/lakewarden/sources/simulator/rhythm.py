"""When people pay: hours of the day and days of the week."""

from __future__ import annotations

from datetime import date
from typing import Final

import numpy as np

from lakewarden.sources.simulator.draws import Draws, Ints

DAY: Final = 86_400_000
"""Milliseconds in a day; all times of the simulator are milliseconds since 1970-01-01 UTC."""
HOUR: Final = 3_600_000
MINUTE: Final = 60_000

_EPOCH: Final = date(1970, 1, 1).toordinal()
_WEEK: Final = (980, 970, 1000, 1040, 1180, 1080, 750)
"""Events a day from Monday to Sunday, per mille of the mean; they sum to 7000."""

_WORKDAY: Final = (6, 4, 3, 3, 4, 10, 26, 48, 58, 56, 58, 66, 84, 78, 62, 60, 66, 80, 88, 76, 56, 40, 24, 12)
_WEEKEND: Final = (14, 10, 7, 4, 3, 5, 10, 22, 42, 64, 78, 84, 86, 82, 78, 76, 74, 72, 70, 64, 54, 44, 34, 22)
_STEPS: Final = 4096


def midnight(day: date) -> int:
    """The start of a UTC day, milliseconds since 1970-01-01."""
    return (day.toordinal() - _EPOCH) * DAY


def day_of(millisecond: int) -> date:
    """The UTC day that a time lies in."""
    return date.fromordinal(_EPOCH + millisecond // DAY)


def volume(day: date, mean: int) -> int:
    """How many ordinary events a day has, around `mean` by its day of the week."""
    return max(1, (mean * _WEEK[day.weekday()] + 500) // 1000)


def _quantiles(weights: tuple[int, ...]) -> Ints:
    """The day's profile as `_STEPS` + 1 times of day between which equally many events lie."""
    edges = [0]
    for weight in weights:
        edges.append(edges[-1] + weight)
    times: list[int] = []
    hour = 0
    for step in range(_STEPS + 1):
        target = step * edges[-1]
        while hour < 23 and edges[hour + 1] * _STEPS <= target:
            hour += 1
        times.append(hour * HOUR + (target - edges[hour] * _STEPS) * HOUR // (weights[hour] * _STEPS))
    return np.array(times, dtype=np.int64)


_PROFILES: Final = {False: _quantiles(_WORKDAY), True: _quantiles(_WEEKEND)}


def times(draws: Draws, day: date, hours_ahead: Ints) -> Ints:
    """A time within the UTC day for each row, by the local rhythm of places `hours_ahead` of UTC."""
    profile = _PROFILES[day.weekday() >= 5]
    bits = draws.bits(len(hours_ahead))
    step = (bits >> np.uint64(52)).astype(np.int64)
    within = ((bits >> np.uint64(20)) & np.uint64(0xFFFFFFFF)).astype(np.int64)
    low, high = profile[step], profile[step + 1]
    local = low + (((high - low) * within) >> 32)
    return midnight(day) + (local - hours_ahead * HOUR) % DAY
