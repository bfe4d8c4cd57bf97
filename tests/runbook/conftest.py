"""A small simulated bank, streamed once, for the steps of the runbook's sections."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import lakewarden


@pytest.fixture(scope="session")
def streamed_path(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("bank")
    lakewarden.simulate(root / "sim", seed=11, days=2, customers=120, events_per_day=1000, faults="all", start=None)
    lake = lakewarden.init(root / "lake")
    lake.reference_import(root / "sim" / "reference")
    assert lake.stream(root / "sim", once=True, batch_rows=700).ok
    return root / "lake"


@pytest.fixture
def lake(tmp_path, streamed_path) -> lakewarden.Lake:
    shutil.copytree(streamed_path, tmp_path / "lake")
    return lakewarden.open(tmp_path / "lake")
