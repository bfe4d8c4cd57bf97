"""Days and weeks have their rhythm."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from lakewarden.sources.simulator.draws import Draws
from lakewarden.sources.simulator.rhythm import DAY, HOUR, day_of, midnight, times, volume


def test_midnight_and_back() -> None:
    assert midnight(date(1970, 1, 2)) == DAY
    assert day_of(midnight(date(2026, 1, 5)) + DAY - 1) == date(2026, 1, 5)


def test_a_week_has_seven_mean_days_most_on_friday_least_on_sunday() -> None:
    week = [volume(date(2026, 1, 5) + timedelta(days=at), 1000) for at in range(7)]
    assert sum(week) == 7000
    assert max(week) == week[4]
    assert min(week) == week[6]


@pytest.mark.parametrize("day", [date(2026, 1, 5), date(2026, 1, 11)])
def test_times_lie_within_the_day_and_nights_are_quiet(day: date) -> None:
    drawn = times(Draws(1), day, np.zeros(20_000, dtype=np.int64)) - midnight(day)
    assert drawn.min() >= 0
    assert drawn.max() < DAY
    hours = np.bincount(drawn // HOUR, minlength=24)
    assert hours[1:4].sum() * 10 < hours[11:14].sum()


def test_far_places_live_by_their_own_clock() -> None:
    day = date(2026, 1, 5)
    near = times(Draws(1), day, np.zeros(1000, dtype=np.int64)) - midnight(day)
    tokyo = times(Draws(1), day, np.full(1000, 9, dtype=np.int64)) - midnight(day)
    assert ((tokyo + 9 * HOUR) % DAY == near).all()
