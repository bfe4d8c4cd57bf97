"""How operations are done: the file of a new lake says the defaults, and what can't be used is named."""

from __future__ import annotations

import pytest

from lakewarden.errors import ConfigurationError
from lakewarden.lake.store import Store
from lakewarden.operations import policy
from lakewarden.settings import OperationSettings


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path, create=True)


def test_the_file_of_a_new_lake_says_what_holds_without_it(store):
    assert policy.load(store) == OperationSettings()
    store.put(policy.PATH, policy.default())
    found, usual = policy.load(store), OperationSettings()
    assert found.model_copy(update={"replay": usual.replay, "backfill": usual.backfill}) == usual
    assert found.replay.model_dump() == pytest.approx(usual.replay.model_dump())


@pytest.mark.parametrize("text", ["second_person: [replay.swapp]", "pin_days: 0", "pin_days: [", "unknown: 1", "- 1"])
def test_what_can_not_be_used_is_named(store, text):
    store.put(policy.PATH, text.encode())
    with pytest.raises(ConfigurationError, match=r"operations\.yaml"):
        policy.load(store)
