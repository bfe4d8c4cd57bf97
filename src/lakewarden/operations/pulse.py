"""The pulse of a running stream: what it has done, what the last minute was like, how far behind it is.

The stream tells the recorder of every micro-batch; everybody else (the object in the lake, metrics, logs, `status`) asks it for a
`Pulse`. It is always true for the moment at which it is asked: while nothing is published, ages and lag go on growing in it.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from lakewarden.engines.lineage import ENTERED
from lakewarden.operations import latencies
from lakewarden.operations.recent import Measured, Recent
from lakewarden.sources.port import PartitionStanding, SourceStanding

if TYPE_CHECKING:
    from lakewarden.engines.port import Committed, MicroBatch
    from lakewarden.operations.job import Clocks
    from lakewarden.sources.port import Source

RECOVERING: Final = "recovering"
STREAMING: Final = "streaming"
STOPPED: Final = "stopped"
FAILED: Final = "failed"


@dataclass(frozen=True)
class Identity:
    """Whose pulse it is: run, host, process."""

    run_id: str
    host: str
    pid: int


@dataclass(frozen=True)
class Pulse:
    """One moment of a stream. Totals are since its start; `recent` figures are of the last minute (docs/telemetry.md has every field)."""

    run_id: str
    host: str
    pid: int
    source: str
    metrics_url: str | None
    state: str
    started: datetime
    time: datetime
    release: str | None
    micro_batches: int
    recovered: int
    rows: int
    counts: Mapping[str, int]
    published_time: datetime | None
    idle_seconds: float
    unpublished_events: int
    unpublished_seconds: float
    rate: float
    latency_ms: Mapping[str, float]
    latency_from: str
    on_time: float | None
    batch_rows: Mapping[str, float]
    batch_seconds: Mapping[str, float]
    stage_share: Mapping[str, float]
    stage_seconds: Mapping[str, float]
    partitions: tuple[PartitionStanding, ...]
    lag: int | None
    skew: float | None
    troubles: Mapping[str, int]
    throttled_ms: float
    incidents: tuple[str, ...]
    telemetry_errors: Mapping[str, int]
    memory_bytes: int
    latency_histogram: tuple[tuple[float, int], ...]
    latency_seconds_sum: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; the last bound of the histogram, infinity, is written as null."""
        data = {spec.name: getattr(self, spec.name) for spec in fields(self)}
        for name, value in data.items():
            if isinstance(value, datetime):
                data[name] = value.isoformat()
            elif isinstance(value, float):
                data[name] = round(value, 4)
            elif isinstance(value, Mapping):
                data[name] = {key: round(item, 4) for key, item in value.items()}
        data["partitions"] = [
            {"partition": one.partition, "position": one.position, "end": one.end, "lag": one.lag} for one in self.partitions
        ]
        data["incidents"] = list(self.incidents)
        data["latency_histogram"] = [[None if bound == float("inf") else bound, count] for bound, count in self.latency_histogram]
        return data


@dataclass(frozen=True)
class Published:
    """A micro-batch that readers see now: for whoever writes a line about each."""

    batch: int
    rows: int
    seconds: float
    release: str
    latency_p95_ms: float
    counts: Mapping[str, int]


@dataclass(frozen=True)
class ReleaseChange:
    """A running stream took another release up: from which micro-batch on, and which one was before."""

    batch: int
    release: str
    before: str

    def __str__(self) -> str:
        return f"release {self.release} in force from micro-batch {self.batch} (before: {self.before})"


class Listener(Protocol):
    """Told of moments, in the stream's own threads; must not raise."""

    def recovered(self, micro_batches: int) -> None:
        """What a killed stream had left undone is finished."""

    def published(self, batch: Published) -> None:
        """A micro-batch is published."""

    def release_changed(self, change: ReleaseChange) -> None:
        """The first micro-batch under another release is in bronze."""


