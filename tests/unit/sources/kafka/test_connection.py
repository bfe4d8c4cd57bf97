"""Settings for librdkafka: Event Hubs' sign-in, files of properties, secrets that stay secret."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from lakewarden.errors import ConfigurationError, SourceError
from lakewarden.sources.kafka.address import parse_address
from lakewarden.sources.kafka.connection import CONNECTION_VARIABLE, Troubles, kind, load_config, settings

HUB = parse_address("eventhub://bank/transactions-stream")
TOPIC = parse_address("kafka://broker/transactions-stream")


def test_event_hubs_signs_in_by_connection_string(monkeypatch):
    monkeypatch.setenv(CONNECTION_VARIABLE, "Endpoint=sb://bank/;SharedAccessKey=abc=")
    found = settings(HUB, {}, Troubles())
    assert found["security.protocol"] == "SASL_SSL"
    assert (found["sasl.mechanism"], found["sasl.username"]) == ("PLAIN", "$ConnectionString")
    assert found["sasl.password"] == "Endpoint=sb://bank/;SharedAccessKey=abc="


def test_a_named_connection_string_wins(monkeypatch):
    monkeypatch.setenv(CONNECTION_VARIABLE, "one")
    monkeypatch.setenv("OTHER_HUB", "another")
    assert settings(parse_address("eventhub://bank/t?connection=env:OTHER_HUB"), {}, Troubles())["sasl.password"] == "another"


def test_without_one_it_signs_in_by_identity(monkeypatch):
    monkeypatch.delenv(CONNECTION_VARIABLE, raising=False)
    found = settings(HUB, {}, Troubles(), token=lambda _: ("token", 0.0))
    assert (found["sasl.mechanism"], found["oauth_cb"]("")) == ("OAUTHBEARER", ("token", 0.0))


def test_where_nobody_is_signed_in_it_says_so(monkeypatch, tmp_path):
    monkeypatch.delenv(CONNECTION_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))  # no az
    with pytest.raises(SourceError, match="no identity to sign in with") as refused:
        settings(HUB, {}, Troubles())
    assert CONNECTION_VARIABLE in refused.value.next


def test_properties_of_a_file_win_and_secrets_are_resolved(monkeypatch, tmp_path):
    monkeypatch.setenv("BROKER_PASSWORD", "p")
    path = tmp_path / "kafka.yaml"
    path.write_text(
        "security.protocol: SASL_SSL\nsasl.password: env:BROKER_PASSWORD\nsocket.keepalive.enable: false\nsocket.timeout.ms: 5000\n"
    )
    found = settings(TOPIC, load_config(path), Troubles())
    assert found["sasl.password"] == "p"
    assert (found["socket.keepalive.enable"], found["socket.timeout.ms"]) == ("false", "5000")


@pytest.mark.parametrize("text", ["sasl.password: geheim", "ssl.key.password: geheim", "- a", "a: [1]", "a: {b: 1}", "a: b: c", "\x00"])
def test_other_files_are_refused_and_secrets_not_repeated(tmp_path, text):
    path = tmp_path / "kafka.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        load_config(path)
    assert "geheim" not in str(refused.value)
    assert refused.value.next


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"none\.yaml"):
        load_config(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (KafkaError._AUTHENTICATION, "authentication"),
        (KafkaError.SASL_AUTHENTICATION_FAILED, "authentication"),
        (KafkaError._TRANSPORT, "transport"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "topic_authorization_failed"),
    ],
)
def test_troubles_are_counted_by_kind(code, name):
    troubles = Troubles()
    for _ in range(3):
        troubles.count(KafkaError(code))
    assert kind(KafkaError(code)) == name
    assert troubles.read()[0] == {name: 3}
