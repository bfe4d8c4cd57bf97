"""What to simulate, checked before anything is made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import get_args

from lakewarden.errors import UsageError
from lakewarden.sources.simulator.faults import Profile
from lakewarden.sources.simulator.rhythm import volume

DEFAULT_CUSTOMERS = 5_000
DEFAULT_EVENTS_PER_DAY = 20_000
_LEAST_CUSTOMERS = 100
_LEAST_EVENTS = 100
_MOST_CUSTOMERS = 20_000_000
_MOST_EVENTS = 50_000_000


@dataclass(frozen=True)
class Plan:
    """A simulation: two with equal plans give the same bytes.

    Attributes:
        seed: any integer from 0.
        days: UTC days, at least one.
        start: the first of them.
        customers: how many customers; there are a quarter more accounts.
        events_per_day: ordinary events on a mean day; crime (about 0.9 %), duplicates and spikes come on top.
        faults: ``none``, ``default`` (about 0.65 % of the lines) or ``all`` (about 4 %; every kind on every day).
        label_delay_days: days from a transaction until its label is known.

    Raises:
        UsageError: a value makes no sense.
    """

    seed: int
    days: int
    start: date = date(2026, 1, 5)
    customers: int = DEFAULT_CUSTOMERS
    events_per_day: int = DEFAULT_EVENTS_PER_DAY
    faults: Profile = "default"
    label_delay_days: int = 7

    def __post_init__(self) -> None:
        _within("seed", self.seed, 0, 2**63 - 1)
        _within("days", self.days, 1, 36_500)
        _within("customers", self.customers, _LEAST_CUSTOMERS, _MOST_CUSTOMERS)
        _within("events_per_day", self.events_per_day, _LEAST_EVENTS, _MOST_EVENTS)
        _within("label_delay_days", self.label_delay_days, 0, 365)
        if self.faults not in get_args(Profile):
            raise _refused(f"faults is {self.faults!r}; it must be one of {', '.join(get_args(Profile))}")
        if not date(1980, 1, 1) <= self.start <= date(2090, 1, 1) - timedelta(days=self.days):
            raise _refused(f"start is {self.start}; the simulated days must lie between 1980 and 2090")

    @property
    def dates(self) -> list[date]:
        """The simulated days."""
        return [self.start + timedelta(days=at) for at in range(self.days)]

    @property
    def expected_lines(self) -> int:
        """About how many lines come out; for showing progress."""
        return sum(volume(day, self.events_per_day) for day in self.dates) * 1012 // 1000


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise _refused(f"{name} is {value}; it must be from {low} to {high}")


def _refused(what: str) -> UsageError:
    return UsageError(f"Can't simulate: {what}.", state="Nothing was written.", next="lakewarden simulate --help")
