"""What was known of frauds at a clock."""

import math

import numpy as np
import polars as pl
import pytest

from lakewarden.flow.labels import Frauds, LabelIndex, look_up
from lakewarden.hashing import hash64
from lakewarden.tables import LABELS, UTC_US

DAY = 86_400_000_000
NOW = 20_000 * DAY


def labels(*rows: tuple[str, str | None, float | None, float | None, bool | None]) -> pl.DataFrame:
    """Rows of (transaction, party, event, known, verdict), in label order; times in days from NOW."""
    at = lambda days: None if days is None else int(NOW + days * DAY)  # noqa: E731
    return pl.DataFrame(
        [(i, t, f"A-{p}", p, at(e), at(k), fraud, None, "test", 1) for i, (t, p, e, k, fraud) in enumerate(rows)],
        schema={**LABELS.columns, "event_time": pl.Int64, "known_time": pl.Int64},
        orient="row",
    ).cast({"event_time": UTC_US, "known_time": UTC_US})


def known(frauds: Frauds, name: str | None, days: float) -> tuple[int, int, int, float, float]:
    """Frauds of 1, 7, 30 days and days since first and last, as of some days from NOW."""
    told = look_up(hash64(pl.Series([name], dtype=pl.String)), np.array([int(NOW + days * DAY)]), frauds)
    first, last = (float(seconds[0]) / 86_400 for seconds in (told.since_first, told.since_last))
    return int(told.days_1[0]), int(told.days_7[0]), int(told.days_30[0]), first, last


def nothing(told: tuple[int, int, int, float, float]) -> bool:
    return told[:3] == (0, 0, 0) and math.isnan(told[3]) and math.isnan(told[4])


def test_nothing_is_known_of_nobody() -> None:
    index = LabelIndex.empty()
    assert nothing(known(index.parties, "m:M", 0))
    assert nothing(known(index.parties, None, 0))
    assert index.frauds == 0


def test_a_fraud_counts_from_the_moment_it_is_known() -> None:
    index = LabelIndex.build(labels(("T", "m:M", -7, 0, True)))
    tick = 1 / DAY
    assert nothing(known(index.parties, "m:M", -tick))
    assert known(index.parties, "m:M", 0) == (1, 1, 1, 7, 7)
    assert known(index.parties, "m:M", 1 - tick)[:3] == (1, 1, 1)
    assert known(index.parties, "m:M", 1)[:3] == (0, 1, 1)
    assert known(index.parties, "m:M", 30)[:3] == (0, 0, 0)
    assert known(index.accounts, "A-m:M", 3)[:3] == (0, 1, 1)
    assert nothing(known(index.parties, "m:N", 3))
    assert nothing(known(index.accounts, "m:M", 3))


def test_first_and_last_fraud_within_45_days_of_the_clock() -> None:
    index = LabelIndex.build(labels(("T1", "m:M", -10, -3, True), ("T2", "m:M", -4, -3.5, True), ("T3", "m:M", -1, 6, True)))
    assert known(index.parties, "m:M", 0)[3:] == (10, 4)
    assert known(index.parties, "m:M", 6)[3:] == (16, 7)
    assert known(index.parties, "m:M", 35)[3:] == (45, 36)
    assert known(index.parties, "m:M", 36)[3:] == (40, 37)
    assert nothing(known(index.parties, "m:M", 60))


def test_a_later_label_clears_a_fraud_from_its_own_time_on() -> None:
    index = LabelIndex.build(
        labels(("T1", "m:M", -5, 0, True), ("T2", "m:M", -6, 0, True), ("T1", "m:M", -5, 2, False), ("T1", "m:M", -5, 4, True))
    )
    assert known(index.parties, "m:M", 1)[1:] == (2, 2, 7, 6)
    assert known(index.parties, "m:M", 2)[1:] == (1, 1, 8, 8)
    assert known(index.parties, "m:M", 4)[1:] == (2, 2, 10, 9)
    assert index.frauds == 3


def test_all_frauds_cleared_leaves_nothing() -> None:
    index = LabelIndex.build(labels(("T1", "m:M", -5, 0, True), ("T1", "m:M", -5, 2, False)))
    assert known(index.parties, "m:M", 1)[:3] == (0, 1, 1)
    assert nothing(known(index.parties, "m:M", 2))


def test_a_second_confirmation_changes_nothing() -> None:
    once, twice = (LabelIndex.build(labels(*[("T", "m:M", -5, known_at, True) for known_at in times])) for times in ((0,), (0, 3)))
    for day in (0, 1, 3, 4, 10):
        assert known(once.parties, "m:M", day) == known(twice.parties, "m:M", day)


def test_the_highest_label_seq_holds_even_if_its_time_is_earlier() -> None:
    index = LabelIndex.build(labels(("T", "m:M", -5, 3, True), ("T", "m:M", -5, 1, False)))
    assert nothing(known(index.parties, "m:M", 3))


def test_a_label_is_not_known_before_its_transaction() -> None:
    index = LabelIndex.build(labels(("T", "m:M", 0, -9, True)))
    assert nothing(known(index.parties, "m:M", -1))
    assert known(index.parties, "m:M", 0)[3:] == (0, 0)


def test_labels_without_a_place_are_left_out() -> None:
    index = LabelIndex.build(
        labels(("T1", "m:M", None, 0, True), ("T2", "m:M", -1, None, True), ("T3", "m:M", -1, 0, None), ("T4", None, -1, 0, True))
    )
    assert nothing(known(index.parties, "m:M", 1))
    assert known(index.accounts, "A-None", 1)[2] == 1


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_order_of_rows_does_not_matter(order: tuple[int, ...]) -> None:
    rows = labels(("T1", "m:M", -5, 0, True), ("T1", "m:M", -5, 2, False), ("T2", "m:M", -9, 1, True))
    index = LabelIndex.build(rows[list(order)])
    assert [known(index.parties, "m:M", day)[2] for day in (0, 1, 2)] == [1, 2, 1]


def test_many_subjects() -> None:
    rows = [(f"T{i}", f"m:{i % 500}", -(i % 40), -(i % 13) / 2, True) for i in range(3000)]
    index = LabelIndex.build(labels(*rows))
    for name in ("m:0", "m:7", "m:499"):
        held = [max(k, e) for _, p, e, k, _ in rows if p == name]
        assert known(index.parties, name, 0)[2] == sum(-30 < k <= 0 for k in held)
    assert index.bytes > 0
