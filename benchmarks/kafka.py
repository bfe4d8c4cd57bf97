"""Kafka to all tables, with a real broker on the same two cores: the rate beside the file source's in the same run, and event to gold at a
set rate from the broker's timestamp to the published point. Needs Java; the broker is the one of `make kafka`."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from confluent_kafka import Producer
from latency import WARM_UP, published, stamped, streaming, templates
from row import Row
from throughput import BATCH_ROWS, child

sys.path.append(str(Path(__file__).parents[1] / "scripts"))
from kafka_broker import Broker  # a script, not a package

PARTITIONS = 4
TICK = 0.01
ACCOUNT = re.compile(rb'"account_id":"([^"]*)"')
ENQUEUED = re.compile(rb'"enqueued_time":"([^"]*)"')


def produce(bootstrap: str, topic: str, events: Iterable[bytes]) -> int:
    """Write a simulation's events to a topic, keyed by account, with the time in their envelope as timestamp."""
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": "lz4", "linger.ms": 20, "batch.size": 1_000_000})
    count = 0
    for body in events:
        account, enqueued = ACCOUNT.search(body), ENQUEUED.search(body)
        timestamp = int(datetime.fromisoformat(enqueued[1].decode()).timestamp() * 1000) if enqueued else 0
        while True:
            try:
                producer.produce(topic, body, key=account[1] if account else b"", timestamp=timestamp)
                break
            except BufferError:
                producer.poll(0.05)
        count += 1
    producer.flush()
    return count


def lines(simulation: Path) -> Iterable[bytes]:
    for path in sorted((simulation / "events").glob("*.jsonl")):
        yield from path.read_bytes().splitlines()


def feed(bootstrap: str, topic: str, bodies: list[bytes], rate: float, seconds: float) -> int:
    """Produce `rate` events a second; the broker's timestamp is the moment of producing."""
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": "lz4", "linger.ms": 2})
    started, written = time.monotonic(), 0
    while (elapsed := time.monotonic() - started) < seconds:
        due = int(elapsed * rate)
        for body in stamped(bodies, written, due):
            account = ACCOUNT.search(body)
            producer.produce(topic, body, key=account[1] if account else b"")
        producer.poll(0)
        written = due
        time.sleep(TICK)
    producer.flush()
    return written


def rates(scratch: Path, broker: Broker, simulation: Path) -> list[Row]:
    """File and topic, one after the other, each on a lake of its own with the same model."""
    history = simulation.parent / "history"
    count = produce(f"127.0.0.1:{broker.port}", "big", lines(simulation))
    figures = {}
    for name, source in (("file", str(simulation)), ("kafka", broker.uri("big"))):
        lake = scratch / f"rate-{name}"
        shutil.copytree(scratch / "trained", lake)
        os.sync()
        figures[name] = json.loads(child(str(Path(__file__).with_name("throughput.py")), "rate", str(lake), source, str(history)))
        shutil.rmtree(lake)
    file, topic = (figures[name]["rows"] / figures[name]["seconds"] for name in ("file", "kafka"))
    note = f"{count} events, {PARTITIONS} partitions, micro-batches of {BATCH_ROWS}, broker on the same machine"
    return [
        Row("kafka_to_gold", topic, "events/s", "file_to_gold, same run", file, 100_000, note),
        Row(
            "kafka_to_gold_cpu",
            figures["kafka"]["cpu_us"],
            "us/event",
            "file, same run",
            figures["file"]["cpu_us"],
            note="without the broker's",
        ),
        Row("kafka_to_gold_peak_memory", figures["kafka"]["peak_gb"], "GB", "file, same run", figures["file"]["peak_gb"]),
    ]


def delays(scratch: Path, broker: Broker, simulation: Path, rate: int, seconds: float, goal: float) -> list[Row]:
    """Percentiles over events that came after a warm-up."""
    topic = f"live-{rate}"
    broker.create_topic(topic, PARTITIONS)
    bodies = templates(simulation, round(rate * (WARM_UP + seconds)) + 1)
    warm = round(rate * WARM_UP)
    with streaming(scratch / "trained", scratch / f"kafka-lake-{rate}", broker.uri(topic)) as lake_path:
        bootstrap = f"127.0.0.1:{broker.port}"
        feed(bootstrap, topic, bodies[:warm], rate, WARM_UP)
        since = datetime.now().astimezone()
        written = feed(bootstrap, topic, [body.replace(b"#", b"m#") for body in bodies[warm:]], rate, seconds)
        time.sleep(2)
    waited = published(lake_path, "enqueued_time", since)
    if waited.len() < written * 0.98:
        raise RuntimeError(f"only {waited.len()} of {written} events arrived in time at {rate} a second")
    note = f"{waited.len()} events in {seconds:.0f} s, from the broker's timestamp to the published point"
    return [
        Row(f"kafka_p50_{rate}", float(waited.quantile(0.5)), "s", note=note),
        Row(f"kafka_p95_{rate}", float(waited.quantile(0.95)), "s", "service level", 60.0, goal, note),
        Row(f"kafka_p99_{rate}", float(waited.quantile(0.99)), "s", note=note),
    ]


def run(scratch: Path, simulation: Path, million: Path, seconds: float = 30.0) -> list[Row]:
    """All rows; none where there is no Java."""
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        print("kafka: no Java, so no broker: skipped", file=sys.stderr)
        return []
    with Broker(scratch / "broker", partitions=PARTITIONS) as broker:
        broker.create_topic("big", PARTITIONS)
        return [
            *rates(scratch, broker, simulation),
            *delays(scratch, broker, million, 1_200, seconds, 0.5),
            *delays(scratch, broker, million, 12_000, seconds, 1.0),
        ]
