"""Features: what they are of silver rows, null as NaN, in the order of their names."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from lakewarden.flow.features import COMPUTED, DIRECT, FEATURES, NEEDS, SURPRISING, matrix, values
from lakewarden.tables import SILVER


def silver(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema={name: SILVER.columns[name] for name in dict.fromkeys(NEEDS)})


def of(row: dict[str, object], feature: str) -> float:
    return float(values(silver(row))[0, FEATURES.index(feature)])


def test_names_are_distinct_and_stand_in_silver() -> None:
    assert len(set(FEATURES)) == len(FEATURES)
    assert set(NEEDS) <= set(SILVER.columns)
    assert set(SURPRISING) <= set(FEATURES)


def test_nothing_known_is_nan() -> None:
    x = matrix(silver({}))
    assert x.shape == (1, len(FEATURES))
    assert x.dtype == np.float32
    assert np.isnan(x).all()


def test_columns_are_in_the_order_of_the_names_and_column_by_column_in_memory() -> None:
    x = matrix(silver({name: 3 for name in DIRECT if SILVER.columns[name].is_integer()}, {}))
    assert x.flags["F_CONTIGUOUS"]
    for name in DIRECT:
        if SILVER.columns[name].is_integer():
            assert x[0, FEATURES.index(name)] == 3


@pytest.mark.parametrize(
    ("time", "hour", "weekend"),
    [
        (dt.datetime(2026, 1, 2, 23, 59, 59, 999_999), 23, 0),  # a Friday
        (dt.datetime(2026, 1, 3, 0, 0), 0, 1),
        (dt.datetime(2026, 1, 4, 12, 0), 12, 1),
        (dt.datetime(2026, 1, 5, 6, 0), 6, 0),
        (dt.datetime(1969, 12, 28, 3, 0), 3, 1),  # a Sunday before the epoch
    ],
)
def test_hour_and_weekend(time: dt.datetime, hour: int, weekend: int) -> None:
    row = {"event_time": time.replace(tzinfo=dt.UTC)}
    assert of(row, "hour") == hour
    assert of(row, "weekend") == weekend


def test_shares() -> None:
    row = {"amount_base_minor": 2_500, "a_sum_24h": 7_500, "limit_daily_minor": 20_000, "in_sum_24h": 5_000}
    assert of(row, "amount") == 25.0
    assert of(row, "a_share_of_daily_limit") == 0.5
    assert of(row, "a_amount_to_received_24h") == 0.5
    assert of({**row, "limit_daily_minor": None}, "a_share_of_daily_limit") != of(row, "a_share_of_daily_limit")


def test_kinds() -> None:
    assert of({"event_type": "TRANSFER", "channel": "MOBILE"}, "is_transfer") == 1
    assert of({"event_type": "TRANSFER", "channel": "MOBILE"}, "is_online") == 1
    assert of({"event_type": "PAYMENT", "channel": "POS"}, "is_online") == 0


def test_a_row_has_the_same_features_in_any_company() -> None:
    rng = np.random.default_rng(0)
    rows = silver(*({"amount_base_minor": int(a), "a_sum_24h": int(b), "in_sum_24h": int(c)} for a, b, c in rng.integers(0, 1e9, (50, 3))))
    whole = matrix(rows)
    parts = np.vstack([matrix(rows[:7]), matrix(rows[7:8]), matrix(rows[8:])])
    assert np.array_equal(whole, parts, equal_nan=True)
    assert len(COMPUTED) + len(DIRECT) == whole.shape[1]
