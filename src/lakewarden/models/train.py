"""Train: labelled silver rows in, a calibrated and explained scoring model with its metrics out. Pure but for CPU time.

The rows are split by time. The earlier part trains a first classifier; the later part, which it hasn't seen, measures and calibrates
it; the classifier that is kept is trained by the same recipe on all of them. The recipe was chosen on the Fraud Detection Handbook's
validation folds (training weeks from 20 and 27 June, 4 and 11 July 2018), never on its test folds.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lakewarden.errors import ModelError
from lakewarden.flow.features import FEATURES, SURPRISING, matrix
from lakewarden.flow.model import ScoringModel
from lakewarden.flow.trees import Matrix, ObliviousTrees
from lakewarden.models import anomaly, metrics
from lakewarden.models.calibrate import AS_IT_IS, platt
from lakewarden.models.oblivious import from_catboost
from lakewarden.settings import FlowSettings

NAME: Final = "lakewarden"
UNREGISTERED: Final = "0"
DAY_US: Final = 86_400_000_000

FEWEST_ROWS: Final = 100
FEWEST_OF_A_KIND: Final = 20
"""With fewer frauds, or fewer other labelled rows, there is no classifier, only the anomaly detector."""

HELD_OUT: Final = 0.25
"""Share of the rows, the latest, that measure and calibrate."""


@dataclass(frozen=True)
class Recipe:
    """CatBoost's parameters, by its own names where they are its own.

    Attributes:
        iterations: number of trees; fixed, so that nothing hangs on a random stop.
        border_count, feature_border_type: limits that a tree may ask about; fine and even ones find the amount at which fraud begins.
        threads: how many train; the result is the same for any number.
    """

    iterations: int = 300
    depth: int = 6
    learning_rate: float = 0.05
    l2_leaf_reg: float = 3.0
    random_strength: float = 1.0
    rsm: float = 1.0
    border_count: int = 1024
    feature_border_type: str = "UniformAndQuantiles"
    threads: int = 2


RECIPE: Final = Recipe()


@dataclass(frozen=True)
class TrainOutcome:
    """A model that isn't registered yet, its metrics on the held-out rows, and what made it.

    Attributes:
        metrics: `auc`, `average_precision`, `card_precision_100`, `brier` (None where they can't be had), `train_rows`, `train_frauds`,
            `held_out_rows`, `held_out_frauds`.
        params: recipe, seed and what was used of the rows.
    """

    model: ScoringModel
    metrics: dict[str, float | None]
    params: dict[str, str]


def train(rows: pl.DataFrame, settings: FlowSettings, *, seed: int, recipe: Recipe = RECIPE) -> TrainOutcome:
    """Train on labelled rows. The same rows, settings and seed give the same model, bit for bit.

    Args:
        rows: silver columns `flow.features.NEEDS`, `account_id`, and `is_fraud` (null: no label; such rows count for the anomaly
            detector only). In `seq` order.
        settings: quantile of anomalies, bands, label delay.
        seed: of CatBoost's own randomness.
        recipe: CatBoost's parameters.

    Raises:
        ModelError: fewer than 100 rows.
    """
    if rows.height < FEWEST_ROWS:
        raise ModelError(
            f"There are {rows.height} rows to train on; at least {FEWEST_ROWS} are needed.",
            state="nothing was registered; the release in force stays",
            next="stream more events, or name more of them: lakewarden train --from LABELS --source EVENTS",
        )
    rows = rows.sort("event_time", maintain_order=True)
    x = matrix(rows)
    detector = anomaly.fit(x, FEATURES, SURPRISING, settings)
    labelled = rows["is_fraud"].is_not_null().to_numpy()
    known = rows.filter(labelled)
    fraud = known["is_fraud"].cast(pl.Boolean).to_numpy()
    params = {**{k: str(v) for k, v in asdict(recipe).items()}, "seed": str(seed), "rows": str(rows.height), "labelled": str(known.height)}
    if min(int(fraud.sum()), int((~fraud).sum())) < FEWEST_OF_A_KIND:
        model = ScoringModel(NAME, UNREGISTERED, "", FEATURES, None, AS_IT_IS, detector)
        return TrainOutcome(model, _measured(known, fraud, model, x[labelled]), {**params, "classifier": "none"})
    x = np.asfortranarray(x[labelled])
    early, late = split(known["event_time"].dt.epoch("us").to_numpy(), settings.label_delay_days)
    calibration, measured = AS_IT_IS, _nothing_measured(known.height, fraud)
    if min(int(fraud[early].sum()), int((~fraud[early]).sum())) >= FEWEST_OF_A_KIND and late.any():
        first = boost(x[early], fraud[early], seed=seed, recipe=recipe)
        calibration = platt(first.margins(x[late]), fraud[late])
        tried = ScoringModel(NAME, UNREGISTERED, "", FEATURES, first, calibration, detector)
        measured = _measured(known.filter(late), fraud[late], tried, x[late])
        measured |= {"train_rows": float(early.sum()), "train_frauds": float(fraud[early].sum())}
    classifier = boost(x, fraud, seed=seed, recipe=recipe)
    model = ScoringModel(NAME, UNREGISTERED, "", FEATURES, classifier, calibration, detector)
    return TrainOutcome(model, measured, {**params, "classifier": "catboost"})


def split(time_us: NDArray[np.int64], delay_days: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows train the first classifier, and which, later, measure it.

    Rows of the last `delay_days` before the later part are in neither, as their labels wouldn't be known yet, unless that would take
    more than half of the earlier part (a short history).

    Args:
        time_us: event times, ascending.
        delay_days: days until a label is known.
    """
    cut = time_us[int(time_us.size * (1 - HELD_OUT))]
    late = time_us >= cut
    early = time_us < cut - delay_days * DAY_US
    return (early if 2 * early.sum() >= (~late).sum() else ~late), late


def boost(x: Matrix, fraud: NDArray[np.bool_], *, seed: int, recipe: Recipe = RECIPE) -> ObliviousTrees:
    """CatBoost's classifier as arrays."""
    from catboost import CatBoostClassifier, Pool  # three seconds to import: only where something is trained

    parameters: Mapping[str, Any] = {**asdict(recipe), "thread_count": recipe.threads}
    classifier = CatBoostClassifier(
        loss_function="Logloss",
        random_seed=seed,
        allow_writing_files=False,
        logging_level="Silent",
        **{name: value for name, value in parameters.items() if name != "threads"},
    )
    classifier.fit(Pool(x, label=fraud.astype(np.int8)))
    with tempfile.TemporaryDirectory(prefix="lakewarden-train-") as folder:
        path = Path(folder) / "classifier.json"
        classifier.save_model(str(path), format="json")
        return from_catboost(json.loads(path.read_bytes()))


def _measured(rows: pl.DataFrame, fraud: NDArray[np.bool_], model: ScoringModel, x: Matrix) -> dict[str, float | None]:
    odds = model.log_odds(x)
    day = rows["event_time"].dt.epoch("d").cast(pl.Int64).to_numpy()
    card = rows["account_id"].rank("dense").cast(pl.Int64).to_numpy()
    return {
        "auc": metrics.auc_roc(fraud, odds),
        "average_precision": metrics.average_precision(fraud, odds),
        "card_precision_100": metrics.card_precision(day, card, fraud, odds) if fraud.any() else None,
        "brier": metrics.brier(fraud, 1.0 / (1.0 + np.exp(-np.clip(odds, -500, 500)))),
        "train_rows": float(rows.height),
        "train_frauds": float(fraud.sum()),
        "held_out_rows": float(rows.height),
        "held_out_frauds": float(fraud.sum()),
    }


def _nothing_measured(rows: int, fraud: NDArray[np.bool_]) -> dict[str, float | None]:
    nothing = dict.fromkeys(("auc", "average_precision", "card_precision_100", "brier"))
    return {**nothing, "train_rows": float(rows), "train_frauds": float(fraud.sum()), "held_out_rows": 0.0, "held_out_frauds": 0.0}
