"""A topic as the place that simulated events go to: keyed by account, so that an account's events stay in order in one partition."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from lakewarden.errors import SourceError
from lakewarden.sources.kafka.address import Address
from lakewarden.sources.kafka.connection import Troubles, settings, unreachable

CONNECT_SECONDS: Final = 10.0
WAIT_SECONDS: Final = 0.05
PRODUCER: Final[Mapping[str, object]] = {
    "enable.idempotence": True,  # a repeated request writes nothing twice, and order is kept
    "compression.type": "lz4",
    "linger.ms": 5,
    "batch.size": 1_000_000,
    "queue.buffering.max.messages": 200_000,
    "partitioner": "murmur2_random",  # Java clients put the same account into the same partition
}


class KafkaSink:
    """Sends events to a topic and waits at the end until the broker has all of them.

    Args:
        address: where the topic is; it must exist, or the broker make it by itself.
        config: further librdkafka properties, from `load_config`.

    Raises:
        SourceError: the broker can't be reached, refuses, or did not take an event.
    """

    def __init__(self, address: Address, config: Mapping[str, str] | None = None) -> None:
        self._address = address
        self._troubles = Troubles()
        self._producer = Producer({**PRODUCER, **settings(address, config or {}, self._troubles)})
        self._sent = 0
        self._refused: KafkaError | None = None

    def __enter__(self) -> KafkaSink:
        try:
            found = self._producer.list_topics(self._address.topic, timeout=CONNECT_SECONDS)
        except KafkaException as error:
            raise unreachable(self._address, error.args[0], self._troubles) from error
        trouble = found.topics[self._address.topic].error
        if trouble is not None and trouble.code() != KafkaError.LEADER_NOT_AVAILABLE:  # just being made
            raise unreachable(self._address, trouble, self._troubles)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        while self._producer.flush(1.0) and self._refused is None and kind is None:
            continue
        if kind is None:
            self._check()

    def __call__(self, events: list[tuple[bytes, bytes]]) -> None:
        """Hand over events in order: (account id, body) of each. Waits while librdkafka's queue is full."""
        for key, body in events:
            while True:
                try:
                    self._producer.produce(self._address.topic, body, key=key, on_delivery=self._delivered)
                    break
                except BufferError:
                    self._producer.poll(WAIT_SECONDS)
        self._sent += len(events)
        self._producer.poll(0)
        self._check()

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._refused = error

    def _check(self) -> None:
        if self._refused is not None:
            raise SourceError(
                f"{self._address.uri} did not take an event: {self._refused.str()}",
                state=f"of {self._sent:,} events sent some may be missing from the topic",
                next="check the broker; simulate into a topic of its own again",
            )
