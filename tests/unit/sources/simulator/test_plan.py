"""Plans that make no sense are refused before anything is made."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from lakewarden.errors import UsageError
from lakewarden.sources.simulator import Plan


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"days": 0}, "days is 0"),
        ({"days": -3}, "days is -3"),
        ({"seed": -1}, "seed is -1"),
        ({"customers": 99}, "customers is 99"),
        ({"events_per_day": 0}, "events_per_day is 0"),
        ({"label_delay_days": -1}, "label_delay_days is -1"),
        ({"faults": "some"}, "faults is 'some'"),
        ({"start": date(1970, 1, 1)}, "start is 1970-01-01"),
        ({"start": date(2089, 12, 31), "days": 30}, "start is 2089-12-31"),
    ],
)
def test_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        Plan(**{"seed": 1, "days": 1, **wrong})
    assert caught.value.state == "Nothing was written."
    assert caught.value.next


def test_expected_lines_is_near_the_mark() -> None:
    plan = Plan(seed=1, days=7, events_per_day=1000)
    assert plan.expected_lines == pytest.approx(7000, rel=0.02)
    assert plan.dates[-1] == date(2026, 1, 11)
