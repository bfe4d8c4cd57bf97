"""What a broker is started with: its ports, its configuration, its logging, its certificate."""

from __future__ import annotations

import base64
import random
import socket
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from kafka_jars import BrokerError

HOST = "127.0.0.1"
PORTS = range(20_000, 32_000)
KEYSTORE_PASSWORD = "lakewarden"  # it protects a self-signed key of a broker on loopback
BEARER = "org.apache.kafka.common.security.oauthbearer"

BROKER = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "log.dirs": "log",  # relative to the broker's folder, whose name may hold a comma
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "broker.session.timeout.ms": "3000",  # a broker that was killed is let in again only once its former self is given up: 9 s otherwise
    "broker.heartbeat.interval.ms": "500",
    "group.initial.rebalance.delay.ms": "0",
    "log.retention.ms": "-1",  # events of last winter, written with their own time, would be gone in minutes otherwise
    "log.cleaner.dedupe.buffer.size": "4194304",  # 128 MB of a small heap otherwise
    "num.network.threads": "2",
    "num.io.threads": "4",
}

LOGGING = """\
status = error
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1} %m%n
"""


def free_port() -> int:
    """A port on loopback that nobody listens at."""
    # From below the ports that the system gives to outgoing connections: a client that tries to reach a stopped broker
    # might be given the broker's own port otherwise.
    for port in random.sample(PORTS, 100):
        if port_problem(port) is None:
            return port
    raise BrokerError(f"No free port on {HOST} between {PORTS[0]} and {PORTS[-1]}.", "name one with --port")


def port_problem(port: int) -> OSError | None:
    """Why a broker can't listen at a port; None where it can."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does: connections that linger don't matter
        try:
            listener.bind((HOST, port))
        except OSError as error:
            return error
    return None


def new_cluster_id() -> str:
    """Return what Kafka calls a UUID."""
    return "L" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]  # one with a leading dash would look like an option


def write_configuration(
    data: Path, *, port: int, controller_port: int, secure_port: int | None, password: str, settings: Mapping[str, str]
) -> None:
    """Write what the broker reads: `server.properties` and `log4j2.properties`."""
    listeners = {"PLAINTEXT": port} | ({"SECURE": secure_port} if secure_port else {})
    advertised = ",".join(f"{name}://{HOST}:{at}" for name, at in listeners.items())
    broker = BROKER | {
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "listeners": f"{advertised},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": advertised,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL",
        **(_secure(password) if secure_port else {}),
        **settings,
    }
    lines = [f"{name}={value}\n".replace("\\", "\\\\") for name, value in broker.items()]
    (data / "server.properties").write_text("".join(lines), encoding="latin-1")
    (data / "log4j2.properties").write_text(LOGGING)


def make_certificate(java: str, data: Path) -> None:
    """Make a self-signed certificate for loopback, `broker.p12`, and the part that clients trust, `ca.pem`."""
    if (data / "ca.pem").exists():
        return
    keytool = [str(Path(java).resolve().with_name("keytool"))]
    store = ["-alias", "broker", "-keystore", "broker.p12", "-storetype", "PKCS12", "-storepass", KEYSTORE_PASSWORD]
    (data / "broker.p12").unlink(missing_ok=True)
    key = ["-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-validity", "3650", "-dname", "CN=localhost"]
    for command in (
        [*keytool, *key, "-ext", f"san=ip:{HOST},dns:localhost", *store],
        [*keytool, "-exportcert", "-rfc", "-file", "ca.pem", *store],
    ):
        try:
            subprocess.run(command, cwd=data, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stdout", b"").decode(errors="replace").strip() or str(error)
            raise BrokerError(f"Java's keytool can't make a certificate: {said}.", "install a Java that comes with keytool") from None


def _secure(password: str) -> dict[str, str]:
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')  # with the quotes, ';' '=' and '/' mean nothing
    plain = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_$ConnectionString="{quoted}";'
    return {
        "listener.name.secure.ssl.keystore.type": "PKCS12",
        "listener.name.secure.ssl.keystore.location": "broker.p12",
        "listener.name.secure.ssl.keystore.password": KEYSTORE_PASSWORD,
        "listener.name.secure.ssl.key.password": KEYSTORE_PASSWORD,
        "listener.name.secure.sasl.enabled.mechanisms": "PLAIN,OAUTHBEARER",
        "listener.name.secure.plain.sasl.jaas.config": plain,
        "listener.name.secure.oauthbearer.sasl.jaas.config": f"{BEARER}.OAuthBearerLoginModule required;",
        "listener.name.secure.oauthbearer.sasl.server.callback.handler.class": (
            f"{BEARER}.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler"
        ),
    }
