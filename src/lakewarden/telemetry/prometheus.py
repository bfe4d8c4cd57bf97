"""The metrics in Prometheus' text format, over HTTP, for as long as a stream runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from lakewarden.errors import ConfigurationError
from lakewarden.telemetry.metrics import METRICS, Kind, Metric

if TYPE_CHECKING:
    from prometheus_client import Metric as Family

    from lakewarden.operations.pulse import Pulse

LOCAL: Final = "127.0.0.1"


class PulseCollector(Collector):
    """Asks for the pulse at every scrape, so that what is scraped is true now."""

    def __init__(self, pulse: Callable[[], Pulse]) -> None:
        self._pulse = pulse

    def collect(self) -> Iterable[Family]:
        """Every metric that has something to tell."""
        pulse = self._pulse()
        return [family(metric, pulse) for metric in METRICS]


def family(metric: Metric, pulse: Pulse) -> Family:
    """One metric with its samples."""
    if metric.kind is Kind.histogram:
        buckets = [("+Inf" if bound == float("inf") else str(bound), count) for bound, count in pulse.latency_histogram]
        return HistogramMetricFamily(metric.name, metric.help, buckets, pulse.latency_seconds_sum)
    made = (CounterMetricFamily if metric.kind is Kind.counter else GaugeMetricFamily)(metric.name, metric.help, labels=metric.labels)
    for sample in metric.samples(pulse):
        made.add_metric(sample.labels, sample.value)
    return made


class MetricsServer:
    """Serves `/metrics` from `with` to its end.

    Args:
        pulse: asked at every scrape.
        port: 0 takes a free one.
        host: where to listen.

    Raises (on entering): ConfigurationError when the port can't be had.
    """

    def __init__(self, pulse: Callable[[], Pulse], port: int, host: str = LOCAL) -> None:
        self._pulse, self._port, self._host = pulse, port, host
        self._server: WSGIServer | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(PulseCollector(self._pulse))
        try:
            self._server, self._thread = start_http_server(self._port, self._host, registry)
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"Metrics can't be served at {self._host}:{self._port}: {getattr(error, 'strerror', None) or error}.",
                state="nothing was read or written",
                next="choose another port with --metrics-port; 0 takes a free one",
            ) from error
        return self

    @property
    def url(self) -> str:
        """What to scrape."""
        assert self._server is not None
        host, port = self._server.server_address[:2]
        shown = host.decode() if isinstance(host, bytes) else str(host)
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{port}/metrics"

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
