"""An Apache Kafka broker as a fixture: one per test process, on free ports, in a temporary folder, started when a test first asks for it.

Tests that use it are skipped, with the reason, where there is no Java or the jars can't be had.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic
from kafka_broker import Broker
from kafka_config import HOST
from kafka_jars import UnavailableError

PASSWORD = "Endpoint=sb://127.0.0.1/;SharedAccessKeyName=tests;SharedAccessKey=aB3/dE+fG=="  # of the form that Event Hubs gives out
SETTINGS = {"log.retention.check.interval.ms": "1000", "log.initial.task.delay.ms": "1000"}  # events expire while a test looks on
JVM = ("-XX:TieredStopAtLevel=1",)  # a broker that lives for minutes: most of its processor time would go into optimising it
SECONDS = 30

# key, value, partition and timestamp in milliseconds; what isn't given is the producer's choice
Event = tuple[str | bytes | None, str | bytes | None] | tuple[str | bytes | None, str | bytes | None, int | None, int | None]


class KafkaBroker:
    """A broker that tests may hold and crash: `new_topic` brings it back for the test that comes next.

    It makes no topics by itself, so that a deleted one stays deleted.

    Attributes:
        broker: the process.
        password: of the user `$ConnectionString` at the secure port.
    """

    def __init__(self, data: Path, *, secure: bool = False) -> None:
        self.password = PASSWORD
        self.broker = Broker(data, auto_create_topics=False, secure=secure, password=PASSWORD, settings=SETTINGS, jvm=JVM)

    @property
    def port(self) -> int:
        """Where it answers in plain text."""
        return self.broker.port

    @property
    def bootstrap(self) -> str:
        """Host and port of the plain text listener: `bootstrap.servers`."""
        return f"{HOST}:{self.port}"

    @property
    def secure_port(self) -> int:
        """Where `secure_broker` answers with SASL_SSL."""
        return self.broker.secure_port

    @property
    def ca_file(self) -> Path:
        """The certificate, PEM, that a client of the secure port has to trust."""
        return self.broker.ca_file

    @property
    def secure_settings(self) -> dict[str, Any]:
        """What a Confluent client needs for the secure port, with the mechanism PLAIN."""
        return {
            "bootstrap.servers": f"{HOST}:{self.secure_port}",
            "security.protocol": "SASL_SSL",
            "sasl.mechanisms": "PLAIN",
            "sasl.username": "$ConnectionString",
            "sasl.password": self.password,
            "ssl.ca.location": str(self.ca_file),
        }

    def uri(self, topic: str) -> str:
        """The topic's address for `--source` and `--out`."""
        return self.broker.uri(topic)

    def new_topic(self, partitions: int = 4, name: str | None = None, **configs: object) -> str:
        """Make an empty topic and return its name; settings as Kafka names them, with `_` for `.`: `retention_ms=1000`."""
        self.start_again()
        self.resume()
        name = name or f"t-{uuid.uuid4().hex}"
        settings = {key.replace("_", "."): str(value) for key, value in configs.items()}
        self._ask(lambda admin: admin.create_topics([NewTopic(name, partitions, 1, config=settings)]))
        self._until(lambda: self.partitions(name) == partitions, f"{name} has {partitions} partitions")
        return name

    def delete_topic(self, topic: str) -> None:
        """Delete a topic; return once it is gone."""
        self._ask(lambda admin: admin.delete_topics([topic], operation_timeout=SECONDS))
        self._until(lambda: self.partitions(topic) == 0, f"{topic} is gone")

    def add_partitions(self, topic: str, total: int) -> None:
        """Give a topic more partitions, so many in all."""
        self._ask(lambda admin: admin.create_partitions([NewPartitions(topic, total)]))
        self._until(lambda: self.partitions(topic) == total, f"{topic} has {total} partitions")

    def delete_records(self, topic: str, before: Mapping[int, int]) -> None:
        """Delete a topic's oldest events: in each partition named, those before an offset."""
        self._ask(lambda admin: admin.delete_records([TopicPartition(topic, partition, offset) for partition, offset in before.items()]))

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has; 0 where there is no such topic."""
        found = self._admin().list_topics(timeout=SECONDS).topics.get(topic)
        return len(found.partitions) if found else 0

    def produce(self, topic: str, events: Iterable[Event]) -> None:
        """Write events to a topic; return once the broker has acknowledged each of them."""
        refused: list[Any] = []
        producer = Producer({"bootstrap.servers": self.bootstrap, "linger.ms": 5, "message.timeout.ms": SECONDS * 1000})
        for event in events:
            key, value, partition, timestamp = event if len(event) == 4 else (*event, None, None)
            optional = {} if partition is None else {"partition": partition}
            optional |= {} if timestamp is None else {"timestamp": timestamp}
            while True:
                try:
                    producer.produce(topic, value, key, on_delivery=lambda error, _: refused.append(error) if error else None, **optional)
                    break
                except BufferError:
                    producer.poll(0.1)
        left = producer.flush(SECONDS)
        if left or refused:
            raise KafkaException(refused[0]) if refused else TimeoutError(f"{left} events are not acknowledged")

    def offsets(self, topic: str) -> dict[int, tuple[int, int]]:
        """Of each partition: the first offset that it still has, and the next one that it will give."""
        with self._consumer() as consumer:
            return {p: self._ends(consumer, TopicPartition(topic, p)) for p in range(self.partitions(topic))}

    def _ends(self, consumer: Consumer, place: TopicPartition) -> tuple[int, int]:
        """Also of a broker that was just started: it answers a moment before it leads its partitions again."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                found = consumer.get_watermark_offsets(place, timeout=SECONDS)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return found

    def messages(self, topic: str) -> list[Message]:
        """Everything that a topic has now, partition by partition."""
        ends = {partition: end for partition, (first, end) in self.offsets(topic).items() if end > first}
        found: list[Message] = []
        with self._consumer() as consumer:
            consumer.assign([TopicPartition(topic, partition, 0) for partition in ends])
            deadline = time.monotonic() + SECONDS
            while ends and time.monotonic() < deadline:
                for message in consumer.consume(10_000, timeout=0.2):
                    if message.error():
                        raise KafkaException(message.error())
                    found.append(message)
                for place in consumer.position([TopicPartition(topic, partition) for partition in ends]):
                    if place.offset >= ends[place.partition]:
                        del ends[place.partition]
        if ends:
            raise TimeoutError(f"{topic}: no more events than {len(found)} within {SECONDS} s")
        return sorted(found, key=lambda message: (message.partition(), message.offset()))

    def kill(self) -> None:
        """End the broker without warning, as a crash does."""
        self.broker.kill()

    def start_again(self) -> None:
        """Start a broker that was killed, at the same port and with the same events; return once it answers."""
        self.broker.start()

    def pause(self) -> None:
        """Hold the broker: connections stay open, and nobody answers."""
        self.broker.pause()

    def resume(self) -> None:
        """Let a paused broker go on."""
        self.broker.resume()

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap})

    @contextmanager
    def _consumer(self) -> Iterator[Consumer]:
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": uuid.uuid4().hex, "auto.offset.reset": "earliest"})
        try:
            yield consumer
        finally:
            consumer.close()

    def _ask(self, what: Callable[[AdminClient], Mapping[Any, Any]]) -> None:
        admin = self._admin()
        for future in what(admin).values():
            future.result(SECONDS)

    def _until(self, true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not true():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {SECONDS} s: {what}")
            time.sleep(0.02)


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A broker in plain text, one for all tests of a process."""
    with _running(tmp_path_factory.mktemp("kafka"), secure=False) as broker:
        yield broker


@pytest.fixture(scope="session")
def secure_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A broker that has a SASL_SSL listener besides, one for all tests of a process."""
    with _running(tmp_path_factory.mktemp("kafka-secure"), secure=True) as broker:
        yield broker


@contextmanager
def _running(data: Path, *, secure: bool) -> Iterator[KafkaBroker]:
    broker = KafkaBroker(data, secure=secure)
    try:
        broker.start_again()
    except UnavailableError as error:
        pytest.skip(str(error).replace("\n", " "))
    try:
        yield broker
    finally:
        broker.kill()  # its folder goes with the tests'
