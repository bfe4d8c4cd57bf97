"""Small simulations that several files look at."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import polars as pl
import pytest

from lakewarden.sources.simulator import DayOfEvents, Plan, generate

EDITED = (
    "future",
    "malformed_json",
    "missing_field",
    "mistyped_field",
    "new_enum_value",
    "unknown_currency",
    "negative_amount",
    "huge_amount",
)


@dataclass(frozen=True)
class World:
    plan: Plan
    days: list[DayOfEvents]
    bodies: list[bytes]
    faults: pl.DataFrame
    labels: pl.DataFrame
    records: pl.DataFrame

    def fault_of(self) -> dict[int, str]:
        """Fault by line; the first drifted line is sound otherwise."""
        struck = self.faults.filter(pl.col("line").is_not_null() & (pl.col("fault") != "schema_drift"))
        return dict(zip(struck["line"].to_list(), struck["fault"].to_list(), strict=True))

    def sound(self) -> list[dict[str, Any]]:
        """Each transaction's event as sent first, but for those whose line is spoilt."""
        faults = self.fault_of()
        skipped = (*EDITED, "duplicate", "conflicting_duplicate")
        return [json.loads(body) for line, body in enumerate(self.bodies) if faults.get(line) not in skipped]


def world(plan: Plan) -> World:
    days = list(generate(plan))
    return World(
        plan,
        days,
        [body for day in days for body in day.bodies().to_list()],
        pl.concat([day.faults for day in days]),
        pl.concat([day.labels() for day in days]),
        pl.concat([day.records() for day in days]),
    )


@pytest.fixture(scope="package")
def one_day() -> World:
    """One day with every fault."""
    return world(Plan(seed=11, days=1, customers=300, events_per_day=1500, faults="all"))


@pytest.fixture(scope="package")
def four_days() -> World:
    """Four days with the faults of an ordinary run."""
    return world(Plan(seed=12, days=4, customers=500, events_per_day=4000))


@pytest.fixture(scope="package")
def fortnight() -> World:
    """Two weeks in which nothing goes wrong upstream."""
    return world(Plan(seed=13, days=14, customers=1000, events_per_day=4000, faults="none"))
