"""OTLP to a real collector over HTTP, which decodes what it gets; and to none, which harms nobody."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from lakewarden.errors import ConfigurationError
from lakewarden.telemetry.metrics import METRICS, Kind
from lakewarden.telemetry.outlets import otlp_is_asked_for

from .conftest import ROWS, SECRET

SILENT_HERE = {
    "lakewarden_lag_events",
    "lakewarden_partition_skew",
    "lakewarden_source_troubles_total",
    "lakewarden_telemetry_errors_total",
}
"""Files have no partitions and no troubles."""


class Collector(BaseHTTPRequestHandler):
    """Takes metrics in; what it got stands at its server."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, dict(self.headers), ExportMetricsServiceRequest.FromString(body)))
        self.send_response(self.server.answer)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        server.got, server.answer = [], 200
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "300")
        yield server
        server.shutdown()
        thread.join()


def metrics(request: ExportMetricsServiceRequest) -> dict:
    return {metric.name: metric for resource in request.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics}


def test_every_metric_arrives(streaming, collector, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    with streaming():
        deadline = time.monotonic() + 30
        while not collector.got and time.monotonic() < deadline:
            time.sleep(0.05)
    path, headers, last = collector.got[-1]
    assert (path, headers["api-key"]) == ("/v1/metrics", "hunter2")
    attributes = {pair.key: pair.value.string_value for pair in last.resource_metrics[0].resource.attributes}
    assert attributes["service.name"] == "lakewarden"
    assert attributes["service.instance.id"].startswith("run-")
    assert attributes["deployment.environment"] == "test"
    found = metrics(last)
    assert set(found) == {metric.name for metric in METRICS} - SILENT_HERE
    kinds = {Kind.counter: "sum", Kind.gauge: "gauge", Kind.histogram: "histogram"}
    for metric in METRICS:
        if metric.name in found:
            sent = found[metric.name]
            assert (sent.WhichOneof("data"), sent.unit, sent.description) == (kinds[metric.kind], metric.unit, metric.help)
    events = found["lakewarden_events_total"].sum
    assert (events.is_monotonic, events.data_points[0].as_int or events.data_points[0].as_double) == (True, ROWS)
    point = found["lakewarden_event_latency_seconds"].histogram.data_points[0]
    assert (point.count, sum(point.bucket_counts), len(point.bucket_counts)) == (ROWS, ROWS, len(point.explicit_bounds) + 1)
    up = found["lakewarden_up"].gauge.data_points[0]
    assert (up.as_int, up.as_double) == (0, 0.0)  # what was sent last says that it ended
    assert not any(SECRET in str(request) for _, _, request in collector.got)


def test_a_collector_that_refuses_is_counted(streaming, collector, empty):
    collector.answer = 400
    with streaming():
        deadline = time.monotonic() + 30
        while not empty.pulse().to_dict()["pulse"]["telemetry_errors"].get("otlp") and time.monotonic() < deadline:
            time.sleep(0.05)
    assert empty.pulse().to_dict()["pulse"]["telemetry_errors"]["otlp"] >= 1


def test_a_collector_that_is_not_there_harms_nobody(empty, events, monkeypatch, capfd):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://127.0.0.1:9/v1/metrics")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
    began = time.monotonic()
    assert empty.stream(events, once=True).rows == ROWS
    assert time.monotonic() - began < 20
    assert capfd.readouterr().err == ""
    time.sleep(0.5)
    assert capfd.readouterr().err == ""


def test_variables_that_make_no_sense_are_told_at_the_start(empty, events, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "-1")
    with pytest.raises(ConfigurationError, match="OpenTelemetry"):
        empty.stream(events, once=True)
    assert empty.pulse().to_dict()["pulse"] is None


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://x"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_METRICS_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "TRUE"}, False),
    ],
)
def test_it_is_asked_for_by_the_environment(environment, asked):
    assert otlp_is_asked_for(environment) is asked
