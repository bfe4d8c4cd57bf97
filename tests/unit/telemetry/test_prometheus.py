"""The real endpoint of a real stream, scraped as Prometheus does."""

from __future__ import annotations

import socket
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

import polars as pl
import pytest
from prometheus_client.parser import text_string_to_metric_families

from lakewarden.errors import ConfigurationError
from lakewarden.operations import last_pulse
from lakewarden.telemetry.metrics import METRICS

from .conftest import ROWS, SECRET

OPEN = build_opener(ProxyHandler({})).open


def scrape(url: str) -> str:
    with OPEN(url, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        return answer.read().decode()


def test_a_running_stream_is_scraped(streaming):
    with streaming(metrics_port=0) as urls:
        text = scrape(urls[0])
        families = {family.name: family for family in text_string_to_metric_families(text)}
    assert set(families) == {metric.name.removesuffix("_total") for metric in METRICS}
    values = {(sample.name, *sorted(sample.labels.items())): sample.value for family in families.values() for sample in family.samples}
    assert values["lakewarden_up",] == 1
    assert values["lakewarden_events_total",] == ROWS
    assert values["lakewarden_dead_letters_total",] == values["lakewarden_duplicates_total",] == 1
    assert values["lakewarden_event_latency_seconds_count",] == values["lakewarden_event_latency_seconds_bucket", ("le", "+Inf")] == ROWS
    buckets = [sample.value for sample in families["lakewarden_event_latency_seconds"].samples if sample.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert families["lakewarden_event_latency_seconds"].type == "histogram"
    assert 0 < values["lakewarden_latency_seconds", ("quantile", "0.95")] < 60
    assert SECRET not in text


def test_the_address_stands_in_the_pulse_and_is_gone_with_the_stream(streaming, empty):
    with streaming(metrics_port=0) as urls:
        assert empty.pulse().to_dict()["pulse"]["metrics_url"] == urls[0]
        assert urls[0].startswith("http://127.0.0.1:")
    with pytest.raises(URLError):
        scrape(urls[0])


def test_nothing_is_served_unless_it_is_asked_for(streaming):
    with streaming() as urls:
        assert urls == []


@pytest.mark.parametrize("host", ["127.0.0.1", "256.0.0.1"])
def test_a_port_that_cannot_be_had_is_told_before_anything_is_written(empty, events, host):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigurationError, match="Metrics can't be served") as caught:
        empty.stream(events, once=True, metrics_port=taken.getsockname()[1], metrics_host=host)
    assert "--metrics-port" in caught.value.next
    assert empty.table("transactions_bronze").select(pl.len()).collect().item() == 0
    assert not empty.house.store.exists(last_pulse.PATH)
