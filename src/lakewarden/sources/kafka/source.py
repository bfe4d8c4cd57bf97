"""A topic of Event Hubs or Kafka as a source: all its partitions, from where bronze stands, and nothing skipped in silence.

Partitions are assigned, not subscribed to: one stream writes a lake (its lease), so there is nobody to share them with, and a
rebalance can't take one away (docs/adr/0015). Consumer-group offsets are committed for lag tools only.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import polars as pl
from confluent_kafka import KafkaError, KafkaException

from lakewarden.errors import UsageError
from lakewarden.sources.kafka.address import Address, Start
from lakewarden.sources.kafka.connection import Token, Troubles, settings, unreachable
from lakewarden.sources.kafka.consumer import IDLE_SECONDS, TopicConsumer
from lakewarden.sources.kafka.positions import Identity, Watermarks, resume
from lakewarden.sources.kafka.topic import Topic
from lakewarden.sources.port import Chunk, Clock, Gap, Notices, SourceStanding, wall_clock
from lakewarden.tables import UTC_US

if TYPE_CHECKING:
    from lakewarden.sources.kafka.messages import Fetched
    from lakewarden.sources.mapping import EventMapping

LOOK_SECONDS: Final = 5.0
"""How often partitions and the topic's id are asked for while nothing comes."""

_MOVED: Final = {
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError.OFFSET_OUT_OF_RANGE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_TOPIC_ID,
    KafkaError.INCONSISTENT_TOPIC_ID,
}
"""Errors after which the topic is looked at anew: deleted, made anew, or its events expired."""


