"""How a broker is reached: librdkafka's settings, secrets resolved at the last moment, troubles counted by kind."""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml
from confluent_kafka import KafkaError

from lakewarden.errors import ConfigurationError, SourceError
from lakewarden.sources.kafka.address import SERVICE, Address
from lakewarden.sources.references import FORMS, is_reference, resolve

CONNECTION_VARIABLE: Final = "EVENTHUB_CONNECTION_STRING"
LOGGER: Final = logging.getLogger("lakewarden.kafka")
"""librdkafka's own lines; nobody hears them unless an application adds a handler: what matters is counted in `Troubles`."""

LOGGER.addHandler(logging.NullHandler())
LOGGER.propagate = False

EVENT_HUBS_USER: Final = "$ConnectionString"
SECRET: Final = ("password", "secret", "key.pem", "sasl.oauthbearer.config")
"""Parts of the names of librdkafka properties whose values are secrets."""

Token: TypeAlias = Callable[[str], tuple[str, float]]
"""Gives an OAuth token and its expiry (seconds since 1970); librdkafka's `oauth_cb`."""


class Troubles:
    """Errors counted by kind, and the time for which the broker held requests back; librdkafka's callbacks, on any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._throttled_ms = 0.0
        self._last = ""

    def on_error(self, error: KafkaError) -> None:
        """librdkafka's `error_cb`."""
        self.count(error)

    def on_throttle(self, event: Any) -> None:  # noqa: ANN401  # librdkafka's ThrottleEvent, which its stubs don't export
        """librdkafka's `throttle_cb`."""
        with self._lock:
            self._counts["throttled"] += 1
            self._throttled_ms += event.throttle_time * 1000

    def count(self, error: KafkaError) -> None:
        """Count one error under its kind."""
        with self._lock:
            self._counts[kind(error)] += 1
            self._last = error.str()

    def seen(self, kind_: str) -> bool:
        """Whether there was an error of a kind."""
        with self._lock:
            return self._counts[kind_] > 0

    def read(self) -> tuple[dict[str, int], float, str]:
        """Counts by kind, milliseconds throttled, the last error's text."""
        with self._lock:
            return dict(self._counts), self._throttled_ms, self._last


def kind(error: KafkaError) -> str:
    """An error's kind as a label: `transport`, `authentication`, `topic_authorization_failed`, ..."""
    name = error.name().lstrip("_").lower()
    return "authentication" if "authentication" in name else name


def settings(address: Address, config: Mapping[str, str], troubles: Troubles, token: Token | None = None) -> dict[str, Any]:
    """librdkafka's settings for an address. They hold secrets: they go to librdkafka and nowhere else.

    Args:
        address: where the topic is.
        config: further librdkafka properties (`load_config`); they win.
        troubles: counts errors.
        token: gives an OAuth token and its expiry (seconds since 1970); None takes azure-identity's for Event Hubs.

    Raises:
        ConfigurationError: a reference to a secret names nothing.
    """
    found: dict[str, Any] = {
        "bootstrap.servers": address.bootstrap,
        "client.id": "lakewarden",
        "error_cb": troubles.on_error,
        "logger": LOGGER,
        "reconnect.backoff.max.ms": 2_000,
        "socket.keepalive.enable": True,
    }
    if address.scheme == "eventhub":
        found |= _event_hubs(address, token)
    found |= {name: resolve(value) if is_reference(value) else value for name, value in config.items()}
    if found.get("sasl.mechanism") == "OAUTHBEARER" and token is not None:
        found["oauth_cb"] = token
    return found


def _event_hubs(address: Address, token: Token | None) -> dict[str, Any]:
    """TLS and SASL as Event Hubs wants them: a connection string where one is named or set, else the identity of this process."""
    if address.connection or os.environ.get(CONNECTION_VARIABLE):
        secret = resolve(address.connection or f"env:{CONNECTION_VARIABLE}")
        return {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.username": EVENT_HUBS_USER,
            "sasl.password": secret,
        }
    return {"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER", "oauth_cb": token or azure_token(address)}


def azure_token(address: Address) -> Token:
    """Tokens of azure-identity's default credential for an Event Hubs namespace.

    Raises:
        ConfigurationError: the Azure libraries aren't installed.
        SourceError: nobody is signed in.
    """
    try:
        from azure.core.exceptions import ClientAuthenticationError
        from azure.identity import DefaultAzureCredential
    except ImportError as error:
        raise ConfigurationError(
            f"eventhub:// without {CONNECTION_VARIABLE} signs in by azure-identity, which isn't installed",
            next=f"pip install 'lakewarden[azure]', or set {CONNECTION_VARIABLE}",
        ) from error
    logging.getLogger("azure.identity").addHandler(logging.NullHandler())  # what it says is in the error below
    credential = DefaultAzureCredential()
    namespace = address.bootstrap.split(",")[0].partition(":")[0]
    scope = f"https://{namespace}/.default" if namespace.endswith(SERVICE) else "https://eventhubs.azure.net/.default"

    def token(config: str) -> tuple[str, float]:
        given = credential.get_token(scope)
        return given.token, float(given.expires_on)

    try:
        token("")  # librdkafka would wait for it, and then not say why
    except ClientAuthenticationError as error:
        why = str(error).strip().split("\n")[0][:200]
        raise SourceError(
            f"{address.uri}: no identity to sign in with: {why}",
            state="nothing was read",
            next=f"sign in (az login), run where there is a managed identity, or set {CONNECTION_VARIABLE}",
        ) from error
    return token


def load_config(path: str | Path | None) -> dict[str, str]:
    """Read a YAML file of librdkafka properties; secrets in it are references.

    Raises:
        ConfigurationError: it can't be read, isn't such a file, or holds a secret instead of a reference to one.
    """
    if path is None:
        return {}
    try:
        content = yaml.safe_load(Path(path).expanduser().read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        why = getattr(error, "strerror", None) or getattr(error, "problem", None) or "it isn't text"
        advice = "give --source-config a YAML file of librdkafka properties"
        raise ConfigurationError(f"{path} can't be read: {why}", next=advice) from error
    if not isinstance(content, dict) or not all(isinstance(v, str | int | float | bool) for v in content.values()):
        raise ConfigurationError(
            f"{path} holds no librdkafka properties", next="write one `property: value` a line, for example `security.protocol: SASL_SSL`"
        )
    found = {str(name): str(value).lower() if isinstance(value, bool) else str(value) for name, value in content.items()}
    for name, value in found.items():
        if any(part in name for part in SECRET) and not is_reference(value):
            raise ConfigurationError(f"{path}: {name} holds a secret", state="nothing was read", next=f"name it by reference: {FORMS}")
    return found


def unreachable(address: Address, error: KafkaError, troubles: Troubles) -> SourceError:
    """The error for a broker that doesn't answer, or refuses us."""
    _, _, last = troubles.read()
    why = last or error.str()
    state = "nothing was read; what was committed stands"
    if "uthentication" in why or kind(error) == "authentication":
        advice = "check the connection string, or the identity's rights"
        return SourceError(f"{address.uri} refused to let us in: {why}", state=state, next=advice)
    if kind(error) == "unknown_topic_or_part":
        return SourceError(
            f"{address.uri}: there is no such topic", state=state, next="create it, or check its name; then run the same command again"
        )
    advice = "check host, port and network; then run the same command again"
    return SourceError(f"{address.uri} can't be reached: {why}", state=state, next=advice)
