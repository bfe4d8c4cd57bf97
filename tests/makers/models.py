"""Small models made by hand, for tests of what uses a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from lakewarden.flow.anomaly import AnomalyDetector
from lakewarden.flow.features import FEATURES, SURPRISING
from lakewarden.flow.model import ScoringModel
from lakewarden.flow.trees import ObliviousTrees
from lakewarden.models.anomaly import fit
from lakewarden.models.oblivious import from_catboost
from lakewarden.settings import FlowSettings


def tree(*splits: tuple[int, float], leaves: list[float]) -> dict[str, Any]:
    return {
        "splits": [{"float_feature_index": index, "border": border} for index, border in splits],
        "leaf_values": leaves,
        "leaf_weights": [len(leaves) - i for i in range(len(leaves))],
    }


def classifier() -> ObliviousTrees:
    """More than 100, 1,000 and 5,000 euros, a burst, a ratio: each adds to log-odds that begin at -4."""
    asked = {"amount": [100.0, 1000.0, 5000.0], "a_count_1h": [3.0], "a_ratio_mean_30d": [2.5, 5.0]}
    features = [
        {"feature_index": i, "flat_feature_index": FEATURES.index(name), "borders": borders}
        for i, (name, borders) in enumerate(asked.items())
    ]
    return from_catboost(
        {
            "features_info": {"float_features": features},
            "scale_and_bias": [1, [-4.0]],
            "oblivious_trees": [
                tree((0, 100.0), (1, 3.0), leaves=[0.0, 0.3, 0.7, 2.0]),
                tree((0, 1000.0), (0, 5000.0), (2, 5.0), leaves=[-0.1, 1.2, 0.0, 3.1, 0.9, 2.2, 0.0, 25.5]),
                tree((2, 2.5), leaves=[-0.2, 0.8]),
            ],
        }
    )


def detector() -> AnomalyDetector:
    rng = np.random.default_rng(3)
    x = np.asfortranarray(np.abs(rng.normal(size=(5000, len(FEATURES)))).astype(np.float32))
    x[:, FEATURES.index("amount")] *= 300
    return fit(x, FEATURES, SURPRISING, FlowSettings())


def model(*, labels: bool = True) -> ScoringModel:
    return ScoringModel("lakewarden", "3", "run-3", FEATURES, classifier() if labels else None, (0.9, 0.1), detector())
