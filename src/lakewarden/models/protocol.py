"""The Fraud Detection Handbook's protocol, so that a model of ours can be held against its published results.

A model is trained on one week; then seven days pass, until the labels of that week are known; then it is judged on the next week. Customers
whose fraud is known by then are left out: those defrauded in the training week, and for day k of the judged week also those defrauded up to
seven days before it. Metrics: AUC ROC, average precision, card precision at 100.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from lakewarden.flow.features import FEATURES, matrix
from lakewarden.flow.trees import Floats
from lakewarden.models import metrics
from lakewarden.models.train import RECIPE, Recipe, train
from lakewarden.settings import FlowSettings

WEEK: Final = 7
DELAY: Final = 7

SINGLE: Final = dt.date(2018, 7, 25)
"""First day of the training week of the published single split."""

FOLDS: Final = (dt.date(2018, 8, 15), dt.date(2018, 8, 8), dt.date(2018, 8, 1), dt.date(2018, 7, 25))
"""First days of the training weeks of the four published folds: what is reported."""

VALIDATION: Final = (dt.date(2018, 7, 11), dt.date(2018, 7, 4), dt.date(2018, 6, 27), dt.date(2018, 6, 20))
"""First days of the training weeks by which recipes are chosen: none of their judged weeks is in a fold."""


@dataclass(frozen=True)
class Fold:
    """One training week's result; `auc`, `average_precision`, `card_precision_100` are shares."""

    start: dt.date
    train_rows: int
    train_frauds: int
    test_rows: int
    test_frauds: int
    auc: float
    average_precision: float
    card_precision_100: float


def weeks(rows: pl.DataFrame, start: dt.date) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The training week from `start` and the judged week behind it, without the customers known by then to be defrauded.

    Args:
        rows: with `event_time`, `account_id` and `is_fraud`.
        start: first day of the training week.
    """
    day = (pl.col("event_time").dt.date() - start).dt.total_days()
    dated = rows.with_columns(day.cast(pl.Int64).alias("_day"))
    trained = dated.filter(pl.col("_day").is_between(0, WEEK - 1))
    first = dated.filter(pl.col("is_fraud") & (pl.col("_day") >= 0)).group_by("account_id").agg(pl.col("_day").min().alias("_defrauded"))
    judged = dated.filter(pl.col("_day").is_between(WEEK + DELAY, 2 * WEEK + DELAY - 1)).join(
        first, on="account_id", how="left", maintain_order="left"
    )
    known = (pl.col("_defrauded") < WEEK) | (pl.col("_defrauded") <= pl.col("_day") - DELAY - 1)
    return trained.drop("_day"), judged.filter(known.fill_null(value=False).not_()).drop("_day", "_defrauded")


def judge(rows: pl.DataFrame, score: Floats) -> tuple[float, float, float]:
    """AUC ROC, average precision and card precision at 100 of scores of labelled rows."""
    fraud = rows["is_fraud"].cast(pl.Boolean).to_numpy()
    day = rows["event_time"].dt.epoch("d").cast(pl.Int64).to_numpy()
    card = rows["account_id"].rank("dense").cast(pl.Int64).to_numpy()
    found = metrics.auc_roc(fraud, score), metrics.average_precision(fraud, score), metrics.card_precision(day, card, fraud, score)
    auc, precision, cards = (np.nan if value is None else value for value in found)
    return auc, precision, cards


def evaluate_folds(
    rows: pl.DataFrame, settings: FlowSettings, starts: Sequence[dt.date] = FOLDS, *, seed: int = 7, recipe: Recipe = RECIPE
) -> list[Fold]:
    """Train and judge by the product's own training, once for each training week.

    Args:
        rows: silver with labels: `flow.features.NEEDS`, `account_id`, `is_fraud`; features may use all the history before.
        settings: as for training.
        starts: first days of the training weeks.
        seed, recipe: as for training.
    """
    folds = []
    for start in starts:
        trained, judged = weeks(rows, start)
        model = train(trained, settings, seed=seed, recipe=recipe).model
        assert model.feature_names == FEATURES
        auc, precision, cards = judge(judged, model.log_odds(matrix(judged)))
        counts = trained.height, int(trained["is_fraud"].sum()), judged.height, int(judged["is_fraud"].sum())
        folds.append(Fold(start, *counts, auc, precision, cards))
    return folds
