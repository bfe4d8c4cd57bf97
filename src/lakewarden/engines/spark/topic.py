"""A topic of Event Hubs or Kafka read by Spark's Structured Streaming, a micro-batch at a time, each held until it is in bronze.

Where reading begins, which topic it is and what was lost on the way is decided as for the embedded engine (`sources.kafka`). Spark's
checkpoint lives as long as one query: bronze has the offsets, and a start goes on behind them (docs/adr/0021).
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from confluent_kafka import KafkaException, TopicPartition

from lakewarden.engines.spark.delta import address as spark_address
from lakewarden.engines.spark.given import present
from lakewarden.engines.spark.sending import is_remote
from lakewarden.errors import ConfigurationError, SourceError
from lakewarden.sources.kafka.connection import CONNECTION_VARIABLE
from lakewarden.sources.kafka.consumer import TopicConsumer
from lakewarden.sources.kafka.source import LOOK_SECONDS, KafkaSource

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.streaming.query import StreamingQuery

    from lakewarden.sources.mapping import EventMapping

CHECKPOINTS: Final = "_spark/checkpoints"
WAIT_SECONDS: Final = 0.2
WATERMARK_SECONDS: Final = 5.0

SAME: Final = {"security.protocol": "security.protocol", "sasl.mechanism": "sasl.mechanism", "sasl.mechanisms": "sasl.mechanism"}
"""Properties that librdkafka and the Java client have in common."""

GONE: Final = ("data loss", "offset out of range", "offsetoutofrange", "unknowntopicorpartition", "does not exist", "partitions are gone")
"""What Spark says when the topic is no longer as it was: deleted, made anew, or its events expired."""


@dataclass
class TopicChunk:
    """Events of a topic as Spark holds them, until they are in bronze.

    Attributes:
        rows: `partition`, `offset`, `timestamp` and `value` of each.
        count: how many.
        source: the source's name.
        mapping: from other property names; None: as they are.
        received_time: when they were handed on, microseconds UTC.
    """

    rows: DataFrame
    count: int
    source: str
    mapping: EventMapping | None
    received_time: int
    ends: dict[str, int] | None = None
    _settled: threading.Event = field(default_factory=threading.Event)

    def __len__(self) -> int:
        return self.count

    def taken(self, ends: Mapping[str, int]) -> None:
        """They are in bronze, up to these offsets by partition."""
        self.ends = dict(ends)
        self._settled.set()

    def given_up(self) -> None:
        """They won't be in bronze."""
        self._settled.set()

    def wait(self) -> bool:
        """Until one or the other is told; says whether they are in bronze."""
        self._settled.wait()
        return self.ends is not None


class OffsetsOnly(TopicConsumer):
    """Reads no events: watermarks for the lag, and the group's offsets for lag tools."""

    _asked = 0.0

    def assign(self, positions: Mapping[int, int]) -> None:
        """Know the partitions; Spark reads them."""
        self._ends = dict.fromkeys(positions, -1)

    def look(self) -> None:
        """Ask for the ends of the partitions now and then, and commit the group's offsets."""
        self._tell()
        self.consumer.poll(0)
        if time.monotonic() - self._asked > WATERMARK_SECONDS:
            self._asked = time.monotonic()
            for partition in self._ends:
                with contextlib.suppress(KafkaException):
                    self._ends[partition] = int(self.consumer.get_watermark_offsets(TopicPartition(self._topic, partition), timeout=1)[1])


