"""The model that `lakewarden train` made, as CatBoost again: what a hand-written job would load and call."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from lakewarden.flow.trees import ObliviousTrees

COMPUTED: Final = {
    "amount": "amount_base_minor / 100D",
    "hour": "hour(event_time)",
    "weekend": "weekday(event_time) >= 5",
    "is_transfer": "event_type = 'TRANSFER'",
    "is_online": "channel IN ('ONLINE', 'MOBILE')",
    "a_share_of_daily_limit": "(a_sum_24h + amount_base_minor) / nullif(limit_daily_minor, 0)",
    "a_usual_mean": "a_usual_sum / nullif(a_usual_count, 0)",
    "a_amount_to_received_24h": "amount_base_minor / nullif(in_sum_24h, 0)",
    "a_ratio_usual": "amount_base_minor * a_usual_count / nullif(a_usual_sum, 0)",
    **dict.fromkeys((f"p_fraud_{window}" for window in ("1d", "7d", "30d")), "0"),
    **dict.fromkeys((f"p_delayed_count_{window}" for window in ("1d", "7d", "30d")), "0"),
    **dict.fromkeys(("a_fraud_30d", "p_fraud_lone_30d"), "0"),
    **dict.fromkeys((f"p_fraud_share_{window}" for window in ("1d", "7d", "30d")), "NULL"),
    **dict.fromkeys(("p_since_first_fraud_s", "p_since_last_fraud_s", "p_since_first_lone_fraud_s"), "NULL"),
}
"""Features that aren't columns of silver. Nobody of a benchmark's events is labelled, so what is known of frauds is constant."""


@dataclass(frozen=True)
class Model:
    """A CatBoost model as bytes, the names of its features in order, and Platt's (a, b)."""

    packed: bytes
    features: tuple[str, ...]
    calibration: tuple[float, float]

    @classmethod
    def of_lake(cls, lake: Path) -> Model:
        """The model of the release in force.

        Args:
            lake: a lake that has trained one with a classifier.
        """
        import lakewarden
        from lakewarden.lake.release_loader import materialise
        from lakewarden.lake.releases import current_id

        store = lakewarden.open(lake).house.store
        release = current_id(store)
        assert release is not None
        model = materialise(store, release).model
        assert model is not None
        assert model.classifier is not None
        return cls(as_catboost(model.classifier, len(model.feature_names)), model.feature_names, model.calibration)


def as_catboost(trees: ObliviousTrees, features: int) -> bytes:
    """Trees in CatBoost's own binary format; they give the same margins. All trees must be as deep as the deepest."""
    from catboost import CatBoostClassifier

    order = np.argsort(trees.used, kind="stable")  # CatBoost numbers all borders through, feature by feature
    lengths = np.diff(trees.first)
    begins = np.empty_like(lengths)
    begins[order] = np.cumsum(lengths[order]) - lengths[order]
    borders: dict[int, list[float]] = {feature: [] for feature in range(features)}
    for j in order:
        borders[int(trees.used[j])] += trees.borders[trees.first[j] : trees.first[j + 1]].tolist()

    def split(j: int, above: int) -> dict[str, object]:
        border = {"border": float(trees.borders[trees.first[j] + above]), "split_index": int(begins[j]) + above}
        return {**border, "float_feature_index": int(trees.used[j]), "split_type": "FloatFeature"}

    asked = [[split(int(j), int(above)) for j, above in zip(*tree, strict=True)] for tree in zip(trees.inputs, trees.above, strict=True)]
    described = [{"leaf_values": values.tolist(), "splits": splits} for values, splits in zip(trees.values, asked, strict=True)]
    columns = [
        {"borders": borders[i], "feature_index": i, "flat_feature_index": i, "has_nans": True, "nan_value_treatment": "AsFalse"}
        for i in range(features)
    ]
    whole = {
        "features_info": {"float_features": columns},
        "model_info": {},
        "oblivious_trees": described,
        "scale_and_bias": [1, [trees.bias]],
    }
    with tempfile.TemporaryDirectory(prefix="by-hand-model-") as folder:
        source, packed = Path(folder) / "model.json", Path(folder) / "model.cbm"
        source.write_text(json.dumps(whole))
        loaded = CatBoostClassifier().load_model(str(source), format="json")
        loaded.save_model(str(packed))
        return packed.read_bytes()


def log_odds(silver: DataFrame, model: Model) -> Column:
    """Calibrated log-odds of rows of silver: only the features travel to Python, as one array of floats."""
    from pyspark.sql import functions as f

    a, b = model.calibration
    packed, width = model.packed, len(model.features)

    def margins(batches: Iterator[pa.Array]) -> Iterator[pa.Array]:
        from catboost import CatBoost

        scorer = CatBoost().load_model(blob=packed)
        for batch in batches:
            matrix = batch.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)
            yield pa.array(scorer.predict(matrix, prediction_type="RawFormulaVal", thread_count=1))

    lacking = [name for name in model.features if name not in COMPUTED and name not in silver.columns]
    assert not lacking, f"silver lacks {lacking}"
    number = [f"coalesce(CAST({COMPUTED.get(name, name)} AS FLOAT), CAST('NaN' AS FLOAT))" for name in model.features]
    return f.arrow_udf(margins, "double")(f.expr(f"array({', '.join(number)})")) * a + b
