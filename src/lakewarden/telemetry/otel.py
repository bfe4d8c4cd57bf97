"""The same metrics as OpenTelemetry, sent by OTLP over HTTP; only where the environment names an endpoint.

Everything else is said by OpenTelemetry's own variables as well (headers, interval, timeout, certificate, resource attributes).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from lakewarden.errors import ConfigurationError
from lakewarden.telemetry.metrics import METRICS, Kind
from lakewarden.telemetry.metrics import Metric as Definition

if TYPE_CHECKING:
    from lakewarden.operations.pulse import Pulse

SCOPE: Final = "lakewarden"
LAST_WORD_MS: Final = 3_000
"""How long a stream's end waits for a collector that doesn't answer."""

SAME_SENDING_SECONDS: Final = 0.05

QUIET: Final = logging.NullHandler()
"""Stays once it is there: a sending that was given up complains later. Failures are counted instead."""


class Exporter(OTLPMetricExporter):
    """Adds the histogram, for which OpenTelemetry has no observable instrument, and counts what can't be delivered."""

    def __init__(self, pulse: Callable[[], Pulse], failed: Callable[[], None]) -> None:
        super().__init__()
        self._pulse, self._failed = pulse, failed

    def export(self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: Any) -> MetricExportResult:  # noqa: ANN401  # as in the class above
        """Send; a failure is counted."""
        sent = MetricExportResult.FAILURE
        try:
            sent = super().export(with_histogram(metrics_data, self._pulse()), timeout_millis, **kwargs)
        finally:
            if sent is not MetricExportResult.SUCCESS:
                self._failed()
        return sent


def with_histogram(data: MetricsData, pulse: Pulse) -> MetricsData:
    """The same metrics, and the histogram of latencies beside them."""
    definition = next(metric for metric in METRICS if metric.kind is Kind.histogram)
    bounds = [bound for bound, _ in pulse.latency_histogram]
    upto = [count for _, count in pulse.latency_histogram]
    point = HistogramDataPoint(
        attributes={},
        start_time_unix_nano=int(pulse.started.timestamp() * 1e9),
        time_unix_nano=time.time_ns(),
        count=upto[-1],
        sum=pulse.latency_seconds_sum,
        bucket_counts=[after - before for before, after in zip([0, *upto], upto, strict=False)],
        explicit_bounds=bounds[:-1],
        min=float("inf"),
        max=float("-inf"),
    )
    metric = Metric(definition.name, definition.help, definition.unit, Histogram([point], AggregationTemporality.CUMULATIVE))
    resources = [
        replace(resource, scope_metrics=[replace(scope, metrics=[*scope.metrics, metric]) for scope in resource.scope_metrics])
        for resource in data.resource_metrics
    ]
    return replace(data, resource_metrics=resources)


class Otlp:
    """Sends metrics from `with` to its end, and a last time at the end.

    Args:
        pulse: asked at every sending.
        run_id: goes into the resource as `service.instance.id`.
        failed: told of each sending that failed.
    """

    def __init__(self, pulse: Callable[[], Pulse], run_id: str, failed: Callable[[], None]) -> None:
        self._ask, self._run_id, self._failed = pulse, run_id, failed
        self._asked: tuple[float, Pulse] | None = None
        self._provider: MeterProvider | None = None

    def __enter__(self) -> Self:
        ours = Resource({"service.name": SCOPE, "service.instance.id": self._run_id})
        resource = Resource.create().merge(ours).merge(OTELResourceDetector().detect())
        try:
            reader = PeriodicExportingMetricReader(Exporter(self._pulse, self._failed))
        except Exception as error:
            raise ConfigurationError(
                f"OpenTelemetry can't be set up: {error}",
                state="nothing was read or written",
                next="correct its variables (OTEL_EXPORTER_OTLP_..., OTEL_METRIC_...), or unset the endpoint",
            ) from error
        logging.getLogger("opentelemetry").addHandler(QUIET)  # or its complaints would go to stderr, between a stream's own lines
        self._provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        meter = self._provider.get_meter(SCOPE)
        for metric in METRICS:
            callbacks = [observer(metric, self._pulse)]
            if metric.kind is Kind.counter:
                meter.create_observable_counter(metric.name, callbacks, metric.unit, metric.help)
            elif metric.kind is Kind.gauge:
                meter.create_observable_gauge(metric.name, callbacks, metric.unit, metric.help)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._provider is not None:
            self._asked = None  # the last word says that the stream has ended
            try:
                self._provider.shutdown(LAST_WORD_MS)
            except Exception:  # noqa: BLE001  # a collector that is gone doesn't turn a stream that did its work into a failed one
                self._failed()

    def _pulse(self) -> Pulse:
        """One pulse for all metrics of a sending: each asks by itself."""
        if self._asked is None or time.monotonic() - self._asked[0] > SAME_SENDING_SECONDS:
            self._asked = (time.monotonic(), self._ask())
        return self._asked[1]


def observer(metric: Definition, pulse: Callable[[], Pulse]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    """What OpenTelemetry calls for a metric's values."""

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(sample.value, dict(zip(metric.labels, sample.labels, strict=True))) for sample in metric.samples(pulse())]

    return observe
