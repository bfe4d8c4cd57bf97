"""Training: deterministic, split by time, honest about what it could not measure."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from lakewarden.errors import ModelError
from lakewarden.flow.features import FEATURES, NEEDS, matrix
from lakewarden.flow.model import ScoringModel
from lakewarden.models.train import FEWEST_OF_A_KIND, FEWEST_ROWS, Recipe, split, train
from lakewarden.settings import FlowSettings
from lakewarden.tables import SILVER

QUICK = Recipe(iterations=40)
DAY = 86_400_000_000
START = int(dt.datetime(2026, 1, 1, tzinfo=dt.UTC).timestamp() * 1e6)


def labelled(rows: int = 4000, days: float = 40, seed: int = 1) -> pl.DataFrame:
    """Frauds are large amounts, twice an hour."""
    rng = np.random.default_rng(seed)
    amount, count = rng.integers(100, 100_000, rows), rng.integers(0, 8, rows)
    odds = amount / 25_000 + count - 8
    columns = {
        "event_time": pl.Series(START + np.sort(rng.integers(0, int(days * DAY), rows))).cast(pl.Datetime("us", "UTC")),
        "amount_base_minor": pl.Series(amount),
        "a_count_1h": pl.Series(count),
        "account_id": pl.Series(rng.integers(0, 400, rows)).cast(pl.String),
        "is_fraud": pl.Series(rng.random(rows) < 1 / (1 + np.exp(-odds))),
    }
    nothing = {name: pl.lit(None, SILVER.columns[name]).alias(name) for name in dict.fromkeys(NEEDS) if name not in columns}
    return pl.DataFrame(columns).with_columns(**nothing)


@pytest.fixture(scope="module")
def outcome():
    return train(labelled(), FlowSettings(), seed=5, recipe=QUICK)


def test_learns_what_there_is_to_learn(outcome) -> None:
    fresh = labelled(seed=2)
    odds = outcome.model.log_odds(matrix(fresh))
    fraud = fresh["is_fraud"].to_numpy()
    assert odds[fraud].mean() > odds[~fraud].mean() + 2
    assert outcome.metrics["auc"] > 0.85
    probability = 1 / (1 + np.exp(-odds))
    assert probability.sum() == pytest.approx(fraud.sum(), rel=0.25)
    assert outcome.metrics["brier"] < fraud.mean() * (1 - fraud.mean())


def test_metrics_are_of_rows_not_trained_on(outcome) -> None:
    rows = labelled()
    assert outcome.metrics["held_out_rows"] == pytest.approx(rows.height / 4, abs=2)
    assert outcome.metrics["train_rows"] + outcome.metrics["held_out_rows"] < rows.height  # the week between is in neither
    assert set(outcome.metrics) >= {"auc", "average_precision", "card_precision_100", "brier", "train_frauds", "held_out_frauds"}


def test_same_rows_and_seed_same_bytes(outcome) -> None:
    again = train(labelled(), FlowSettings(), seed=5, recipe=QUICK)
    assert again.model.to_bytes() == outcome.model.to_bytes()
    assert again.metrics == outcome.metrics
    single = train(labelled(), FlowSettings(), seed=5, recipe=Recipe(iterations=40, threads=1))
    assert single.model.to_bytes() == outcome.model.to_bytes()
    other = train(labelled(), FlowSettings(), seed=6, recipe=QUICK)
    assert other.model.to_bytes() != outcome.model.to_bytes()


def test_packs_and_explains(outcome) -> None:
    model = ScoringModel.from_bytes(outcome.model.to_bytes())
    x = matrix(labelled(300, seed=3))
    np.testing.assert_allclose(model.contributions(x).sum(axis=1), outcome.model.log_odds(x), atol=1e-9)
    strongest = np.abs(model.contributions(x)[:, :-1]).mean(axis=0).argsort()[::-1][:2]
    assert {FEATURES[i] for i in strongest} <= {"amount", "a_count_1h", "a_share_of_daily_limit"}


@pytest.mark.parametrize("labels", [None, False, True])
def test_no_labels_or_one_kind_gives_an_anomaly_detector(labels: bool | None) -> None:
    found = train(labelled().with_columns(is_fraud=pl.lit(labels, pl.Boolean)), FlowSettings(), seed=5, recipe=QUICK)
    assert found.model.classifier is None
    assert found.metrics["auc"] is None
    assert found.params["classifier"] == "none"
    scores = found.model.anomaly.scores(matrix(labelled()))
    assert 0 < (scores > found.model.anomaly.threshold).mean() <= 0.005


def test_few_frauds_give_metrics_of_the_detector() -> None:
    rows = labelled(400).with_columns(is_fraud=pl.int_range(pl.len()) >= 400 - FEWEST_OF_A_KIND + 1)
    found = train(rows, FlowSettings(), seed=5, recipe=QUICK)
    assert found.model.classifier is None
    assert found.metrics["auc"] is not None


def test_unlabelled_rows_teach_the_detector_only() -> None:
    rows = labelled()
    more = pl.concat([rows, labelled(seed=9).with_columns(is_fraud=pl.lit(None, pl.Boolean))])
    found = train(more, FlowSettings(), seed=5, recipe=QUICK)
    plain = train(rows, FlowSettings(), seed=5, recipe=QUICK)
    x = matrix(labelled(500, seed=4))
    assert (found.model.log_odds(x) == plain.model.log_odds(x)).all()
    assert found.params["labelled"] == str(rows.height)
    assert found.params["rows"] == str(2 * rows.height)


def test_frauds_all_at_the_end_leave_nothing_to_measure() -> None:
    rows = labelled().with_columns(is_fraud=pl.int_range(pl.len()) >= 3900)
    found = train(rows, FlowSettings(), seed=5, recipe=QUICK)
    assert found.model.classifier is not None
    assert found.metrics["auc"] is None
    assert found.metrics["held_out_rows"] == 0


def test_too_few_rows() -> None:
    with pytest.raises(ModelError, match=f"at least {FEWEST_ROWS}") as refused:
        train(labelled(FEWEST_ROWS - 1), FlowSettings(), seed=5)
    assert "--source" in str(refused.value)


def test_split_leaves_the_delay_between() -> None:
    time = np.arange(0, 40 * DAY, DAY // 4)
    early, late = split(time, 7)
    assert late.sum() == 40
    assert time[late].min() - time[early].max() > 7 * DAY
    assert not (early & late).any()


def test_split_of_a_short_history_has_no_room_for_the_delay() -> None:
    time = np.arange(0, 7 * DAY, DAY // 24)
    early, late = split(time, 7)
    assert (early ^ late).all()
    assert time[early].max() < time[late].min()
