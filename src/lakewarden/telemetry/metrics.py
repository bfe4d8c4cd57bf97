"""Every metric, once: name, kind, unit, help, and how its samples are had from a pulse. Prometheus and OpenTelemetry both read this.

Names follow Prometheus' conventions (base units; counters end in `_total`) and are the same in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from lakewarden.operations.pulse import FAILED, STOPPED

if TYPE_CHECKING:
    from lakewarden.operations.pulse import Pulse


class Kind(StrEnum):
    """What a metric's values are."""

    counter = "counter"
    gauge = "gauge"
    histogram = "histogram"


@dataclass(frozen=True)
class Sample:
    """One value under its labels."""

    value: float
    labels: tuple[str, ...] = ()


Samples = Iterator[Sample]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: as Prometheus shows it.
        kind: counter (since the start of the run), gauge (now, or of the last minute), histogram (since the start of the run).
        unit: `s`, `By`, `{event}`, ... (UCUM, as OpenTelemetry writes units).
        help: one sentence.
        samples: its values; none while there is nothing to tell. A histogram's are in `Pulse.latency_histogram`.
        labels: names of the labels of every sample.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    samples: Callable[[Pulse], Samples]
    labels: tuple[str, ...] = ()


def one(value: float | None) -> Samples:
    """A value without labels, if there is one."""
    if value is not None:
        yield Sample(value)


def each(values: Mapping[str, float]) -> Samples:
    """A value for each key, which is the one label."""
    for key, value in values.items():
        yield Sample(value, (key,))


def quantiles(values: Mapping[str, float], scale: float = 1.0) -> Samples:
    """p50, p95, p99 and the maximum under the label values that Prometheus uses."""
    for name, q in (("p50", "0.5"), ("p95", "0.95"), ("p99", "0.99"), ("max", "1")):
        if name in values:
            yield Sample(values[name] * scale, (q,))


def lags(pulse: Pulse) -> Samples:
    """Each partition's lag where the broker told its end."""
    for partition in pulse.partitions:
        if partition.lag is not None:
            yield Sample(partition.lag, (partition.partition,))


def info(pulse: Pulse) -> Samples:
    """A 1 whose labels say which stream it is."""
    yield Sample(1, (pulse.run_id, pulse.release or "", pulse.source, pulse.host))


_COUNTER, _GAUGE = Kind.counter, Kind.gauge

METRICS: Final = (
    Metric(
        "lakewarden_up",
        _GAUGE,
        "1",
        "1 while the stream recovers or streams, 0 in its last report.",
        lambda p: one(int(p.state not in (STOPPED, FAILED))),
    ),
    Metric("lakewarden_stream_info", _GAUGE, "1", "1; which stream it is.", info, ("run_id", "release", "source", "host")),
    Metric("lakewarden_start_time_seconds", _GAUGE, "s", "When the stream was started, since 1970.", lambda p: one(p.started.timestamp())),
    Metric("lakewarden_memory_bytes", _GAUGE, "By", "Memory that the process holds.", lambda p: one(p.memory_bytes)),
    Metric("lakewarden_events_total", _COUNTER, "{event}", "Events taken in and published.", lambda p: one(p.rows)),
    Metric("lakewarden_scored_total", _COUNTER, "{event}", "Rows in risk_scores_gold.", lambda p: one(p.counts.get("gold", 0))),
    Metric("lakewarden_alerts_total", _COUNTER, "{event}", "Rows in anomaly_alerts.", lambda p: one(p.counts.get("alerts", 0))),
    Metric(
        "lakewarden_dead_letters_total", _COUNTER, "{event}", "Rows in transactions_dlq.", lambda p: one(p.counts.get("dead_letters", 0))
    ),
    Metric(
        "lakewarden_duplicates_total", _COUNTER, "{event}", "Rows in transactions_duplicates.", lambda p: one(p.counts.get("duplicates", 0))
    ),
    Metric("lakewarden_micro_batches_total", _COUNTER, "{batch}", "Micro-batches published.", lambda p: one(p.micro_batches)),
    Metric(
        "lakewarden_recovered_micro_batches_total",
        _COUNTER,
        "{batch}",
        "Micro-batches of a killed stream that were finished.",
        lambda p: one(p.recovered),
    ),
    Metric("lakewarden_events_per_second", _GAUGE, "{event}/s", "Events published a second, over the last minute.", lambda p: one(p.rate)),
    Metric(
        "lakewarden_latency_seconds",
        _GAUGE,
        "s",
        "From the broker's timestamp (files: from reading) to the published row, over the last minute.",
        lambda p: quantiles(p.latency_ms, 0.001),
        ("quantile",),
    ),
    Metric(
        "lakewarden_event_latency_seconds",
        Kind.histogram,
        "s",
        "From the broker's timestamp (files: from reading) to the published row, all events.",
        lambda _: iter(()),
    ),
    Metric(
        "lakewarden_on_time_ratio",
        _GAUGE,
        "1",
        "Share of the last minute's events that were published within 60 s.",
        lambda p: one(p.on_time),
    ),
    Metric(
        "lakewarden_micro_batch_rows",
        _GAUGE,
        "{event}",
        "Events of a micro-batch, over the last minute.",
        lambda p: quantiles(p.batch_rows),
        ("quantile",),
    ),
    Metric(
        "lakewarden_micro_batch_seconds",
        _GAUGE,
        "s",
        "From reading a micro-batch to its publication, over the last minute.",
        lambda p: quantiles(p.batch_seconds),
        ("quantile",),
    ),
    Metric(
        "lakewarden_stage_seconds_total",
        _COUNTER,
        "s",
        "Time spent in each stage of the flow.",
        lambda p: each(p.stage_seconds),
        ("stage",),
    ),
    Metric("lakewarden_lag_events", _GAUGE, "{event}", "Events that the broker has and the stream did not read yet.", lags, ("partition",)),
    Metric(
        "lakewarden_partition_skew",
        _GAUGE,
        "1",
        "The busiest partition's events over the mean of all partitions, over the last minute.",
        lambda p: one(p.skew),
    ),
    Metric(
        "lakewarden_unpublished_events",
        _GAUGE,
        "{event}",
        "Events in bronze that readers do not see yet.",
        lambda p: one(p.unpublished_events),
    ),
    Metric(
        "lakewarden_unpublished_age_seconds",
        _GAUGE,
        "s",
        "How long the oldest of them has been in hand; grows while a stream is stuck.",
        lambda p: one(p.unpublished_seconds),
    ),
    Metric("lakewarden_idle_seconds", _GAUGE, "s", "Time since the last publication, or since the start.", lambda p: one(p.idle_seconds)),
    Metric(
        "lakewarden_source_troubles_total",
        _COUNTER,
        "{error}",
        "Errors that the source reported and got over, by kind.",
        lambda p: each(p.troubles),
        ("kind",),
    ),
    Metric(
        "lakewarden_throttled_seconds_total",
        _COUNTER,
        "s",
        "Time for which the broker held requests back.",
        lambda p: one(p.throttled_ms / 1000),
    ),
    Metric(
        "lakewarden_incidents_total",
        _COUNTER,
        "{incident}",
        "Incidents that the stream opened or saw again.",
        lambda p: one(len(p.incidents)),
    ),
    Metric(
        "lakewarden_telemetry_errors_total",
        _COUNTER,
        "{error}",
        "Reports that could not be delivered, by outlet; the stream goes on.",
        lambda p: each(p.telemetry_errors),
        ("outlet",),
    ),
)
"""In the order of docs/telemetry.md."""