class KafkaSource:
    """Implements `sources.port.Source` over one topic.

    Args:
        address: where the topic is.
        config: further librdkafka properties, from `load_config`.
        mapping: from other property names; None takes events as they are.
        start: where partitions begin of which nothing was ever taken.
        once: take what the topic has at the start, then be exhausted.
        linger: seconds to wait for more events after the first, when there are few.
        token: gives OAuth tokens; None takes azure-identity's for Event Hubs.
        clock: wall clock, microseconds UTC.
        consumer: what reads the partitions.
    """

    def __init__(
        self,
        address: Address,
        *,
        config: Mapping[str, str] | None = None,
        mapping: EventMapping | None = None,
        start: Start | None = None,
        once: bool = False,
        linger: float = 0.05,
        token: Token | None = None,
        clock: Clock = wall_clock,
        consumer: type[TopicConsumer] = TopicConsumer,
    ) -> None:
        self._address = address
        self._mapping = mapping
        self._start = start
        self._once = once
        self._clock = clock
        self._troubles = Troubles()
        connection = settings(address, config or {}, self._troubles, token)
        self._connection = connection
        self._consumer = consumer(address, connection, self._troubles, tells_ends=once, linger=linger)
        self._topic = Topic(address, connection, self._consumer.consumer, self._troubles)
        self._identity: Identity | None = None
        self._name = address.uri
        self._taken: dict[str, dict[str, int]] = {}
        self._next: dict[int, int] = {}
        self._begin: dict[int, int] = {}
        self._until: dict[int, int] = {}
        self._held: Fetched | None = None
        self._moved = self._closed = False
        self._looked = 0.0
        self._begun: dict[str, dict[str, int]] = {}
        self._gaps: list[Gap] = []
        self._remarks: list[str] = []

    @property
    def name(self) -> str:
        """Cluster, topic and the topic's id: offsets of a topic made anew are other offsets. Known after `resume`."""
        return self._name

    @property
    def exhausted(self) -> bool:
        """True when everything was read once."""
        return self._once and self._identity is not None and all(self._next[p] >= end for p, end in self._until.items())

    @property
    def fraction(self) -> float | None:
        """The share of what the topic had at the start; None while it is followed."""
        if not self._once:
            return None
        whole = sum(max(0, end - self._begin.get(p, 0)) for p, end in self._until.items())
        left = sum(max(0, end - self._next[p]) for p, end in self._until.items())
        return 1.0 - left / whole if whole else 1.0

    def resume(self, positions: Mapping[str, Mapping[str, int]]) -> None:
        """Go on behind what bronze recorded; a topic of which nothing was taken begins where `start` says.

        Raises:
            SourceError: the broker can't be reached, refuses, or has no such topic.
            UsageError: `start` names offsets that the topic doesn't have.
        """
        self._taken = {name: dict(found) for name, found in positions.items()}
        try:
            self._topic.connect()
            self._reposition()
        except KafkaException as error:
            raise unreachable(self._address, error.args[0], self._troubles) from error
        self._begin = dict(self._next)

    def read(self, max_rows: int, max_seconds: float) -> Chunk | None:
        """Up to `max_rows` events: at once what is there when it's much, else what comes within a moment; None if there is nothing.

        Events are handed on only after the broker has said that they are of the topic that it still is.
        """
        if self._moved or time.monotonic() - self._looked > LOOK_SECONDS:
            self._look()
            return None
        taken = self._held or self._gather(max_rows, max_seconds)
        self._held = None
        if taken is None:
            return None
        if taken.rows.height == 0:
            self._ended(taken)
            return None
        if not self._is_same_topic():
            self._held = None if self._moved else taken
            return None
        return self._chunk(taken)

    def take_notices(self) -> Notices:
        """Where partitions began, what was lost, what the user should know; each once."""
        found = Notices(self._begun, tuple(self._gaps), tuple(self._remarks))
        self._begun, self._gaps, self._remarks = {}, [], []
        return found

    def acknowledge(self, offsets: Mapping[str, int]) -> None:
        """Commit consumer-group offsets, at most once a second; a refusal is counted and does no harm."""
        self._consumer.acknowledge(offsets)

    def standing(self) -> SourceStanding:
        """Positions, lag by what the broker last said, troubles by kind."""
        troubles, throttled, _ = self._troubles.read()
        partitions = tuple(self._consumer.standing(p, position) for p, position in sorted(self._next.items()))
        return SourceStanding(partitions, troubles, throttled)

    def close(self) -> None:
        """Commit the group's offsets and leave; once."""
        if not self._closed:
            self._closed = True
            self._consumer.close()

    # --- reading ------------------------------------------------------------------------------------------------

    def _gather(self, max_rows: int, max_seconds: float) -> Fetched | None:
        try:
            taken = self._consumer.gather(max_rows, max_seconds, self._behind)
        except KafkaException as error:
            raise unreachable(self._address, error.args[0], self._troubles) from error
        for failure in taken.errors if taken else ():
            self._heed(failure)
        return taken

    def _heed(self, error: KafkaError) -> None:
        self._troubles.count(error)
        self._moved |= error.code() in _MOVED

    def _behind(self, rows: int) -> bool:
        return sum(standing.lag or 0 for standing in self.standing().partitions) > rows

    def _chunk(self, taken: Fetched) -> Chunk:
        now = self._clock()
        for partition, offset in taken.last.items():
            self._next[partition] = offset + 1
            self._taken[self._name][str(partition)] = offset
        self._ended(taken)
        bodies, times = taken.rows["body"], taken.rows["time"]
        return Chunk(
            bodies=bodies if self._mapping is None else self._mapping.map_lines(bodies),
            source=self._name,
            partitions=taken.rows["partition"].cast(pl.String),
            offsets=taken.rows["offset"],
            arrival=times.to_frame().select(pl.col("time").fill_null(pl.lit(now).cast(UTC_US))).to_series()
            if times.null_count()
            else times,
            received_time=now,
        )

    def _ended(self, taken: Fetched) -> None:
        """Nothing more comes of a partition that ends behind what was handed on, though its last offsets may be no events."""
        for partition in taken.ended & self._until.keys():
            self._until[partition] = min(self._until[partition], self._next[partition])

    # --- the topic ----------------------------------------------------------------------------------------------

    def _is_same_topic(self) -> bool:
        """Ask which topic it is, behind the reading: one made anew in between would pass its offsets off as the old one's."""
        try:
            identity, partitions = self._topic.describe()
        except KafkaException as error:
            self._heed(error.args[0])
            return False
        self._looked = time.monotonic()
        self._moved |= identity != self._identity or set(partitions) != set(self._next)
        return identity == self._identity

    def _look(self) -> None:
        """Go on in a topic that has moved, or see whether it has; while the broker is away, try again at the next reading."""
        self._looked = time.monotonic()
        if not self._moved:
            self._is_same_topic()
            return
        try:
            self._reposition()
        except KafkaException as error:
            self._troubles.count(error.args[0])
            time.sleep(IDLE_SECONDS)

    def _reposition(self) -> None:
        identity, partitions = self._topic.describe()
        marks = self._topic.watermarks(partitions)
        outcome = resume(identity, self._taken, marks, self._first(identity, marks))
        self._consumer.assign(outcome.next)
        self._identity, self._name, self._next, self._held, self._moved = identity, outcome.name, dict(outcome.next), None, False
        self._taken[outcome.name] = {**outcome.begun, **self._taken.get(outcome.name, {})}
        if outcome.begun:
            self._begun[outcome.name] = {**self._begun.get(outcome.name, {}), **outcome.begun}
        self._gaps += outcome.gaps
        if self._once:
            self._until = {p: self._until.get(p, marks[p].end) for p in (self._until.keys() & marks.keys() if self._until else marks)}

    def _first(self, identity: Identity, marks: Mapping[int, Watermarks]) -> Mapping[int, int]:
        """Where the user wants a topic to begin of which nothing was ever taken."""
        start = self._start or Start()
        if any(identity.knows(name) for name in self._taken):
            if self._start is not None and self._identity is None:
                self._remarks.append("--start was not used: this lake has begun to take the topic's events before, and goes on behind them")
            return {}
        begin = self._topic.first_offsets(start, marks)
        for partition in sorted({*begin, *start.offsets}):
            there = marks.get(partition)
            if there is None or not there.low <= begin[partition] <= there.end:
                has = "no such partition" if there is None else f"offsets {there.low:,} to {there.end:,} there"
                raise UsageError(
                    f"--start: partition {partition}: the topic has {has}", state="nothing was read", next="name another start"
                )
        return begin
