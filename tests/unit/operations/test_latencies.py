"""Latencies in buckets: percentiles close to the exact ones, counts at the handed-out bounds exact."""

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakewarden.operations import latencies

NOW = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
some = settings(deadline=None, derandomize=True, max_examples=200)
waits = st.lists(st.one_of(st.floats(1, 8e9), st.sampled_from([s * 1000 for s in latencies.LE_SECONDS])), min_size=1, max_size=200)


@some
@given(waits, st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_within_a_bucket_of_the_exact_one(milliseconds: list[float], q: float):
    found = latencies.quantile(latencies.counted(np.array(milliseconds)), q, max(milliseconds))
    exact = sorted(milliseconds)[max(0, math.ceil(q * len(milliseconds) - 1e-9) - 1)]
    assert exact / latencies.RELATIVE_WIDTH <= found <= exact * latencies.RELATIVE_WIDTH
    assert found <= max(milliseconds)


@some
@given(waits)
def test_what_is_handed_out_is_exact(milliseconds: list[float]):
    counts = latencies.counted(np.array(milliseconds))
    for bound, count in latencies.cumulative(counts):
        assert count == sum(value <= bound * 1000 for value in milliseconds)
    on_time = sum(value <= 60_000 for value in milliseconds) / len(milliseconds)
    assert latencies.share_within(counts, latencies.SLO_SECONDS) == pytest.approx(on_time)


@some
@given(waits, waits)
def test_counts_add_up(first: list[float], second: list[float]):
    both = latencies.counted(np.array(first)) + latencies.counted(np.array(second))
    assert both.tolist() == latencies.counted(np.array(first + second)).tolist()


def test_an_event_from_the_future_waited_for_nothing():
    entered = pl.Series([NOW - dt.timedelta(seconds=2), NOW + dt.timedelta(seconds=5)], dtype=pl.Datetime("us", "UTC"))
    assert latencies.since(entered, NOW).tolist() == [2000.0, 0.0]


def test_out_of_range_latencies_are_counted_in_the_outermost_buckets():
    counts = latencies.counted(np.array([0.0, 1e15]))
    assert (counts[0], counts[-1], counts.sum()) == (1, 1, 2)
    assert latencies.quantile(counts, 0.5, 1e15) == 1.0


def test_nothing_counted_is_no_share():
    assert latencies.share_within(np.zeros(latencies.BUCKETS, np.int64), latencies.SLO_SECONDS) is None
