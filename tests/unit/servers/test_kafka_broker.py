"""The broker that `make kafka` and the tests run: it keeps its events, ends when it should, and says what is wrong."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import kafka_jars
import pytest
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from kafka_broker import Broker
from kafka_jars import BrokerError, UnavailableError
from kafka_process import running

from servers.kafka import JVM, KafkaBroker

ENVIRONMENT = dict(os.environ, JAVA_TOOL_OPTIONS=" ".join(JVM))
SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "kafka.py"


def command(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, words)],
        env=dict(ENVIRONMENT, **environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline, f"process {pid} is still there"
        time.sleep(0.05)


@pytest.fixture
def java() -> str:
    try:
        return kafka_jars.find_java()
    except UnavailableError as error:
        pytest.skip(str(error).replace("\n", " "))


class TestTopics:
    def test_what_is_produced_can_be_read(self, kafka_broker: KafkaBroker):
        topic = kafka_broker.new_topic(partitions=2)
        kafka_broker.produce(topic, [("a", "1", 0, 1_700_000_000_000), ("b", b"2", 1, None), (None, "3", 1, None)])
        kafka_broker.produce(topic, [("a", "keyed")])
        found = kafka_broker.messages(topic)
        assert {(m.key(), m.value(), m.partition()) for m in found if m.value() != b"keyed"} == {
            (b"a", b"1", 0),
            (b"b", b"2", 1),
            (None, b"3", 1),
        }
        assert found[0].timestamp()[1] == 1_700_000_000_000
        assert len(found) == 4
        assert kafka_broker.uri(topic) == f"kafka://127.0.0.1:{kafka_broker.port}/{topic}"

    def test_partitions_are_added_and_oldest_events_deleted(self, kafka_broker: KafkaBroker):
        topic = kafka_broker.new_topic(partitions=1)
        kafka_broker.produce(topic, [(None, str(n)) for n in range(10)])
        kafka_broker.delete_records(topic, {0: 4})
        kafka_broker.add_partitions(topic, 3)
        assert kafka_broker.offsets(topic) == {0: (4, 10), 1: (0, 0), 2: (0, 0)}
        assert [message.offset() for message in kafka_broker.messages(topic)] == [4, 5, 6, 7, 8, 9]

    def test_events_expire_where_the_topic_says_so(self, kafka_broker: KafkaBroker):
        kept, expiring = kafka_broker.new_topic(partitions=1), kafka_broker.new_topic(partitions=1, retention_ms=1000)
        for topic in (kept, expiring):
            kafka_broker.produce(topic, [(None, "old", 0, 1_700_000_000_000)])
        deadline = time.monotonic() + 30
        while kafka_broker.offsets(expiring) != {0: (1, 1)}:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert kafka_broker.offsets(kept) == {0: (0, 1)}

    def test_a_deleted_topic_stays_deleted(self, kafka_broker: KafkaBroker):
        topic = kafka_broker.new_topic()
        kafka_broker.delete_topic(topic)
        Producer({"bootstrap.servers": kafka_broker.bootstrap}).list_topics(topic, timeout=20)  # would make it, if the broker made topics
        assert kafka_broker.partitions(topic) == 0

    def test_a_topic_that_is_there_stays_as_it_is(self, kafka_broker: KafkaBroker):
        topic = kafka_broker.new_topic(partitions=3)
        kafka_broker.broker.create_topic(topic, 5)
        assert kafka_broker.partitions(topic) == 3

    def test_a_name_that_kafka_refuses(self, kafka_broker: KafkaBroker):
        with pytest.raises(BrokerError, match=r"can't make the topic not/a/name: .*\nnext: name another topic"):
            kafka_broker.broker.create_topic("not/a/name", 1)


class TestTrouble:
    def test_a_crash_loses_no_acknowledged_event(self, kafka_broker: KafkaBroker):
        topic = kafka_broker.new_topic(partitions=1)
        kafka_broker.produce(topic, [(None, str(n)) for n in range(1000)])
        port, pid = kafka_broker.port, kafka_broker.broker.pid
        kafka_broker.kill()
        wait_until_gone(pid)
        assert not kafka_broker.broker.alive
        kafka_broker.start_again()
        assert kafka_broker.port == port
        assert [int(message.value()) for message in kafka_broker.messages(topic)] == list(range(1000))

    def test_a_paused_broker_answers_late(self, kafka_broker: KafkaBroker):
        topic = kafka_broker.new_topic(partitions=1)
        kafka_broker.pause()
        writer = threading.Thread(target=kafka_broker.produce, args=(topic, [(None, "held")]))
        writer.start()
        writer.join(0.5)
        assert writer.is_alive()
        kafka_broker.resume()
        writer.join(30)
        assert [message.value() for message in kafka_broker.messages(topic)] == [b"held"]


class TestSecureListener:
    def cluster_of(self, broker: KafkaBroker, **other: Any) -> set[str]:
        """Return the brokers that a client sees at the secure port; raises what the client has to say."""
        errors: list[str] = []
        named = {key.replace("_", "."): value for key, value in other.items()}
        admin = AdminClient(broker.secure_settings | named | {"error_cb": lambda error: errors.append(error.str()), "log_level": 0})
        for _ in range(60):
            try:
                return {f"{broker.host}:{broker.port}" for broker in admin.list_topics(timeout=0.5).brokers.values()}
            except KafkaException:
                admin.poll(0)
            if errors:
                break
        raise ConnectionError("; ".join(errors))

    def test_password(self, secure_broker: KafkaBroker):
        assert self.cluster_of(secure_broker) == {f"127.0.0.1:{secure_broker.secure_port}"}
        with pytest.raises(ConnectionError, match=r"(?i)authentication failed"):
            self.cluster_of(secure_broker, sasl_password=secure_broker.password + "=")

    def test_unsecured_token(self, secure_broker: KafkaBroker):
        token = {
            "sasl_mechanisms": "OAUTHBEARER",
            "enable_sasl_oauthbearer_unsecure_jwt": True,
            "sasl_oauthbearer_config": "principal=tests",
        }
        assert self.cluster_of(secure_broker, **token) == {f"127.0.0.1:{secure_broker.secure_port}"}

    def test_certificate_has_to_be_trusted(self, secure_broker: KafkaBroker):
        with pytest.raises(ConnectionError, match="certificate verify failed"):
            self.cluster_of(secure_broker, ssl_ca_location="probe")

    def test_plain_text_port_is_open_too(self, secure_broker: KafkaBroker):
        topic = secure_broker.new_topic(partitions=1)
        secure_broker.produce(topic, [(None, "plain")])
        assert len(secure_broker.messages(topic)) == 1


class TestCommands:
    def test_start_status_stop(self, java: str, tmp_path: Path):
        data = tmp_path / "a folder, with comma"
        started = command("start", "--port", 0, "--data", data, "--topic", "payments", "--partitions", 2)
        try:
            assert started.returncode == 0, started.stderr
            uri = started.stdout.splitlines()[0]
            assert uri.startswith("kafka://127.0.0.1:")
            assert uri.endswith("/payments")
            assert f"lakewarden simulate --out {uri}" in started.stdout
            assert f"--source {uri}" in started.stdout

            again = command("start", "--port", 0, "--data", data)
            assert again.returncode == 1
            assert "already" in again.stderr
            assert "next: python scripts/kafka.py stop --data" in again.stderr

            status = command("status", "--data", data)
            assert status.returncode == 0, status.stderr
            assert status.stdout.startswith(uri.removesuffix("/payments"))
            state = running(data)
            assert state is not None
        finally:
            stopped = command("stop", "--data", data)
        assert stopped.returncode == 0, stopped.stderr
        wait_until_gone(state["pid"])
        for word in ("stop", "status"):
            said = command(word, "--data", data)
            assert said.returncode == 1
            assert said.stderr.startswith("No broker runs in ")

    @pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
    def test_in_the_foreground_it_ends_with_the_command(self, java: str, tmp_path: Path, ending: signal.Signals):
        words = [sys.executable, str(SCRIPT), "start", "--foreground", "--port", "0", "--data", str(tmp_path)]
        with subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as shell:
            assert shell.stdout is not None
            assert shell.stdout.readline().startswith("kafka://")
            state = running(tmp_path)
            assert state is not None
            shell.send_signal(ending)
            rest = shell.stdout.read()
        wait_until_gone(state["pid"])
        if ending != signal.SIGKILL:
            assert shell.returncode == 0
            assert rest.endswith("The broker has stopped.\n")

    def test_help_gives_examples(self):
        for words in (["--help"], ["start", "--help"]):
            said = command(*words)
            assert said.returncode == 0
            assert "python scripts/kafka.py start --foreground" in said.stdout


class TestErrors:
    def test_port_is_taken(self, java: str, tmp_path: Path):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            said = command("start", "--port", port, "--data", tmp_path)
        assert (said.returncode, said.stdout) == (1, "")
        assert said.stderr.startswith(f"Port {port} on 127.0.0.1 is taken by another program.\nnext: name another one: --port ")

    @pytest.mark.parametrize("port", ["-1", "65536", "ninety"])
    def test_no_port(self, port: str):
        said = command("start", f"--port={port}")
        assert said.returncode == 2
        assert f"{port} is not a port" in said.stderr

    def test_no_java(self, tmp_path: Path):
        said = command("start", "--port", 0, "--data", tmp_path / "data", PATH=str(tmp_path), JAVA_HOME="")
        assert (said.returncode, said.stdout) == (1, "")
        assert said.stderr.startswith("Kafka needs Java 17 or later: JAVA_HOME is empty and no java is on PATH.\nnext: install it")
        assert "Traceback" not in said.stderr

    def test_the_broker_says_why_it_does_not_start(self, java: str, tmp_path: Path):
        with pytest.raises(
            BrokerError, match=r"The broker (ended while starting|could not make its storage): .*num.io.threads.*\nnext: read "
        ):
            Broker(tmp_path, settings={"num.io.threads": "none"}).start()
        assert running(tmp_path) is None
