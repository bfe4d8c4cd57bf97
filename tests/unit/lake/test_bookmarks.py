"""Where reading of a source's partitions was begun."""

from __future__ import annotations

import pytest

from lakewarden.errors import LakeError
from lakewarden.lake.bookmarks import Bookmarks
from lakewarden.lake.store import Store


def test_a_beginning_is_remembered_and_never_set_back(tmp_path):
    store = Store(tmp_path / "lake", create=True)
    assert Bookmarks(store).read() == {}
    Bookmarks(store).add("kafka://a/b/id", {"0": 41, "1": -1})
    Bookmarks(store).add("kafka://a/b/id", {"0": 99, "2": 7})
    Bookmarks(store).add("kafka://a/c", {"0": 3})
    assert Bookmarks(store).read() == {"kafka://a/b/id": {"0": 41, "1": -1, "2": 7}, "kafka://a/c": {"0": 3}}


def test_a_damaged_one_is_named(tmp_path):
    store = Store(tmp_path / "lake", create=True)
    store.put("_sources/x/0.json", b"[]")
    with pytest.raises(LakeError, match=r"_sources/x/0\.json") as refused:
        Bookmarks(store).read()
    assert refused.value.next
