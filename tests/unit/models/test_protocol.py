"""The published protocol: which rows, by hand and by the published counts."""

import datetime as dt
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lakewarden.models.protocol import FOLDS, SINGLE, VALIDATION, judge, weeks

START = dt.date(2018, 7, 25)
HANDBOOK = Path(os.environ.get("LAKEWARDEN_DATA", Path(__file__).resolve().parents[4] / "shared" / "data")) / "handbook.parquet"


def frame(*rows: tuple[str, int, bool]) -> pl.DataFrame:
    """Account, day from the start, whether it is a fraud."""
    midnight = dt.datetime.combine(START, dt.time(12), dt.UTC)
    return pl.DataFrame(
        {
            "account_id": [account for account, _, _ in rows],
            "event_time": pl.Series([midnight + dt.timedelta(days=day) for _, day, _ in rows], dtype=pl.Datetime("us", "UTC")),
            "is_fraud": [fraud for _, _, fraud in rows],
            "day": [day for _, day, _ in rows],
        }
    )


def judged(*rows: tuple[str, int, bool]) -> list[tuple[str, int]]:
    return list(weeks(frame(*rows), START)[1].select("account_id", "day").iter_rows())


def test_a_week_a_gap_of_a_week_a_week() -> None:
    rows = frame(*(("A", day, False) for day in range(-2, 25)))
    trained, tested = weeks(rows, START)
    assert trained["day"].to_list() == list(range(7))
    assert tested["day"].to_list() == list(range(14, 21))


def test_defrauded_in_the_training_week_is_left_out() -> None:
    assert judged(("A", 3, True), ("A", 15, True), ("B", 15, False)) == [("B", 15)]


def test_defrauded_before_the_training_week_is_judged() -> None:
    assert judged(("A", -1, True), ("A", 15, True)) == [("A", 15)]


@pytest.mark.parametrize(("fraud_day", "first_left_out"), [(6, 14), (7, 15), (8, 16), (12, 20), (13, None)])
def test_a_fraud_is_known_a_week_later_and_a_day(fraud_day: int, first_left_out: int | None) -> None:
    rows = [("A", fraud_day, True), *(("A", day, False) for day in range(14, 21))]
    assert judged(*rows) == [("A", day) for day in range(14, first_left_out or 21)]


def test_a_fraud_in_the_judged_week_does_not_leave_its_customer_out() -> None:
    assert judged(("A", 14, True), ("A", 20, True)) == [("A", 14), ("A", 20)]


def test_folds_and_validation_weeks_do_not_meet() -> None:
    tested = {start + dt.timedelta(days=day) for start in FOLDS for day in range(14, 21)}
    seen = {start + dt.timedelta(days=day) for start in VALIDATION for day in range(21)}
    assert not tested & seen


def test_judging() -> None:
    rows = frame(("A", 14, True), ("B", 14, False), ("C", 15, False), ("D", 15, True))
    auc, precision, cards = judge(rows, np.asarray([0.9, 0.1, 0.8, 0.7]))
    assert auc == 0.75
    assert precision == pytest.approx((1 + 2 / 3) / 2)
    assert cards == 0.01


@pytest.mark.skipif(not HANDBOOK.exists(), reason=f"the Handbook's data are not at {HANDBOOK} (LAKEWARDEN_DATA names their folder)")
def test_published_counts() -> None:
    rows = pl.read_parquet(HANDBOOK).select(
        account_id=pl.col("CUSTOMER_ID").cast(pl.String),
        event_time=pl.col("TX_DATETIME").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
        is_fraud=pl.col("TX_FRAUD").cast(pl.Boolean),
    )
    trained, tested = weeks(rows, SINGLE)
    assert (trained.height, trained["is_fraud"].sum()) == (67_240, 598)
    assert (tested.height, tested["is_fraud"].sum()) == (58_264, 385)
