"""A small simulated bank, streamed once; tests that change a lake work on a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import lakewarden

DAY = "2026-01-05"


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "sim"
    lakewarden.simulate(out, seed=11, days=2, customers=150, events_per_day=1500, faults="all", start=None)
    return out


@pytest.fixture(scope="session")
def streamed_path(tmp_path_factory, simulated) -> Path:
    path = tmp_path_factory.mktemp("streamed") / "lake"
    lake = lakewarden.init(path)
    lake.reference_import(simulated / "reference")
    assert lake.stream(simulated, once=True, batch_rows=700).ok
    return path


@pytest.fixture
def lake(tmp_path, streamed_path) -> lakewarden.Lake:
    shutil.copytree(streamed_path, tmp_path / "lake")
    return lakewarden.open(tmp_path / "lake")


@pytest.fixture
def empty(tmp_path) -> lakewarden.Lake:
    return lakewarden.init(tmp_path / "empty")
