"""Signing in as Event Hubs wants it, on a real TLS and SASL listener."""

from __future__ import annotations

import base64
import contextlib
import json
import time

import pytest

from lakewarden.errors import SourceError
from lakewarden.sources.kafka.address import parse_address
from lakewarden.sources.kafka.connection import CONNECTION_VARIABLE
from lakewarden.sources.kafka.source import KafkaSource


@pytest.fixture
def hub(secure_broker) -> tuple[str, dict[str, str]]:
    """The broker as a namespace, and what it takes to trust its certificate."""
    topic = secure_broker.new_topic(1)
    secure_broker.produce(topic, [(b"a", b"e-0"), (b"a", b"e-1")])
    return f"eventhub://localhost:{secure_broker.secure_port}/{topic}", {"ssl.ca.location": str(secure_broker.ca_file)}


def read(source: KafkaSource) -> list[bytes]:
    found: list[bytes] = []
    with contextlib.closing(source):
        source.resume({})
        deadline = time.monotonic() + 30
        while not source.exhausted and time.monotonic() < deadline:
            chunk = source.read(10, 0.2)
            found += chunk.bodies.to_list() if chunk else []
    return found


def test_by_connection_string(hub, secure_broker, monkeypatch):
    monkeypatch.setenv(CONNECTION_VARIABLE, secure_broker.password)
    assert read(KafkaSource(parse_address(hub[0]), config=hub[1], once=True)) == [b"e-0", b"e-1"]


def test_by_token(hub, monkeypatch):
    monkeypatch.delenv(CONNECTION_VARIABLE, raising=False)
    expires = time.time() + 3600
    parts = ({"alg": "none"}, {"sub": "lakewarden", "iat": int(time.time()), "exp": int(expires)})
    token = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."
    source = KafkaSource(parse_address(hub[0]), config=hub[1], once=True, token=lambda _: (token, expires))
    assert read(source) == [b"e-0", b"e-1"]


def test_a_wrong_connection_string_is_refused_and_not_repeated(hub, monkeypatch):
    wrong = "Endpoint=sb://bank/;SharedAccessKeyName=x;SharedAccessKey=d3Jvbmc="
    monkeypatch.setenv(CONNECTION_VARIABLE, wrong)
    source = KafkaSource(parse_address(hub[0]), config=hub[1], once=True)
    with pytest.raises(SourceError, match="refused to let us in") as refused:
        read(source)
    assert "d3Jvbmc" not in str(refused.value)
    assert source.standing().troubles["authentication"] >= 1


def test_a_certificate_that_nobody_vouches_for_is_refused(hub, secure_broker, monkeypatch):
    monkeypatch.setenv(CONNECTION_VARIABLE, secure_broker.password)
    with pytest.raises(SourceError, match="can't be reached"):
        read(KafkaSource(parse_address(hub[0]), once=True))
