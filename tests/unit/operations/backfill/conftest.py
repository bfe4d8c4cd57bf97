"""A bank with history beside its lake; tests work on a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import lakewarden
from makers.histories import bank


@pytest.fixture(scope="session")
def banked(tmp_path_factory) -> Path:
    return bank(tmp_path_factory.mktemp("bank"))


@pytest.fixture
def lake(tmp_path, banked) -> lakewarden.Lake:
    shutil.copytree(banked / "lake", tmp_path / "lake")
    return lakewarden.open(tmp_path / "lake")


@pytest.fixture
def brought(lake, banked):
    """Plans, runs and validates a backfill; gives its id."""

    def bring(source: Path | None = None, **options) -> str:
        settings = {"chunk_rows": 300, "max_dead_letter_share": 0.2, **options.pop("settings", {})}
        plan = lake.backfill_plan(source or banked / "history", reason="onboarding", settings=settings, **options)
        assert plan.ok, plan.data["preconditions"]
        lake.backfill_run(plan.data["id"])
        report = lake.backfill_validate(plan.data["id"])
        assert report.ok, report.data["gates"]
        return plan.data["id"]

    return bring
