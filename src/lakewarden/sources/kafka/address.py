"""What a user names: `kafka://host:port/topic` or `eventhub://namespace/topic`, and where reading begins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qs, urlsplit

from lakewarden.errors import UsageError

GROUP: Final = "lakewarden"
PORT: Final = {"kafka": 9092, "eventhub": 9093}
SERVICE: Final = "servicebus.windows.net"
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
_OPTIONS: Final = {"kafka": {"group"}, "eventhub": {"group", "connection"}}


@dataclass(frozen=True)
class Address:
    """Where a topic is.

    Attributes:
        scheme: `kafka` or `eventhub`.
        bootstrap: brokers as `host:port,host:port`.
        topic: its name.
        group: the consumer group under which offsets are committed for lag tools.
        connection: reference to an Event Hubs connection string, empty for none.
    """

    scheme: str
    bootstrap: str
    topic: str
    group: str = GROUP
    connection: str = ""

    @property
    def uri(self) -> str:
        """The address as text; it has no secrets, so it may be shown."""
        return f"{self.scheme}://{self.bootstrap}/{self.topic}"


def is_topic(uri: str) -> bool:
    """Whether a text names a topic."""
    return uri.lower().startswith(("kafka://", "eventhub://"))


def parse_address(uri: str) -> Address:
    """Read an address.

    Raises:
        UsageError: it isn't complete, or holds a user and a password.
    """
    scheme, _, rest = uri.partition("://")
    scheme = scheme.lower()
    parts = urlsplit(f"//{rest}")
    if "@" in parts.netloc:
        advice = "name them by reference in a file: --source-config FILE"
        raise _refused(f"{scheme}:// takes no user and password: they would be seen", advice)
    topic = parts.path.strip("/")
    if not parts.netloc or not _TOPIC.fullmatch(topic):
        raise _refused(f"{uri} names no topic", f"write it as {_form(scheme)}")
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    unknown = sorted(set(options) - _OPTIONS[scheme])
    if unknown:
        raise _refused(f"{uri}: {unknown[0]} is no option of {scheme}://", f"known are {', '.join(sorted(_OPTIONS[scheme]))}")
    return Address(scheme, _brokers(scheme, parts.netloc, uri), topic, options.get("group", GROUP), options.get("connection", ""))


def _brokers(scheme: str, hosts: str, uri: str) -> str:
    found = []
    for host in hosts.split(","):
        name, _, port = host.rpartition(":") if ":" in host else (host, "", "")
        if not name or (port and not port.isdigit()):
            raise _refused(f"{uri}: {host!r} is no host", f"write it as {_form(scheme)}")
        if scheme == "eventhub" and "." not in name and name != "localhost":
            name = f"{name}.{SERVICE}"
        found.append(f"{name}:{port or PORT[scheme]}")
    return ",".join(found)


def _form(scheme: str) -> str:
    return "kafka://host:port/topic" if scheme == "kafka" else "eventhub://namespace/topic"


@dataclass(frozen=True)
class Start:
    """Where reading begins in partitions of which nothing was ever taken.

    Attributes:
        kind: `earliest`, `latest`, `time` or `offsets`.
        time_ms: for `time`: the first event with this timestamp or a later one (milliseconds UTC).
        offsets: for `offsets`: the first offset by partition; partitions that aren't named begin at their earliest.
    """

    kind: str = "earliest"
    time_ms: int = 0
    offsets: Mapping[int, int] = field(default_factory=dict)


def parse_start(text: str | None) -> Start:
    """Read a start: `earliest`, `latest`, a time (ISO 8601, UTC where it doesn't say), or `0:1200,1:0` (partition:offset).

    Raises:
        UsageError: it's none of these.
    """
    if text is None or text in ("earliest", "latest"):
        return Start(text or "earliest")
    if re.fullmatch(r"\d+:\d+(,\d+:\d+)*", text):
        return Start("offsets", offsets={int(p): int(o) for p, o in (pair.split(":") for pair in text.split(","))})
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is no start",
            state="nothing was read",
            next="write earliest, latest, a time such as 2026-01-05T06:00:00Z, or offsets such as 0:1200,1:0",
        ) from error
    instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return Start("time", time_ms=int(instant.timestamp() * 1000))


def _refused(what: str, advice: str) -> UsageError:
    return UsageError(what, state="nothing was read", next=advice)
