"""The anomaly detector: what is rare, on which side, and how it adds up."""

import numpy as np
import pytest

from lakewarden.flow.anomaly import COMMON
from lakewarden.flow.features import HIGH, LOW
from lakewarden.models.anomaly import fit
from lakewarden.settings import FlowSettings

NAMES = ("plain", "high", "low", "both", "flag", "constant")
TAILS = {"high": HIGH, "low": LOW, "both": LOW | HIGH, "flag": HIGH, "constant": LOW | HIGH}
ROWS = 20_000


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    rng = np.random.default_rng(5)
    out = np.asfortranarray(rng.normal(size=(ROWS, len(NAMES))).astype(np.float32))
    out[:, 4] = rng.random(ROWS) < 0.01
    out[:, 5] = 7
    return out


@pytest.fixture(scope="module")
def detector(x):
    return fit(x, NAMES, TAILS, FlowSettings())


def row(**values: float) -> np.ndarray:
    out = np.zeros((1, len(NAMES)), np.float32)
    out[0, 5] = 7
    for name, value in values.items():
        out[0, NAMES.index(name)] = value
    return out


def test_ordinary_values_are_no_surprise(detector) -> None:
    assert detector.scores(row()) == 0
    assert detector.scores(row(high=1.5, low=-1.5, both=1.9)) == 0


@pytest.mark.parametrize(
    ("name", "value", "rare"), [("high", 4.5, 1), ("high", -4.5, 0), ("low", -4.5, 1), ("low", 4.5, 0), ("both", 4.5, 1)]
)
def test_only_the_suspicious_tail_surprises(detector, name: str, value: float, rare: int) -> None:
    assert (detector.scores(row(**{name: value}))[0] > 0) == bool(rare)
    assert detector.scores(row(plain=value))[0] == 0


def test_surprise_is_minus_the_log_of_the_tail(detector, x) -> None:
    """Within the halving of its bin."""
    for value in (1.9, 2.2, 2.8, 3.3):
        tail = (x[:, 1] >= value).mean()
        said = detector.scores(row(high=value))[0]
        assert -np.log(COMMON * tail) - np.log(2) - 0.05 <= said <= -np.log(COMMON * tail) + 0.05
    tail = (x[:, 2] <= -2.8).mean()
    assert detector.scores(row(low=-2.8))[0] == pytest.approx(-np.log(COMMON * tail), abs=np.log(2) + 0.05)


def test_a_rare_flag(detector, x) -> None:
    assert detector.scores(row(flag=1))[0] == pytest.approx(-np.log(COMMON * x[:, 4].mean()))
    assert detector.scores(row(flag=0))[0] == 0


def test_rarer_is_never_less_surprising(detector) -> None:
    steps = np.vstack([row(high=v) for v in np.linspace(-6, 6, 400)])
    assert (np.diff(detector.scores(steps)) >= 0).all()
    both = np.vstack([row(both=v) for v in np.linspace(0, 6, 200)])
    assert (np.diff(detector.scores(both)) >= 0).all()


def test_unknown_and_infinite_values(detector) -> None:
    assert detector.scores(row(high=np.nan, low=np.nan, both=np.nan))[0] == 0
    assert detector.scores(row(high=np.inf))[0] == detector.scores(row(high=100))[0]


def test_parts_add_up_and_no_cut_changes_a_bit(detector, x) -> None:
    whole = detector.scores(x)
    np.testing.assert_allclose(detector.parts(x).sum(axis=1), whole, atol=1e-12)
    cut = [np.ascontiguousarray(x[a:b]) for a, b in ((0, 1), (1, 1500), (1500, ROWS))]
    assert (np.concatenate([detector.scores(part) for part in cut]) == whole).all()


def test_threshold_and_scale(detector, x) -> None:
    settings = FlowSettings()
    scores = detector.scores(x)
    assert (scores > detector.threshold).mean() <= 1 - settings.anomaly_quantile
    a, b = detector.scale
    assert a > 0
    at = 1 / (1 + np.exp(-(a * detector.threshold + b)))
    assert at == pytest.approx(settings.band_medium)
    high = (1 / (1 + np.exp(-(a * scores + b))) >= settings.band_high).mean()
    assert 0 < high <= (1 - settings.anomaly_quantile) / 5


def test_nothing_to_look_at() -> None:
    empty = fit(np.full((200, 2), np.nan, np.float32), ("high", "plain"), {"high": HIGH, "absent": LOW}, FlowSettings())
    assert (empty.scores(np.ones((3, 2), np.float32)) == 0).all()
    assert empty.parts(np.ones((3, 2), np.float32)).shape == (3, 2)