class SparkTopic(KafkaSource):
    """Implements `sources.port.Source`; its chunks are Spark's.

    Args:
        lake: the lake's root; the checkpoint of a query is below it while the query lives.
        run_id: names it.
        settings: of `KafkaSource`.
    """

    def __init__(self, lake: str, run_id: str, **settings: Any) -> None:  # noqa: ANN401  # passed on as they are
        super().__init__(consumer=OffsetsOnly, **settings)
        self._lake, self._run_id = lake, run_id
        self._handed: queue.Queue[TopicChunk] = queue.Queue(1)
        self._query: StreamingQuery | None = None
        self._queries = 0
        self._closing = False
        self._held_chunk: TopicChunk | None = None

    @property
    def exhausted(self) -> bool:
        """True when everything was read once."""
        query = self._query
        ended = query is not None and not query.isActive and query.exception() is None  # why one failed, `read` tells
        return self._once and ended and self._handed.empty() and not self._moved

    def read(self, max_rows: int, max_seconds: float) -> TopicChunk | None:  # type: ignore[override]  # chunks are the engine's own
        """The next micro-batch of the query, once the one before is in bronze; None if there is none now.

        Raises:
            SourceError: Spark can't read further.
        """
        self._settle()
        assert isinstance(self._consumer, OffsetsOnly)
        self._consumer.look()
        if self._moved or time.monotonic() - self._looked > LOOK_SECONDS:
            moved = self._moved
            self._look()
            if moved and not self._moved:
                self._end_query()
        if self._query is None and not self._moved:
            self._begin_query(max_rows)
        try:
            chunk = self._handed.get(timeout=max(max_seconds, WAIT_SECONDS))
        except queue.Empty:
            self._fail()
            return None
        self._held_chunk = chunk
        if not self._is_same_topic() or self._moved:
            self._end_query()
            return None
        return chunk

    def close(self) -> None:
        """End the query, commit the group's offsets and leave."""
        self._closing = True
        self._settle()
        self._end_query()
        super().close()

    # --- the query ----------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """What of the chunk before is known by now."""
        chunk, self._held_chunk = self._held_chunk, None
        if chunk is None:
            return
        if chunk.ends is None:
            chunk.given_up()
            return
        for partition, offset in chunk.ends.items():
            self._next[int(partition)] = offset + 1
            self._taken[self._name][partition] = offset

    def _begin_query(self, max_rows: int) -> None:
        session = present()
        if session is None or is_remote(session):  # an engine has one: none is one of Spark Connect, of another thread
            raise ConfigurationError(
                f"Spark can't read {self._address.uri} over Spark Connect: micro-batches would be handed over on the server, not here.",
                state="nothing was read",
                next="stream on the cluster itself (deploy/databricks), or with --engine embedded; all other sources and commands work so",
            )
        topic = self._address.topic
        offsets = {topic: {str(partition): offset for partition, offset in self._next.items()}}
        events = (
            session.readStream.format("kafka")
            .options(**java_options(self._connection, self._address.uri))
            .option("assign", json.dumps({topic: sorted(self._next)}))
            .option("startingOffsets", json.dumps(offsets))
            .option("maxOffsetsPerTrigger", max_rows)
            .option("failOnDataLoss", "true")
            .load()
        )
        self._queries += 1
        self._checkpoint = f"{self._lake}/{CHECKPOINTS}/{self._run_id}-{self._queries}"
        writer = events.writeStream.foreachBatch(self._hand_over).option("checkpointLocation", spark_address(self._checkpoint))
        self._query = (writer.trigger(availableNow=True) if self._once else writer).start()

    def _hand_over(self, events: DataFrame, number: int) -> None:
        """In Spark's thread: the next micro-batch waits here until it is in bronze; only then does Spark believe that it is done."""
        kept = events.select("partition", "offset", "timestamp", "value").persist()
        try:
            count = kept.count()
            if not count:
                return
            chunk = TopicChunk(kept, count, self._name, self._mapping, self._clock())
            self._handed.put(chunk)
            if self._closing:
                chunk.given_up()
            if not chunk.wait():
                raise InterruptedError("the stream ends before this micro-batch is in bronze")
        finally:
            kept.unpersist()

    def _fail(self) -> None:
        """Tell why a query ended, if it did."""
        query = self._query
        if query is None or query.isActive:
            return
        error = query.exception()
        if error is None:
            return
        said = str(error)
        if any(word in said.lower() for word in GONE):
            self._moved = True
            self._end_query()
            return
        first = next((line for line in said.splitlines() if line.strip()), type(error).__name__)
        raise SourceError(
            f"Spark can't read {self._address.uri}: {first[:300]}",
            state="what was committed stands; nothing was lost, and nothing written twice",
            next="look at the cause, then run the same command again",
        )

    def _end_query(self) -> None:
        query, self._query = self._query, None
        if query is None:
            return
        ended = threading.Thread(target=query.stop, name="query-stop")
        ended.start()
        while ended.is_alive():
            with contextlib.suppress(queue.Empty):
                self._handed.get(timeout=WAIT_SECONDS).given_up()
            if self._held_chunk is not None and self._held_chunk.ends is None:
                self._held_chunk.given_up()
        ended.join()
        if not urlsplit(self._checkpoint).scheme:
            shutil.rmtree(self._checkpoint, ignore_errors=True)


