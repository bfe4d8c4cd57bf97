"""The Fraud Detection Handbook's published protocol, through the product's own flow and training.

The file is mapped and goes through every stage, with labels known after seven days; each training week's model is made by `train`.
The recipe was chosen on the validation weeks (`models.protocol.VALIDATION`); the test folds were not looked at for it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from row import Row

import lakewarden
from lakewarden.flow.features import FEATURES, SURPRISING, matrix
from lakewarden.lake.release_loader import materialise
from lakewarden.models import anomaly
from lakewarden.models.protocol import FOLDS, SINGLE, Fold, evaluate_folds, judge, weeks
from lakewarden.operations import release
from lakewarden.operations.train import from_source
from lakewarden.settings import FlowSettings
from lakewarden.sources.labels import read_labels

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("LAKEWARDEN_DATA", HERE.parents[1] / "shared" / "data"))
MAPPING = HERE.parent / "examples" / "handbook.yaml"
SINGLE_COUNTS = (67_240, 598, 58_264, 385)
UNLABELLED_START = dt.date(2018, 7, 11)
SEED = 7

# the best published figure of each metric over the four folds, and the goals
PUBLISHED = {"auc": (0.879, "balanced bagging"), "ap": (0.687, "XGBoost"), "cp100": (0.305, "balanced bagging")}
GOALS = {"auc": 0.885, "ap": 0.72, "cp100": 0.315}
UNLABELLED = {"auc": 0.836, "ap": 0.180, "cp100": 0.217}


def silver_with_labels(file: Path) -> tuple[pl.DataFrame, FlowSettings]:
    """The whole file through mapping and stages, with the labels that were known at each moment."""
    with tempfile.TemporaryDirectory(prefix="lakewarden-handbook-") as folder:
        lakewarden.init(folder)
        house = lakewarden.open(folder).house
        inforce = materialise(house.store, release.ensure(house.store, dt.datetime.now(dt.UTC)))
        rows, _ = from_source(file, MAPPING, read_labels(file, MAPPING), inforce, lambda: dt.datetime.now(dt.UTC))
    return rows, inforce.settings


def without_labels(rows: pl.DataFrame, settings: FlowSettings) -> tuple[float, float, float]:
    """The anomaly detector alone, as the published unsupervised results: fitted on one week, judged on the week after the next."""
    trained, judged = weeks(rows, UNLABELLED_START)
    detector = anomaly.fit(matrix(trained), FEATURES, SURPRISING, settings)
    return judge(judged, detector.scores(matrix(judged)))


def figures(folds: list[Fold]) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation over the folds."""
    values = {
        "auc": [fold.auc for fold in folds],
        "ap": [fold.average_precision for fold in folds],
        "cp100": [fold.card_precision_100 for fold in folds],
    }
    return {name: (float(np.mean(found)), float(np.std(found))) for name, found in values.items()}


def run() -> list[dict[str, object]]:
    """The rows of the result file; none, and the reason on stderr, where the data are absent."""
    file = DATA / "handbook.parquet"
    if not file.exists():
        print(f"handbook: skipped, {file} is absent (LAKEWARDEN_DATA names the folder of the data)", file=sys.stderr)
        return []
    rows, settings = silver_with_labels(file)
    folds = evaluate_folds(rows, settings, FOLDS, seed=SEED)
    single = next(fold for fold in folds if fold.start == SINGLE)
    counts = (single.train_rows, single.train_frauds, single.test_rows, single.test_frauds)
    if counts != SINGLE_COUNTS:
        raise AssertionError(f"the protocol's counts are {SINGLE_COUNTS}, these are {counts}")
    made: list[Row] = []
    for name, (mean, deviation) in figures(folds).items():
        best, by = PUBLISHED[name]
        note = f"four test folds, sd {deviation:.3f}"
        made.append(Row(f"handbook_{name}", mean, "share", f"best published ({by})", best, GOALS[name], note))
    for name, value in zip(("auc", "ap", "cp100"), without_labels(rows, settings), strict=True):
        note = "anomaly detector, trained without labels; 11 to 17 July, judged on 25 to 31 July"
        made.append(Row(f"handbook_unlabelled_{name}", value, "share", "best published (autoencoder)", UNLABELLED[name], None, note))
    return [row.to_dict() for row in made]


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
