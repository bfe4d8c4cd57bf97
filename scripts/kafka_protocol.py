"""As much of Kafka's protocol as it takes to ask a broker whether it is ready, and for a topic: https://kafka.apache.org/protocol"""

from __future__ import annotations

import socket
import struct

from kafka_config import HOST
from kafka_jars import BrokerError

METADATA, CREATE_TOPICS = (3, 7), (19, 4)  # request types and the versions of them that are spoken here
TOPIC_ALREADY_EXISTS = 36


def answers(port: int, timeout: float = 5) -> bool:
    """Whether a broker that is ready to serve answers at a port."""
    try:
        answer = _ask(port, METADATA, struct.pack(">i?", 0, False), timeout)  # of no topic
    except (OSError, struct.error):
        return False
    return len(answer) >= 12 and int(struct.unpack_from(">i", answer, 8)[0]) > 0  # it lists itself once it has registered


def create_topic(port: int, topic: str, partitions: int, timeout: float = 30) -> None:
    """Make a topic; one that is there stays as it is."""
    name = topic.encode()
    try:
        # One topic: its name, so many partitions, one replica, no assignments, no settings; the patience in ms; not merely a check.
        body = struct.pack(f">ih{len(name)}sihiii?", 1, len(name), name, partitions, 1, 0, 0, int(timeout * 1000), False)
        answer = _ask(port, CREATE_TOPICS, body, timeout)
        code, length = struct.unpack_from(">hh", answer, 14 + len(name))  # after three numbers and the name
    except (OSError, struct.error) as error:
        raise BrokerError(f"The broker gives no answer about the topic {topic}: {error}.", "look at broker.log in its folder") from None
    if code not in (0, TOPIC_ALREADY_EXISTS):
        said = answer[18 + len(name) :][:length].decode() if length > 0 else f"error {code}"
        raise BrokerError(f"The broker can't make the topic {topic}: {said.rstrip('.')}.", "name another topic or number of partitions")


def _ask(port: int, kind: tuple[int, int], body: bytes, timeout: float) -> bytes:
    """Return the answer to one request, from its correlation id on."""
    request = struct.pack(">hhih", *kind, 1, -1) + body  # the first request of a client without a name
    with socket.create_connection((HOST, port), timeout) as connection, connection.makefile("rb") as incoming:
        connection.sendall(struct.pack(">i", len(request)) + request)
        (length,) = struct.unpack(">i", incoming.read(4))
        return incoming.read(length)
