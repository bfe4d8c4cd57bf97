"""How Spark's Kafka client is told to sign in."""

from __future__ import annotations

import pytest

pytest.importorskip("pyspark", reason="PySpark isn't installed here: make spark")

from lakewarden.engines.spark.topic import PRINCIPAL, java_options
from lakewarden.errors import ConfigurationError

SERVERS = {"bootstrap.servers": "bank.servicebus.windows.net:9093", "security.protocol": "SASL_SSL"}


def test_a_plain_broker_is_named_and_nothing_else():
    assert java_options({"bootstrap.servers": "127.0.0.1:9092", "client.id": "x"}, "kafka://t") == {
        "kafka.bootstrap.servers": "127.0.0.1:9092"
    }


def test_a_connection_string_is_quoted_as_jaas_wants_it():
    told = java_options(
        {**SERVERS, "sasl.mechanism": "PLAIN", "sasl.username": "$ConnectionString", "sasl.password": 'a"b\\c'}, "eventhub://bank/t"
    )
    assert told["kafka.security.protocol"] == "SASL_SSL"
    assert told["kafka.sasl.jaas.config"] == (
        'org.apache.kafka.common.security.plain.PlainLoginModule required username="$ConnectionString" password="a\\"b\\\\c";'
    )


def test_a_service_principal_signs_in_by_the_clients_own_means(monkeypatch):
    for name, value in zip(PRINCIPAL, ("tenant", "client", "word"), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    told = java_options({**SERVERS, "sasl.mechanism": "OAUTHBEARER"}, "eventhub://bank/t")
    assert told["kafka.sasl.oauthbearer.token.endpoint.url"] == "https://login.microsoftonline.com/tenant/oauth2/v2.0/token"
    assert told["kafka.sasl.jaas.config"].startswith("kafkashaded.org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule")
    assert 'scope="https://bank.servicebus.windows.net/.default"' in told["kafka.sasl.jaas.config"]


def test_another_identity_is_refused_with_what_to_do(monkeypatch):
    for name in PRINCIPAL:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match=r"(?s)service principal.*EVENTHUB_CONNECTION_STRING.*--engine embedded"):
        java_options({**SERVERS, "sasl.mechanism": "OAUTHBEARER"}, "eventhub://bank/t")
