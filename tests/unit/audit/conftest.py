"""A ledger over an empty folder of objects, with a key in a state folder of the test's own."""

from __future__ import annotations

import datetime as dt

import pytest

from lakewarden.audit.receipts import Author, Ledger
from lakewarden.audit.signing import signer
from lakewarden.lake.store import Store

NOW = dt.datetime(2026, 1, 6, 9, 30, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """The user's state folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("LAKEWARDEN_SIGNING_KEY", raising=False)
    monkeypatch.delenv("LAKEWARDEN_ACTOR", raising=False)
    return tmp_path / "state"


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "lake", create=True)


@pytest.fixture
def ledger(store) -> Ledger:
    return Ledger(store, lambda: signer(store), lambda: NOW, Author("ada", "host-1"))
