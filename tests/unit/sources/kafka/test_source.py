"""A topic of a real broker as a source: every event once and in order, or its loss reported."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import polars as pl
import pytest
from confluent_kafka import Consumer

from lakewarden.errors import SourceError, UsageError
from lakewarden.sources.kafka.address import Start, parse_address, parse_start
from lakewarden.sources.kafka.source import KafkaSource
from lakewarden.sources.port import Chunk, Notices

SECONDS = 30


@contextlib.contextmanager
def reading(broker, topic, positions=None, **options) -> Iterator[KafkaSource]:
    source = KafkaSource(parse_address(broker.uri(topic)), **options)
    with contextlib.closing(source):
        source.resume(positions or {})
        yield source


def events(first: int, count: int, partition: int | None = None, timestamp: int | None = None):
    return [(f"a-{n % 7}".encode(), f"e-{n}".encode(), partition, timestamp) for n in range(first, first + count)]


def read_until(source: KafkaSource, done: Callable[[list[Chunk]], bool], max_rows: int = 1000) -> list[Chunk]:
    chunks: list[Chunk] = []
    deadline = time.monotonic() + SECONDS
    while not done(chunks) and not source.exhausted:
        assert time.monotonic() < deadline, f"only {rows(chunks).height} events within {SECONDS} s"
        chunk = source.read(max_rows, 0.2)
        chunks += [chunk] if chunk is not None else []
    return chunks


def read_all(source: KafkaSource, max_rows: int = 1000) -> list[Chunk]:
    return read_until(source, lambda _: False, max_rows)


def at_least(count: int) -> Callable[[list[Chunk]], bool]:
    return lambda chunks: sum(map(len, chunks)) >= count


def rows(chunks: list[Chunk]) -> pl.DataFrame:
    if not chunks:
        return pl.DataFrame(schema={"body": pl.Binary, "partition": pl.String, "offset": pl.Int64})
    return pl.concat(pl.DataFrame({"body": c.bodies, "partition": c.partitions, "offset": c.offsets}) for c in chunks)


def taken(chunks: list[Chunk]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for chunk in chunks:
        for partition, offset in zip(chunk.partitions, chunk.offsets, strict=True):
            found.setdefault(chunk.source, {})[partition] = offset
    return found


def gaps(*notices: Notices) -> list[tuple[str, str, int, int | None]]:
    return [(g.kind, g.partition, g.first, g.last) for notice in notices for g in notice.gaps]


def test_every_event_once_by_partition_and_offset(kafka_broker):
    topic = kafka_broker.new_topic(3)
    kafka_broker.produce(topic, events(0, 500))
    with reading(kafka_broker, topic, once=True) as source:
        chunks = read_all(source, max_rows=64)
        assert (source.exhausted, source.fraction) == (True, 1.0)
    assert all(len(chunk) <= 64 for chunk in chunks)
    for chunk in chunks:
        places = list(zip(chunk.partitions, chunk.offsets, strict=True))
        assert places == sorted(places)
    expected = [(m.value(), str(m.partition()), m.offset()) for m in kafka_broker.messages(topic)]
    assert sorted(rows(chunks).rows(), key=lambda row: row[1:]) == sorted(expected, key=lambda row: row[1:])


def test_the_brokers_timestamps_are_arrival_times(kafka_broker):
    topic = kafka_broker.new_topic(1)
    kafka_broker.produce(topic, events(0, 3, 0, 1_767_592_800_123))
    with reading(kafka_broker, topic, once=True) as source:
        [chunk] = read_all(source)
    assert chunk.arrival is not None
    assert chunk.arrival.dt.timestamp("ms").to_list() == [1_767_592_800_123] * 3


def test_a_missing_value_is_an_event_without_bytes(kafka_broker):
    topic = kafka_broker.new_topic(1)
    kafka_broker.produce(topic, [(b"a", None), (b"a", b"")])
    with reading(kafka_broker, topic, once=True) as source:
        assert rows(read_all(source))["body"].to_list() == [b"", b""]


def test_it_goes_on_behind_what_was_taken(kafka_broker):
    topic = kafka_broker.new_topic(2)
    kafka_broker.produce(topic, events(0, 100))
    with reading(kafka_broker, topic) as source:
        first = read_until(source, at_least(30), max_rows=10)
    with reading(kafka_broker, topic, taken(first), once=True) as source:
        rest = read_all(source)
        assert gaps(source.take_notices()) == []
    assert sorted(rows(first + rest)["body"]) == sorted(body for _, body, *_ in events(0, 100))


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("earliest", range(50)),
        ("latest", range(40, 50)),
        ("2026-01-05T06:00:20Z", range(20, 50)),
        ("0:33", range(33, 50)),
        ("0:40", range(40, 50)),
    ],
)
def test_where_a_topic_begins(kafka_broker, start, expected):
    topic = kafka_broker.new_topic(1)
    kafka_broker.produce(topic, [(b"a", f"e-{n}".encode(), 0, 1_767_592_800_000 + n * 1000) for n in range(40)])
    with reading(kafka_broker, topic, start=parse_start(start)) as source:
        [(name, begun)] = source.take_notices().begun.items()
        assert (name, begun) == (source.name, {"0": expected[0] - 1})
        kafka_broker.produce(topic, events(40, 10, 0))
        chunks = read_until(source, at_least(len(expected)))
        assert rows(chunks)["body"].to_list() == [f"e-{n}".encode() for n in expected]
    with reading(kafka_broker, topic, {name: begun}, start=parse_start(start), once=True) as source:  # killed before its first micro-batch
        again = read_all(source)
        assert "--start was not used" in source.take_notices().remarks[0]
    assert rows(again)["offset"].to_list() == list(range(expected[0], 50))


def test_a_start_beyond_the_topic_is_refused(kafka_broker):
    topic = kafka_broker.new_topic(1)
    kafka_broker.produce(topic, events(0, 3))
    for start, says in ((Start("offsets", offsets={0: 4}), "offsets 0 to 3"), (Start("offsets", offsets={9: 0}), "no such partition")):
        with pytest.raises(UsageError, match=says), reading(kafka_broker, topic, start=start):
            pass


def test_expired_events_are_a_gap(kafka_broker):
    topic = kafka_broker.new_topic(2)
    kafka_broker.produce(topic, events(0, 20, 0) + events(20, 20, 1))
    with reading(kafka_broker, topic) as source:
        name = source.name
    kafka_broker.delete_records(topic, {0: 12})
    with reading(kafka_broker, topic, {name: {"0": 4, "1": 9}}, once=True) as source:
        assert gaps(source.take_notices()) == [("retention", "0", 5, 11)]
        found = rows(read_all(source))
    assert sorted(found.select("partition", "offset").rows()) == [("0", n) for n in range(12, 20)] + [("1", n) for n in range(10, 20)]


def test_events_that_expire_under_a_running_stream_are_a_gap(kafka_broker):
    topic = kafka_broker.new_topic(1)
    kafka_broker.produce(topic, events(0, 10))
    with reading(kafka_broker, topic) as source:
        first = read_until(source, at_least(10))
        kafka_broker.pause()  # it reads nothing while events come and go
        kafka_broker.resume()
        source._consumer.assign({})
        kafka_broker.produce(topic, events(10, 30))
        kafka_broker.delete_records(topic, {0: 25})
        source._consumer.assign(source._next)
        rest = read_until(source, at_least(15))
        assert gaps(source.take_notices()) == [("retention", "0", 10, 24)]
    assert rows(first + rest)["offset"].to_list() == [*range(10), *range(25, 40)]


def test_new_partitions_are_read_from_their_first_event(kafka_broker):
    topic = kafka_broker.new_topic(1)
    kafka_broker.produce(topic, events(0, 5, 0))
    with reading(kafka_broker, topic, start=Start("latest")) as source:
        assert source.read(10, 0.1) is None
        source.take_notices()
        kafka_broker.add_partitions(topic, 3)
        kafka_broker.produce(topic, events(5, 5, 2))
        found = rows(read_until(source, at_least(5)))
        assert source.take_notices().begun[source.name] == {"1": -1, "2": -1}
    assert found.select("partition", "offset").rows() == [("2", n) for n in range(5)]


def test_a_topic_made_anew_while_it_is_read(kafka_broker):
    """The new one has more events than were read of the old one: only its id tells them apart."""
    topic = kafka_broker.new_topic(1)
    kafka_broker.produce(topic, events(0, 10))
    with reading(kafka_broker, topic) as source:
        first, old = read_until(source, at_least(10)), source.name
        kafka_broker.delete_topic(topic)
        remade = kafka_broker.new_topic(1, name=topic)
        kafka_broker.produce(remade, events(100, 30))
        rest = read_until(source, at_least(30))
        assert source.name != old
        assert gaps(source.take_notices()) == [("recreated", "0", 10, None)]
        assert {chunk.source for chunk in rest} == {source.name}
    assert rows(first)["body"].to_list() == [f"e-{n}".encode() for n in range(10)]
    assert rows(rest)["body"].to_list() == [f"e-{n}".encode() for n in range(100, 130)]


def test_a_topic_made_anew_while_nobody_read(kafka_broker):
    topic = kafka_broker.new_topic(1)
    kafka_broker.produce(topic, events(0, 10))
    with reading(kafka_broker, topic) as source:
        positions = taken(read_until(source, at_least(10)))
    kafka_broker.delete_topic(topic)
    kafka_broker.produce(kafka_broker.new_topic(1, name=topic), events(100, 30))
    with reading(kafka_broker, topic, positions, once=True) as source:
        assert gaps(source.take_notices()) == [("recreated", "0", 10, None)]
        assert rows(read_all(source))["offset"].to_list() == list(range(30))


def test_a_topic_made_anew_with_fewer_partitions_and_events_is_read_to_its_end(kafka_broker):
    topic = kafka_broker.new_topic(3)
    kafka_broker.produce(topic, [event for p in range(3) for event in events(10 * p, 10, p)])
    with reading(kafka_broker, topic, once=True) as source:
        first = read_until(source, at_least(5), max_rows=5)
        kafka_broker.delete_topic(topic)
        kafka_broker.produce(kafka_broker.new_topic(1, name=topic), events(100, 4))
        rest = read_all(source, max_rows=5)
        assert (source.exhausted, source.fraction) == (True, 1.0)
        assert {kind for kind, *_ in gaps(source.take_notices())} == {"recreated"}
    assert rows(first + rest)["body"].to_list()[-4:] == [f"e-{n}".encode() for n in range(100, 104)]


def test_an_end_before_what_was_read_is_read_again(kafka_broker):
    topic = kafka_broker.new_topic(1)
    kafka_broker.produce(topic, events(0, 10))
    with reading(kafka_broker, topic) as source:
        name = source.name
    with reading(kafka_broker, topic, {name: {"0": 99}}, once=True) as source:
        assert gaps(source.take_notices()) == [("rewound", "0", 10, None)]
        assert source.name == f"{name}~2"
        assert rows(read_all(source))["offset"].to_list() == list(range(10))


def test_holes_in_a_log_are_no_gap(kafka_broker):
    """Transactions leave offsets behind that are no events; so does compaction."""
    from confluent_kafka import Producer

    topic = kafka_broker.new_topic(1)
    producer = Producer({"bootstrap.servers": kafka_broker.bootstrap, "transactional.id": topic})
    producer.init_transactions(SECONDS)
    for number in range(6):
        producer.begin_transaction()
        producer.produce(topic, f"e-{number}".encode())
        producer.produce(topic, f"f-{number}".encode())
        producer.abort_transaction(SECONDS) if number % 3 == 1 else producer.commit_transaction(SECONDS)
    with reading(kafka_broker, topic, once=True) as source:
        chunks = read_all(source)
        assert gaps(source.take_notices()) == []
    assert rows(chunks)["body"].to_list() == [f"{x}-{n}".encode() for n in (0, 2, 3, 5) for x in "ef"]
    with reading(kafka_broker, topic, taken(chunks), once=True) as source:
        assert read_all(source) == []
        assert gaps(source.take_notices()) == []


def test_nothing_is_handed_on_while_the_broker_is_away_and_nothing_is_lost(kafka_broker):
    topic = kafka_broker.new_topic(1)
    kafka_broker.produce(topic, events(0, 20))
    with reading(kafka_broker, topic) as source:
        first = read_until(source, at_least(5), max_rows=5)
        kafka_broker.kill()
        assert all(source.read(5, 0.1) is None for _ in range(2))
        kafka_broker.start_again()
        rest = read_until(source, at_least(15), max_rows=5)
        assert gaps(source.take_notices()) == []
        assert source.standing().troubles
    assert rows(first + rest)["offset"].to_list() == list(range(20))


def test_offsets_are_committed_for_lag_tools_and_a_stranger_in_the_group_takes_nothing(kafka_broker):
    topic = kafka_broker.new_topic(1)
    kafka_broker.produce(topic, events(0, 20))
    group = {"bootstrap.servers": kafka_broker.bootstrap, "group.id": f"g-{topic}", "auto.offset.reset": "latest"}
    source = KafkaSource(parse_address(f"{kafka_broker.uri(topic)}?group=g-{topic}"))
    stranger = Consumer(group)
    with contextlib.closing(source), contextlib.closing(stranger):
        source.resume({})
        read_until(source, at_least(20))
        source.acknowledge({"0": 19})
        source.read(1, 0.1)
        deadline = time.monotonic() + SECONDS
        while committed(group, topic) != 20 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert committed(group, topic) == 20
        stranger.subscribe([topic])
        while not stranger.assignment() and time.monotonic() < deadline:
            stranger.poll(0.1)
        assert stranger.assignment()
        kafka_broker.produce(topic, events(20, 5))
        assert rows(read_until(source, at_least(5)))["offset"].to_list() == list(range(20, 25))
        source._consumer._told = 0.0
        source.acknowledge({"0": 24})
        while "unknown_member_id" not in source.standing().troubles and time.monotonic() < deadline:
            source.read(1, 0.1)
        assert source.standing().troubles["unknown_member_id"] == 1


def committed(group: dict[str, str], topic: str) -> int:
    from confluent_kafka import TopicPartition

    with contextlib.closing(Consumer(group)) as consumer:
        return consumer.committed([TopicPartition(topic, 0)], timeout=SECONDS)[0].offset


def test_lag_by_partition(kafka_broker):
    topic = kafka_broker.new_topic(2)
    kafka_broker.produce(topic, events(0, 30, 0) + events(30, 5, 1))
    with reading(kafka_broker, topic) as source:
        read_until(source, at_least(35))
        assert {(p.partition, p.position, p.lag) for p in source.standing().partitions} == {("0", 30, 0), ("1", 5, 0)}


@pytest.mark.parametrize(("topic", "port", "says"), [("nowhere", None, "no such topic"), ("any", 1, "can't be reached")])
def test_a_source_that_is_not_there(kafka_broker, topic, port, says):
    source = KafkaSource(parse_address(f"kafka://127.0.0.1:{port or kafka_broker.port}/{topic}"))
    with contextlib.closing(source), pytest.raises(SourceError, match=says) as refused:
        source.resume({})
    assert refused.value.next