class PulseRecorder:
    """Is told what the stream does, from its threads, and says how it stands, to any thread.

    Args:
        identity: run, host, process.
        clocks: wall clock and monotonic timer.
        source: asked how it stands; that may fail, which is counted and leaves the last answer.
        memory: bytes that the process holds.
        listener: told of moments, where a pulse a second is not enough.
    """

    def __init__(
        self,
        identity: Identity,
        clocks: Clocks,
        source: Source,
        memory: Callable[[], int],
        listener: Listener | None = None,
    ) -> None:
        self._identity, self._clocks, self._source, self._memory, self._listener = identity, clocks, source, memory, listener
        self._lock = threading.Lock()
        self._started, self._began = clocks.now(), clocks.monotonic()
        self._state = RECOVERING
        self._recent = Recent(self._began)
        self._in_hand: deque[tuple[int, int, float]] = deque()
        self._metrics_url: str | None = None
        self._release: str | None = None
        self._taken: str | None = None
        self._latency_from = "receipt"
        self._batches = self._recovered = self._rows = 0
        self._counts: Counter[str] = Counter()
        self._stage_seconds: Counter[str] = Counter()
        self._latencies = np.zeros(latencies.BUCKETS, np.int64)
        self._latency_ms_sum = 0.0
        self._published_time: datetime | None = None
        self._published_at = self._began
        self._last_standing = SourceStanding()
        self._incidents: dict[str, None] = {}
        self._errors: Counter[str] = Counter()

    def served_at(self, url: str) -> None:
        """Where the metrics can be had."""
        self._metrics_url = url

    # --- what happens -------------------------------------------------------------------------------------------

    def took(self, batch: MicroBatch) -> None:
        """A micro-batch is in bronze and on its way."""
        with self._lock:
            self._in_hand.append((batch.number, batch.bronze.height, self._clocks.monotonic()))
            before, self._taken = self._taken, batch.release.id
        if self._listener is not None and before is not None and before != batch.release.id:
            self._listener.release_changed(ReleaseChange(batch.number, batch.release.id, before))

    def published(self, batch: MicroBatch, committed: Committed, partitions: Mapping[str, int]) -> None:
        """A micro-batch is published.

        Args:
            batch: with its bronze rows, which say when each event was enqueued, or else received.
            committed: what it left.
            partitions: its rows by source partition.
        """
        now, at = self._clocks.now(), self._clocks.monotonic()
        waited = latencies.since(batch.bronze.select(ENTERED).to_series(), now)
        worst = float(waited.max())
        measured = Measured(len(waited), committed.seconds, latencies.counted(waited), worst, committed.stage_seconds, partitions)
        with self._lock:
            while self._in_hand and self._in_hand[0][0] <= batch.number:
                self._in_hand.popleft()
            self._recent.add(at, measured)
            self._release = batch.release.id
            self._latency_from = "receipt" if batch.bronze["enqueued_time"].null_count() else "broker timestamp"
            self._batches += 1
            self._rows += measured.rows
            self._counts.update(committed.counts)
            self._stage_seconds.update(committed.stage_seconds)
            self._latencies += measured.latencies
            self._latency_ms_sum += float(waited.sum())
            self._published_time, self._published_at = now, at
        if self._listener is not None:
            p95 = latencies.quantile(measured.latencies, 0.95, worst)
            self._listener.published(Published(batch.number, measured.rows, committed.seconds, batch.release.id, p95, committed.counts))

    def recovered(self, micro_batches: int) -> None:
        """What a killed stream had left undone is finished; from now on it streams."""
        with self._lock:
            self._recovered = micro_batches
            self._state = STREAMING
        if self._listener is not None:
            self._listener.recovered(micro_batches)

    def incident(self, incident_id: str) -> None:
        """An incident was opened, or seen again."""
        with self._lock:
            self._incidents[incident_id] = None

    def telemetry_failed(self, outlet: str) -> None:
        """An outlet could not be written to; the stream goes on."""
        with self._lock:
            self._errors[outlet] += 1

    def ended(self, failed: bool) -> None:
        """The stream has come to its end."""
        with self._lock:
            self._state = FAILED if failed else STOPPED

    # --- how it stands ------------------------------------------------------------------------------------------

    def pulse(self) -> Pulse:
        """The stream at this moment."""
        standing, memory = self._ask_source(), self._memory()
        with self._lock:
            now = self._clocks.monotonic()
            recent = self._recent.sum(now)
            oldest = self._in_hand[0][2] if self._in_hand else now
            return Pulse(
                **vars(self._identity),
                source=self._source.name,
                metrics_url=self._metrics_url,
                state=self._state,
                started=self._started,
                time=self._clocks.now(),
                release=self._release,
                micro_batches=self._batches,
                recovered=self._recovered,
                rows=self._rows,
                counts=dict(self._counts),
                published_time=self._published_time,
                idle_seconds=now - self._published_at,
                unpublished_events=sum(rows for _, rows, _ in self._in_hand),
                unpublished_seconds=now - oldest,
                rate=recent.rate,
                latency_ms=recent.latency_ms,
                latency_from=self._latency_from,
                on_time=latencies.share_within(recent.latencies, latencies.SLO_SECONDS),
                batch_rows=recent.batch_rows,
                batch_seconds=recent.batch_seconds,
                stage_share=recent.stage_share,
                stage_seconds=dict(self._stage_seconds),
                partitions=standing.partitions,
                lag=total_lag(standing),
                skew=skew(recent.partitions, len(standing.partitions)),
                troubles=dict(standing.troubles),
                throttled_ms=standing.throttled_ms,
                incidents=tuple(self._incidents),
                telemetry_errors=dict(self._errors),
                memory_bytes=memory,
                latency_histogram=latencies.cumulative(self._latencies),
                latency_seconds_sum=self._latency_ms_sum / 1000,
            )

    def _ask_source(self) -> SourceStanding:
        try:
            self._last_standing = self._source.standing()
        except Exception:  # noqa: BLE001  # a source that can't say how it stands must not end a stream that reads from it
            self.telemetry_failed("source standing")
        return self._last_standing


def total_lag(source: SourceStanding) -> int | None:
    """Events that the source has and the stream didn't read; None where no partition says so."""
    known = [one.lag for one in source.partitions if one.lag is not None]
    return sum(known) if known else None


def skew(rows: Mapping[str, int], partitions: int) -> float | None:
    """How many times the mean the busiest partition has; None for a source without partitions (files), and where nothing came.

    Args:
        rows: of late, by partition.
        partitions: how many the source has; one that got nothing counts.
    """
    total = sum(rows.values())
    return max(rows.values()) * max(partitions, len(rows)) / total if partitions and total else None
