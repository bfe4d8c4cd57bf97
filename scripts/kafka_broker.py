"""One Apache Kafka broker on loopback, in a folder of its own: started, stopped, killed, paused and resumed by its process id.

It needs no packages: `scripts/kafka.py` is its command line, and the tests' fixture uses the same class.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import kafka_protocol
from kafka_config import HOST, free_port, make_certificate, new_cluster_id, port_problem, write_configuration
from kafka_jars import REPOSITORY, BrokerError, class_path, find_java, locked
from kafka_process import STOP_SECONDS, configuration, guard_of, running, state_file

START_SECONDS = 90
JVM = (
    "-Xmx512m",
    "-Xms256m",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Djava.io.tmpdir=tmp",
    "-Dlog4j2.configurationFile=log4j2.properties",
)


class Broker:
    """A broker; as a context manager it runs inside the block.

    Args:
        data: its folder: configuration, log (`broker.log`), and what it stores. The next broker of that folder has the same topics.
        port: where it answers in plain text; a free one without.
        partitions: of topics that are made by a producer's first event.
        auto_create_topics: whether there are such topics.
        secure: open a SASL_SSL listener too, for the mechanisms PLAIN (user `$ConnectionString`) and OAUTHBEARER (unsecured tokens).
        password: of the user `$ConnectionString`.
        settings: more of Kafka's own settings, which win over those above.
        jvm: more options of Java's.
        detached: let the broker outlive this process; otherwise it ends with this process, in whatever way that ends.
        install_java: try to install Java where there is none.
        repository: the Maven repository that missing jars come from.
    """

    def __init__(
        self,
        data: Path,
        *,
        port: int | None = None,
        partitions: int = 4,
        auto_create_topics: bool = True,
        secure: bool = False,
        password: str = "",
        settings: Mapping[str, str] | None = None,
        jvm: Sequence[str] = (),
        detached: bool = False,
        install_java: bool = False,
        repository: str = REPOSITORY,
    ) -> None:
        self.data = data.resolve()
        self.secure = secure
        self.password = password
        self._port = port
        self._secure_port: int | None = None
        self._settings = {
            "num.partitions": str(partitions),
            "auto.create.topics.enable": str(auto_create_topics).lower(),
            **(settings or {}),
        }
        self._jvm = jvm
        self._detached = detached
        self._install_java = install_java
        self._repository = repository
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """Where it answers in plain text; the same after each start."""
        assert self._port is not None, "the broker has not been started"
        return self._port

    @property
    def secure_port(self) -> int:
        """Where it answers with SASL_SSL; the same after each start."""
        assert self._secure_port is not None, "the broker has not been started with secure=True"
        return self._secure_port

    @property
    def ca_file(self) -> Path:
        """The certificate, PEM, that a client of the secure port has to trust."""
        return self.data / "ca.pem"

    @property
    def log(self) -> Path:
        """What the broker has to say."""
        return self.data / "broker.log"

    @property
    def pid(self) -> int:
        """The broker's process id."""
        assert self._process is not None, "the broker is not running"
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the broker's process is there; it may be paused."""
        return self._process is not None and self._process.poll() is None

    def uri(self, topic: str) -> str:
        """The topic's address for `--source` and `--out`."""
        return f"kafka://{HOST}:{self.port}/{topic}"

    def start(self) -> None:
        """Return once the broker answers; after `stop` or `kill` it has the same port, topics and events again."""
        if self.alive:
            return
        java, jars = find_java(install=self._install_java), class_path(repository=self._repository)
        try:
            (self.data / "tmp").mkdir(parents=True, exist_ok=True)
            with locked(self.data / "start.lock"):
                if other := running(self.data):
                    raise BrokerError(
                        f"A broker runs in {self.data} already, at {HOST}:{other['port']} (process {other['pid']}).",
                        f"python scripts/kafka.py stop --data {shlex.quote(str(self.data))}",
                    )
                if self.secure:
                    make_certificate(java, self.data)
                self._start_at_free_ports([java, *JVM, *self._jvm, "-cp", jars])
        except OSError as error:
            raise BrokerError(f"Can't use the folder {self.data}: {error.strerror}.", "name another one with --data") from None

    def stop(self) -> None:
        """Let the broker finish what it does and end; it is killed where that takes too long."""
        if self._process is None:
            return
        self.resume()
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the broker without warning (SIGKILL), as a crash does; what it stored remains."""
        if self._process is not None:
            self._process.kill()
            self.wait()

    def wait(self) -> int:
        """Return the broker's exit code, once it has ended."""
        assert self._process is not None, "the broker is not running"
        code = self._process.wait()
        self._process = None
        state_file(self.data).unlink(missing_ok=True)
        if self._guard is not None:
            self._guard.kill()  # before its pipe closes, which is its signal to act
            self._guard.communicate()
            self._guard = None
        return code

    def pause(self) -> None:
        """Hold the broker (SIGSTOP): connections stay open, and nobody answers."""
        if self.alive:
            os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused broker go on (SIGCONT)."""
        if self.alive:
            os.kill(self.pid, signal.SIGCONT)

    def create_topic(self, topic: str, partitions: int) -> None:
        """Make a topic; one that is there stays as it is."""
        kafka_protocol.create_topic(self.port, topic, partitions)

    def _start_at_free_ports(self, java: list[str]) -> None:
        chosen, chosen_secure = self._port, self._secure_port
        for attempt in range(3):
            self._port = chosen or free_port()
            self._secure_port = chosen_secure or (free_port() if self.secure else None)
            _refuse_unusable(self._port)
            write_configuration(
                self.data,
                port=self._port,
                controller_port=free_port(),
                secure_port=self._secure_port,
                password=self.password,
                settings=self._settings,
            )
            said_before = self.log.stat().st_size if self.log.exists() else 0
            try:
                if not (self.data / "log" / "meta.properties").exists():
                    self._format(java)
                return self._launch(java)
            except BrokerError:
                # Between our look and the broker's, somebody else may have taken a port.
                if attempt == 2 or b"Address already in use" not in self.log.read_bytes()[said_before:]:
                    raise

    def _format(self, java: list[str]) -> None:
        """Make the broker's storage."""
        command = [*java, "kafka.tools.StorageTool", "format", "-t", new_cluster_id(), "-c", "server.properties"]
        with self.log.open("ab") as log:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.data, check=False)
        if done.returncode:
            raise self._failed("could not make its storage")

    def _launch(self, java: list[str]) -> None:
        command = [*java, "kafka.Kafka", str(configuration(self.data))]
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C in the terminal is for us, and we stop the broker.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.data, start_new_session=True
            )
        try:
            if not self._detached:
                self._guard = guard_of(self.pid)
            state_file(self.data).write_text(json.dumps({"pid": self.pid, "port": self.port}))
            deadline = time.monotonic() + START_SECONDS
            while not kafka_protocol.answers(self.port):
                if not self.alive:
                    raise self._failed("ended while starting")
                if time.monotonic() > deadline:
                    raise self._failed(f"did not answer within {START_SECONDS} s")
                time.sleep(0.05)
        except BaseException:
            self.kill()
            raise

    def _failed(self, what: str) -> BrokerError:
        lines = self.log.read_text(errors="replace").splitlines()[-200:]
        said = next(
            (line for line in reversed(lines) if " ERROR " in line or " FATAL " in line or "Exception" in line), (lines or [""])[-1]
        )
        return BrokerError(f"The broker {what}: {said.strip()[-300:]}", f"read {self.log}")


def _refuse_unusable(port: int) -> None:
    problem = port_problem(port)
    if problem is None:
        return
    if problem.errno == errno.EADDRINUSE:
        raise BrokerError(
            f"Port {port} on {HOST} is taken by another program.",
            "name another one: --port 9093 (with make: KAFKA_PORT=9093), or --port 0 for a free one",
        )
    raise BrokerError(
        f"Port {port} on {HOST} can't be used: {problem.strerror}.",
        "name another one: --port 9092 (with make: KAFKA_PORT=9092), or --port 0 for a free one",
    )
