"""A topic as the place that simulated events go to."""

from __future__ import annotations

import json

import pytest

import lakewarden
from lakewarden.errors import SourceError
from lakewarden.sources.kafka.address import parse_address
from lakewarden.sources.kafka.sink import KafkaSink


def test_the_same_events_as_in_files_keyed_by_account(kafka_broker, tmp_path):
    topic = kafka_broker.new_topic(3)
    options = {"seed": 3, "days": 1, "customers": 120, "events_per_day": 500}
    lakewarden.simulate(tmp_path / "files", **options)
    report = lakewarden.simulate(kafka_broker.uri(topic), companions=tmp_path / "companions", **options)
    messages = kafka_broker.messages(topic)
    lines = [line for path in sorted((tmp_path / "files" / "events").iterdir()) for line in path.read_bytes().splitlines()]
    assert report.rows == len(messages) == len(lines)
    assert sorted(message.value() for message in messages) == sorted(lines)
    for name in ("labels/labels.csv", "reference/kyc.csv"):
        assert (tmp_path / "files" / name).read_bytes() == (tmp_path / "companions" / name).read_bytes()
    partitions: dict[bytes, set[int]] = {}
    for message in messages:
        partitions.setdefault(message.key(), set()).add(message.partition())
    assert len(partitions) > 10
    assert all(len(found) == 1 for found in partitions.values())
    by_account = [m.value() for m in messages if m.key() == json.loads(lines[0])["account_id"].encode()]
    assert by_account == [line for line in lines if line in by_account]


def test_a_topic_that_is_not_there_is_refused(kafka_broker):
    with (
        pytest.raises(SourceError, match="no such topic") as refused,
        KafkaSink(parse_address(f"kafka://{kafka_broker.bootstrap}/nowhere")),
    ):
        pass
    assert refused.value.next
