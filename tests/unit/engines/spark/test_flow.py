"""Shards are spread over Spark's tasks by the very hash that Spark puts groups into tasks by."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lakewarden.engines.spark.flow import Shards, hash_of_int

KNOWN = {0: 933211791, 1: -559580957, 2: 1765031574, -1: -1604776387, 42: 29417773, 2147483647: 133916647}
"""`SELECT hash(value)` in Spark."""


@pytest.mark.parametrize("value", KNOWN)
def test_ints_hash_as_in_spark(value):
    assert hash_of_int(value) == KNOWN[value]


@pytest.mark.parametrize(("tasks", "count"), [(1, 1), (2, 2), (2, 5), (7, 7), (8, 3), (4, 32)])
def test_tasks_get_as_many_shards_each_or_one_more(tasks, count):
    session = SimpleNamespace(conf={"spark.sql.shuffle.partitions": str(tasks)})
    shards = Shards.spread(session, count)
    assert len(shards) == len(set(shards.labels)) == count
    held = [sum(hash_of_int(label) % tasks == task for label in shards.labels) for task in range(tasks)]
    assert max(held) - min(held) <= 1


def test_without_a_number_every_task_has_one_shard():
    shards = Shards.spread(SimpleNamespace(conf={"spark.sql.shuffle.partitions": "3"}))
    assert sorted(hash_of_int(label) % 3 for label in shards.labels) == [0, 1, 2]
