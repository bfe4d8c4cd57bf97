"""A replay of one date of the small bank, planned and run; chunks so small that there are many."""

from __future__ import annotations

import pytest

from lakewarden.settings import ReplaySettings

DAY = "2026-01-05"


@pytest.fixture
def planned(lake):
    """Gives the id of a new replay of the date."""

    def plan(release: str | None = None, **settings) -> str:
        chosen = ReplaySettings(**{"chunk_rows": 400, **settings})
        report = lake.replay_plan(DAY, DAY, reason="a test", release=release, settings=chosen)
        assert report.ok, report.data["preconditions"]
        return report.data["id"]

    return plan


@pytest.fixture
def compared(lake, planned):
    """Plans, runs and validates; gives the report and every differing row."""
    import polars as pl

    def compare(release: str | None = None, **settings):
        replay_id = planned(release, **settings)
        lake.replay_run(replay_id)
        report = lake.replay_validate(replay_id)
        return report, pl.read_parquet(report.data["differences_at"])

    return compare
