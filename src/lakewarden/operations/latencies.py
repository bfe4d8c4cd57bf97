"""Latencies counted in fixed buckets: cheap to add a micro-batch to, to sum over a window, and to take percentiles from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    Counts = NDArray[np.int64]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)

SLO_SECONDS: Final = 60.0
"""Service level: 95 % of events are in `risk_scores_gold` so long after they were enqueued."""

STEPS: Final = 16
"""Buckets to a doubling: each is 4.4 % wide, so that a percentile is off by 2.2 % at most."""

RELATIVE_WIDTH: Final = 2 ** (1 / STEPS)

OCTAVES: Final = 33
"""From a millisecond to 99 days: longer than a broker keeps events."""

LE_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, SLO_SECONDS, 90.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Bounds of the histogram that is handed out; each is a bound of ours as well, so that its counts are exact."""

BOUNDS_MS: Final = np.unique(np.concatenate([2.0 ** (np.arange(OCTAVES * STEPS + 1) / STEPS), np.array(LE_SECONDS) * 1000]))
"""Upper bounds of the buckets but the last, which has none; a latency that equals a bound is in its bucket."""

BUCKETS: Final = len(BOUNDS_MS) + 1

_LE_AT: Final = np.searchsorted(BOUNDS_MS, np.array(LE_SECONDS) * 1000)
_MIDDLES_MS: Final = np.concatenate([BOUNDS_MS[:1], np.sqrt(BOUNDS_MS[:-1] * BOUNDS_MS[1:]), BOUNDS_MS[-1:]])


def since(entered: pl.Series, published: datetime) -> NDArray[np.float64]:
    """Milliseconds from each event's time (Datetime(us, UTC), no nulls) to its publication; a time in the future counts as 0."""
    then = (published - EPOCH) // MICROSECOND
    waited: NDArray[np.float64] = (then - entered.to_physical().to_numpy()) / 1000
    return np.maximum(waited, 0.0)


def counted(milliseconds: NDArray[np.float64]) -> Counts:
    """How many latencies fall into each bucket."""
    return np.bincount(np.searchsorted(BOUNDS_MS, milliseconds), minlength=BUCKETS)


def nearest_rank(q: float, count: int) -> int:
    """Which of so many ordered values is the `q` quantile: the first one that a share `q` of them doesn't exceed; from 1."""
    return max(1, ceil(q * count - 1e-9))  # 0.95 * 20 is a hair above 19


def quantile(counts: Counts, q: float, worst: float) -> float:
    """The `q` quantile (ms) of what `counted` gave or a sum of such, of at least one latency; never above `worst`, the largest one."""
    upto = np.cumsum(counts)
    bucket = np.searchsorted(upto, nearest_rank(q, int(upto[-1])))
    return float(min(_MIDDLES_MS[bucket], worst))


def share_within(counts: Counts, seconds: float) -> float | None:
    """The share of latencies of at most so many seconds, one of `LE_SECONDS`; None where nothing was counted."""
    total = int(counts.sum())
    upto = int(counts[: _LE_AT[LE_SECONDS.index(seconds)] + 1].sum())
    return upto / total if total else None


def cumulative(counts: Counts) -> tuple[tuple[float, int], ...]:
    """The histogram as it is handed out: how many latencies are at most each of `LE_SECONDS`, and how many there are at all."""
    upto = np.cumsum(counts)
    ends = zip(LE_SECONDS, upto[_LE_AT].tolist(), strict=True)
    return (*ends, (float("inf"), int(upto[-1])))