PRINCIPAL: Final = ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET")
"""What names a service principal, as azure-identity reads it too."""


def java_options(connection: Mapping[str, Any], uri: str) -> dict[str, str]:
    """librdkafka's settings as Spark's Kafka source takes them. They hold secrets: they go to Spark and nowhere else.

    Raises:
        ConfigurationError: Java's client can't sign in that way.
    """
    found = {"kafka.bootstrap.servers": str(connection["bootstrap.servers"])}
    for ours, theirs in SAME.items():
        if ours in connection:
            found[f"kafka.{theirs}"] = str(connection[ours])
    # as Databricks' runtime has it
    package = "kafkashaded.org.apache.kafka" if os.environ.get("DATABRICKS_RUNTIME_VERSION") else "org.apache.kafka"
    security = f"{package}.common.security"
    if found.get("kafka.sasl.mechanism") == "OAUTHBEARER":
        found |= _principal(security, str(connection["bootstrap.servers"]), uri)
    elif "sasl.username" in connection:
        module = "plain.PlainLoginModule" if found.get("kafka.sasl.mechanism") == "PLAIN" else "scram.ScramLoginModule"
        named = _jaas(username=str(connection["sasl.username"]), password=str(connection["sasl.password"]))
        found["kafka.sasl.jaas.config"] = f"{security}.{module} required {named};"
    if "ssl.ca.location" in connection:
        found |= {"kafka.ssl.truststore.type": "PEM", "kafka.ssl.truststore.location": str(connection["ssl.ca.location"])}
    return found


def _principal(security: str, bootstrap: str, uri: str) -> dict[str, str]:
    """Sign in as a service principal, by the client's own means (RFC 6749, client credentials); other identities need code in Java."""
    tenant, client, secret = (os.environ.get(name) for name in PRINCIPAL)
    if not (tenant and client and secret):
        raise ConfigurationError(
            f"Spark can't sign in to {uri}: its Java client takes a connection string or a service principal.",
            state="nothing was read",
            next=f"set {', '.join(PRINCIPAL)}, or {CONNECTION_VARIABLE}; or stream with --engine embedded",
        )
    scope = f"https://{bootstrap.split(',', maxsplit=1)[0].partition(':')[0]}/.default"
    return {
        "kafka.sasl.login.callback.handler.class": f"{security}.oauthbearer.secured.OAuthBearerLoginCallbackHandler",
        "kafka.sasl.oauthbearer.token.endpoint.url": f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        "kafka.sasl.jaas.config": f"{security}.oauthbearer.OAuthBearerLoginModule required "
        f"{_jaas(clientId=client, clientSecret=secret, scope=scope)};",
    }


def _jaas(**named: str) -> str:
    quoted = {name: value.replace("\\", "\\\\").replace('"', '\\"') for name, value in named.items()}
    return " ".join(f'{name}="{value}"' for name, value in quoted.items())
