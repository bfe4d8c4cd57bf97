"""Metrics against independent ones, and by hand."""

import numpy as np
import pytest

from lakewarden.models.metrics import auc_roc, average_precision, brier, card_precision


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [3, 50, 10_000])
def test_auc_and_average_precision_are_scikit_learns(seed: int, levels: int) -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(seed)
    fraud = rng.random(800) < 0.1
    score = rng.integers(0, levels, 800) / levels + 0.3 * fraud
    assert auc_roc(fraud, score) == pytest.approx(roc_auc_score(fraud, score))
    assert average_precision(fraud, score) == pytest.approx(average_precision_score(fraud, score))


def test_one_kind_only() -> None:
    score = np.asarray([0.1, 0.2])
    assert auc_roc(np.asarray([False, False]), score) is None
    assert auc_roc(np.asarray([True, True]), score) is None
    assert average_precision(np.asarray([False, False]), score) is None
    assert brier(np.zeros(0, bool), np.zeros(0)) is None


def test_brier() -> None:
    assert brier(np.asarray([True, False]), np.asarray([0.75, 0.5])) == pytest.approx((0.0625 + 0.25) / 2)


def cards(rows: list[tuple[int, int, bool, float]], k: int) -> float | None:
    day, card, fraud, score = (np.asarray(column) for column in zip(*rows, strict=True))
    return card_precision(day, card, fraud, score.astype(float), k)


def test_card_precision_counts_cards_by_their_highest_score() -> None:
    day_0 = [(0, 1, False, 0.9), (0, 1, True, 0.1), (0, 2, False, 0.8), (0, 3, True, 0.7), (0, 4, False, 0.6)]
    assert cards(day_0, 2) == 0.5  # cards 1 and 2; card 1 is defrauded, though not by its highest transaction
    assert cards(day_0, 3) == pytest.approx(2 / 3)


def test_cards_already_found_are_left_out() -> None:
    rows = [(0, 1, True, 0.9), (0, 2, False, 0.1), (1, 1, True, 0.9), (1, 2, True, 0.2), (1, 3, False, 0.5)]
    assert cards(rows, 1) == 0.5  # day 1: card 1 is gone, card 3 is looked at in vain
    assert cards(rows, 2) == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_a_defrauded_card_that_was_missed_stays() -> None:
    rows = [(0, 1, True, 0.1), (0, 2, False, 0.9), (1, 1, True, 0.9), (1, 2, False, 0.1)]
    assert cards(rows, 1) == 0.5


def test_a_day_with_few_cards_counts_by_the_full_number() -> None:
    assert cards([(0, 1, True, 0.9)], 4) == 0.25
