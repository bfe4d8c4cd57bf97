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


SETTINGS = {"chunk_rows": 300, "max_dead_letter_share": 0.2}


@pytest.fixture(scope="session")
def brought_in(tmp_path_factory, banked) -> tuple[Path, str]:
    """A lake with a validated backfill of all the history, and its id: once for the many tests that begin there."""
    root = tmp_path_factory.mktemp("brought") / "lake"
    shutil.copytree(banked / "lake", root)
    lake = lakewarden.open(root)
    backfill_id = lake.backfill_plan(banked / "history", reason="onboarding", settings=SETTINGS).data["id"]
    lake.backfill_run(backfill_id)
    assert lake.backfill_validate(backfill_id).ok
    return root, backfill_id


@pytest.fixture
def validated(tmp_path, brought_in) -> tuple[lakewarden.Lake, str]:
    shutil.copytree(brought_in[0], tmp_path / "lake")
    return lakewarden.open(tmp_path / "lake"), brought_in[1]


@pytest.fixture
def brought(lake, banked):
    """Plans, runs and validates a backfill; gives its id."""

    def bring(source: Path | None = None, **options) -> str:
        settings = SETTINGS | options.pop("settings", {})
        plan = lake.backfill_plan(source or banked / "history", reason="onboarding", settings=settings, **options)
        assert plan.ok, plan.data["preconditions"]
        lake.backfill_run(plan.data["id"])
        report = lake.backfill_validate(plan.data["id"])
        assert report.ok, report.data["gates"]
        return plan.data["id"]

    return bring
