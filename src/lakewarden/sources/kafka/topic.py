"""What a broker says of a topic: which one it is, its partitions, the offsets that it has."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec  # admin's own __init__ doesn't export it to type checkers

from lakewarden.sources.kafka.address import Address, Start
from lakewarden.sources.kafka.connection import Troubles
from lakewarden.sources.kafka.positions import Identity, Watermarks

CONNECT_SECONDS: Final = 10.0
TRY_SECONDS: Final = 1.0
ASK_SECONDS: Final = 2.0
_NO_IDS: Final = (KafkaError._UNSUPPORTED_FEATURE, KafkaError.UNSUPPORTED_VERSION, KafkaError.INVALID_REQUEST)
_ABSENT: Final = {"", "AAAAAAAAAAAAAAAAAAAAAA"}
"""How a broker says that a topic has no id: none, or 16 zero bytes."""


class Topic:
    """Asks the broker; one thread.

    Args:
        address: where the topic is.
        connection: librdkafka's settings for it.
        consumer: the consumer that reads it.
        troubles: counts errors.

    Raises (all methods): KafkaException when the broker doesn't answer or refuses.
    """

    def __init__(self, address: Address, connection: Mapping[str, Any], consumer: Consumer, troubles: Troubles) -> None:
        self._address = address
        self._troubles = troubles
        self._consumer = consumer
        self._admin = AdminClient(dict(connection))
        self._has_ids = True
        self._cluster = ""

    def connect(self) -> None:
        """Reach the broker, and see that the topic is there; a broker that is just starting is waited for, one that refuses us is not."""
        deadline = time.monotonic() + CONNECT_SECONDS
        while True:
            try:
                found = self._consumer.list_topics(self._address.topic, timeout=TRY_SECONDS)
                break
            except KafkaException:
                self._consumer.poll(0)  # lets librdkafka say why
                if self._troubles.seen("authentication") or time.monotonic() > deadline:
                    raise
        error = found.topics[self._address.topic].error
        if error is not None:
            raise KafkaException(error)
        self._cluster = found.cluster_id or self._address.bootstrap

    def describe(self) -> tuple[Identity, tuple[int, ...]]:
        """Which topic it is now, and its partitions."""
        name = self._address.topic
        if self._has_ids:
            try:
                described = self._admin.describe_topics(TopicCollection([name]), request_timeout=ASK_SECONDS)[name].result()
            except KafkaException as error:
                if error.args[0].code() not in _NO_IDS:
                    raise
                self._has_ids = False
            else:
                topic_id = str(described.topic_id) if described.topic_id is not None else ""
                identity = Identity(self._cluster, name, "" if topic_id in _ABSENT else topic_id)
                return identity, tuple(sorted(partition.id for partition in described.partitions))
        found = self._consumer.list_topics(name, timeout=ASK_SECONDS).topics[name]
        if found.error is not None:
            raise KafkaException(found.error)
        return Identity(self._cluster, name, ""), tuple(sorted(found.partitions))

    def watermarks(self, partitions: Iterable[int]) -> dict[int, Watermarks]:
        """The first offset of each partition, and the one that its next event will get."""
        low = self._offsets(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]  # librdkafka's own
        end = self._offsets(low, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # librdkafka's own
        return {partition: Watermarks(low[partition], end[partition]) for partition in low}

    def first_offsets(self, start: Start, watermarks: Mapping[int, Watermarks]) -> dict[int, int]:
        """Where a start is in each partition, within what the broker has."""
        if start.kind == "time":
            found = self._offsets(watermarks, OffsetSpec.for_timestamp(start.time_ms))
            return {p: marks.end if found[p] < 0 else found[p] for p, marks in watermarks.items()}
        if start.kind == "latest":
            return {p: marks.end for p, marks in watermarks.items()}
        return {p: start.offsets.get(p, marks.low) for p, marks in watermarks.items()}

    def _offsets(self, partitions: Iterable[int], at: OffsetSpec) -> dict[int, int]:
        asked = {TopicPartition(self._address.topic, partition): at for partition in partitions}
        answers = self._admin.list_offsets(asked, request_timeout=CONNECT_SECONDS) if asked else {}
        return {partition.partition: answer.result().offset for partition, answer in answers.items()}
