"""What a user names."""

from __future__ import annotations

import pytest

from lakewarden.errors import UsageError
from lakewarden.sources.kafka.address import Address, Start, is_topic, parse_address, parse_start


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("kafka://broker:9093/payments", Address("kafka", "broker:9093", "payments")),
        ("KAFKA://a,b:1/payments?group=risk", Address("kafka", "a:9092,b:1", "payments", "risk")),
        ("eventhub://bank/transactions-stream", Address("eventhub", "bank.servicebus.windows.net:9093", "transactions-stream")),
        ("eventhub://bank.servicebus.chinacloudapi.cn/t", Address("eventhub", "bank.servicebus.chinacloudapi.cn:9093", "t")),
        (
            "eventhub://bank/t?connection=keyvault:vault/secret",
            Address("eventhub", "bank.servicebus.windows.net:9093", "t", connection="keyvault:vault/secret"),
        ),
    ],
)
def test_addresses(uri, address):
    assert is_topic(uri)
    assert parse_address(uri) == address


@pytest.mark.parametrize(
    "uri",
    [
        "kafka://",
        "kafka://broker",
        "kafka://broker/",
        "kafka:///topic",
        "kafka://b/a topic",
        "kafka://b:x/t",
        "kafka://b/t?color=red",
        "kafka://b/a/b",
    ],
)
def test_incomplete_addresses_are_refused_with_the_form(uri):
    with pytest.raises(UsageError) as refused:
        parse_address(uri)
    assert refused.value.next


def test_a_password_in_the_address_is_refused_and_not_repeated():
    with pytest.raises(UsageError) as refused:
        parse_address("kafka://user:geheim@broker/topic")
    assert "geheim" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        (None, Start()),
        ("earliest", Start("earliest")),
        ("latest", Start("latest")),
        ("2026-01-05T06:00:00Z", Start("time", time_ms=1_767_592_800_000)),
        ("2026-01-05T07:00:00+01:00", Start("time", time_ms=1_767_592_800_000)),
        ("2026-01-05", Start("time", time_ms=1_767_571_200_000)),
        ("0:12,3:0", Start("offsets", offsets={0: 12, 3: 0})),
    ],
)
def test_starts(text, start):
    assert parse_start(text) == start


@pytest.mark.parametrize("text", ["", "noon", "0:1,", "0:-1", "1.5"])
def test_other_starts_are_refused(text):
    with pytest.raises(UsageError, match="is no start"):
        parse_start(text)
