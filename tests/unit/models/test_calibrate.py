"""Platt scaling finds the line that margins were bent by, and holds still where there is too little to go by."""

import numpy as np
import pytest

from lakewarden.models.calibrate import AS_IT_IS, platt


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def test_finds_slope_and_intercept() -> None:
    rng = np.random.default_rng(1)
    odds = rng.normal(-2, 2, 60_000)
    fraud = rng.random(odds.size) < sigmoid(odds)
    a, b = platt((odds - 1.5) / 0.6, fraud)
    assert (a, b) == (pytest.approx(0.6, abs=0.03), pytest.approx(1.5, abs=0.06))


def test_calibrated_probabilities_sum_to_the_frauds() -> None:
    rng = np.random.default_rng(2)
    odds = rng.normal(-3, 1.5, 20_000)
    fraud = rng.random(odds.size) < sigmoid(odds)
    a, b = platt(odds * 2 + 1, fraud)
    assert sigmoid(a * (odds * 2 + 1) + b).sum() == pytest.approx(fraud.sum(), abs=2)


def test_too_few_of_a_kind() -> None:
    fraud = np.zeros(500, bool)
    fraud[:9] = True
    assert platt(np.linspace(-5, 5, 500), fraud) == AS_IT_IS
    assert platt(np.linspace(-5, 5, 500), ~fraud) == AS_IT_IS


def test_perfect_separation_has_an_end() -> None:
    fraud = np.zeros(500, bool)
    fraud[400:] = True
    a, b = platt(np.where(fraud, 3.0, -3.0), fraud)
    assert 0 < a < 10
    assert np.isfinite(b)


def test_a_ranking_is_never_turned_round() -> None:
    fraud = np.zeros(400, bool)
    fraud[:50] = True
    a, _ = platt(np.linspace(-5, 5, 400), fraud)  # the frauds have the lowest margins
    assert a > 0
