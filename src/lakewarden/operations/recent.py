"""What the last minute of a stream was like: seconds that are added to, summed up and forgotten."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import floor
from typing import TYPE_CHECKING, Final

import numpy as np

from lakewarden.operations.latencies import BUCKETS, nearest_rank, quantile

if TYPE_CHECKING:
    from lakewarden.operations.latencies import Counts

WINDOW_SECONDS: Final = 60


@dataclass(frozen=True)
class Measured:
    """What one published micro-batch adds: rows, seconds from its first row to its publication, its latencies, stages and partitions."""

    rows: int
    seconds: float
    latencies: Counts
    worst_ms: float
    stage_seconds: Mapping[str, float]
    partitions: Mapping[str, int]


@dataclass
class Span:
    """Micro-batches of a second, or of all seconds that are remembered."""

    seconds: float = 0.0
    rows: int = 0
    worst_ms: float = 0.0
    latencies: Counts = field(default_factory=lambda: np.zeros(BUCKETS, np.int64))
    batches: list[tuple[int, float]] = field(default_factory=list)
    stage_seconds: Counter[str] = field(default_factory=Counter)
    partitions: Counter[str] = field(default_factory=Counter)

    def add(self, batch: Measured) -> None:
        """Add a micro-batch."""
        self.rows += batch.rows
        self.worst_ms = max(self.worst_ms, batch.worst_ms)
        self.latencies += batch.latencies
        self.batches.append((batch.rows, batch.seconds))
        self.stage_seconds.update(batch.stage_seconds)
        self.partitions.update(batch.partitions)

    def join(self, other: Span) -> None:
        """Add another span's micro-batches."""
        self.rows += other.rows
        self.worst_ms = max(self.worst_ms, other.worst_ms)
        self.latencies += other.latencies
        self.batches += other.batches
        self.stage_seconds.update(other.stage_seconds)
        self.partitions.update(other.partitions)

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.rows / self.seconds if self.seconds > 0 else 0.0

    @property
    def latency_ms(self) -> dict[str, float]:
        """p50, p95 and p99 within the buckets' width, and the maximum exactly; empty where nothing was published."""
        if not self.rows:
            return {}
        found = {name: quantile(self.latencies, q, self.worst_ms) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
        return {**found, "max": self.worst_ms}

    @property
    def batch_rows(self) -> dict[str, float]:
        """Rows of a micro-batch: p50 and the maximum."""
        return percentiles([rows for rows, _ in self.batches], p50=0.5, max=1.0)

    @property
    def batch_seconds(self) -> dict[str, float]:
        """Seconds from reading a micro-batch to its publication: p50 and p95."""
        return percentiles([seconds for _, seconds in self.batches], p50=0.5, p95=0.95)

    @property
    def stage_share(self) -> dict[str, float]:
        """Each stage's share of the time that all stages took."""
        total = sum(self.stage_seconds.values())
        return {name: seconds / total for name, seconds in self.stage_seconds.items()} if total > 0 else {}


def percentiles(values: Sequence[float], **wanted: float) -> dict[str, float]:
    """Percentiles by the nearest rank, by name; empty where there are no values."""
    ordered = sorted(values)
    return {name: ordered[nearest_rank(q, len(ordered)) - 1] for name, q in wanted.items()} if ordered else {}


class Recent:
    """The last `WINDOW_SECONDS`, the second that is under way included.

    Args:
        began: the monotonic clock when the stream was started; before that there is nothing to divide a rate by.
    """

    def __init__(self, began: float) -> None:
        self._began = began
        self._spans: deque[tuple[int, Span]] = deque()

    def add(self, now: float, batch: Measured) -> None:
        """Add a micro-batch that was published at `now` (monotonic)."""
        second = floor(now - self._began)
        if not self._spans or self._spans[-1][0] < second:
            self._spans.append((second, Span()))
        self._spans[-1][1].add(batch)
        self._forget(second)

    def sum(self, now: float) -> Span:
        """Everything that is remembered at `now` (monotonic) as one span; it is the caller's."""
        second = floor(now - self._began)
        self._forget(second)
        total = Span(now - self._began - max(0, second - WINDOW_SECONDS + 1))
        for _, span in self._spans:
            total.join(span)
        return total

    def _forget(self, second: int) -> None:
        while self._spans and self._spans[0][0] <= second - WINDOW_SECONDS:
            self._spans.popleft()
