"""The consumer: messages gathered for a micro-batch, lag, and the group's offsets for lag tools. It is told where to read."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from lakewarden.sources.kafka.messages import Fetched, fetched, together
from lakewarden.sources.port import PartitionStanding

if TYPE_CHECKING:
    from confluent_kafka import Message

    from lakewarden.sources.kafka.address import Address
    from lakewarden.sources.kafka.connection import Troubles

FETCHED_BYTES: Final = 64 << 20
"""Gathering ends at so many bytes, however few events that is."""

PIECE: Final = 1_000
"""Messages taken at a time. Making and reading them holds the interpreter's lock: more at once stops the other threads for long, and
costs more, because they leave the processor's cache in between."""

IDLE_SECONDS: Final = 0.1
COMMIT_SECONDS: Final = 1.0
LEAVE_SECONDS: Final = 2.0
"""How long a consumer that leaves waits for the broker to confirm its offsets."""


CONSUMER: Final[Mapping[str, object]] = {
    "enable.auto.commit": False,
    "auto.offset.reset": "error",
    "fetch.queue.backoff.ms": 5,  # the default of a second halves the rate of a stream that is behind
    "queued.min.messages": 200_000,
    "queued.max.messages.kbytes": 65_536,
    "fetch.message.max.bytes": 4 << 20,
}


class TopicConsumer:
    """Reads the partitions that it is assigned.

    Only the thread that reads calls librdkafka's consumer: the client lets one thread in at a time, and one that polls without end keeps
    every other out. What others want (`acknowledge`) is done at the next reading, and what they ask (`standing`) was noted at the last.

    Args:
        address: where the topic is, and the consumer group.
        connection: librdkafka's settings for it.
        troubles: counts errors.
        tells_ends: report when a partition's end is reached.
        linger: seconds to wait for more events after the first, when there are few.
    """

    def __init__(self, address: Address, connection: Mapping[str, Any], troubles: Troubles, *, tells_ends: bool, linger: float) -> None:
        self._topic = address.topic
        self._troubles = troubles
        self._linger = linger
        callbacks = {"throttle_cb": troubles.on_throttle, "on_commit": self._committed}
        self.consumer = Consumer({**connection, **CONSUMER, **callbacks, "group.id": address.group, "enable.partition.eof": tells_ends})
        self._gathered = 0.0
        self._ends: dict[int, int] = {}
        self._published: dict[str, int] = {}
        self._untold = False
        self._told = 0.0
        self._unconfirmed = 0

    def assign(self, positions: Mapping[int, int]) -> None:
        """Read on at these offsets; what was fetched before is dropped."""
        self._ends = dict.fromkeys(positions, OFFSET_INVALID)
        self.consumer.assign([TopicPartition(self._topic, partition, offset) for partition, offset in sorted(positions.items())])

    def gather(self, max_rows: int, max_seconds: float, behind: Callable[[int], bool]) -> Fetched | None:
        """Messages for one micro-batch: few when idle, for latency; as many as allowed when behind, for throughput; None if there are none.

        Args:
            max_rows: most messages.
            max_seconds: longest wait for a full micro-batch.
            behind: whether the broker has more than so many events for us.

        Raises:
            KafkaException: librdkafka can't go on.
        """
        self._tell()
        messages = self._consume(min(PIECE, max_rows), 0.0) or self._consume(1, min(max_seconds, IDLE_SECONDS))
        if not messages:
            return None
        deadline = time.monotonic() + max_seconds
        pieces = [fetched(messages)]
        rows, size = len(messages), sum(map(len, messages))
        while rows < max_rows and size < FETCHED_BYTES:
            wait = (deadline if behind(max_rows) else min(deadline, self._gathered + self._linger)) - time.monotonic()
            messages = self._consume(min(PIECE, max_rows - rows), max(0.0, min(wait, self._linger)))
            if messages:
                pieces.append(fetched(messages))
                rows, size = rows + len(messages), size + sum(map(len, messages))
            elif wait <= 0:
                break
        self._gathered = time.monotonic()
        return together(pieces)

    def _consume(self, count: int, seconds: float) -> list[Message]:
        try:
            return self.consumer.consume(count, seconds)
        except KafkaException as error:
            failure: KafkaError = error.args[0]
            if failure.fatal():
                raise
            self._troubles.count(failure)
            return []
        finally:
            for partition in self._ends:
                self._ends[partition] = self._end(partition)

    def _end(self, partition: int) -> int:
        try:
            return int(self.consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)[1])
        except KafkaException:
            return OFFSET_INVALID

    def standing(self, partition: int, position: int) -> PartitionStanding:
        """Where reading stands in a partition, by what the broker last said of its end."""
        end = self._ends.get(partition, OFFSET_INVALID)
        return PartitionStanding(str(partition), position, None if end < 0 else max(end, position))

    def acknowledge(self, offsets: Mapping[str, int]) -> None:
        """Have the group's offsets committed, at most once a second; a refusal is counted and does no harm."""
        self._published.update(offsets)
        self._untold = True

    def _tell(self) -> None:
        if self._untold and time.monotonic() - self._told >= COMMIT_SECONDS:
            self._told, self._untold = time.monotonic(), False
            self._commit()

    def close(self) -> None:
        """Commit the group's offsets and leave; a broker that is away is not waited for."""
        if self._untold:
            self._commit()
        deadline = time.monotonic() + LEAVE_SECONDS
        while self._unconfirmed and time.monotonic() < deadline:
            with contextlib.suppress(KafkaException):
                self.consumer.poll(IDLE_SECONDS)
        if self._unconfirmed:  # it goes on asking for a minute; nobody has to wait for that, or for the group: partitions are assigned
            threading.Thread(target=self.consumer.close, name="kafka-leave", daemon=True).start()
        else:
            self.consumer.close()

    def _commit(self) -> None:
        offsets = [TopicPartition(self._topic, int(partition), offset + 1) for partition, offset in list(self._published.items())]
        if offsets:
            try:
                self.consumer.commit(offsets=offsets, asynchronous=True)
                self._unconfirmed += 1
            except KafkaException as error:
                self._troubles.count(error.args[0])

    def _committed(self, error: KafkaError | None, offsets: Sequence[TopicPartition]) -> None:
        self._unconfirmed -= 1
        if error is not None:
            self._troubles.count(error)
