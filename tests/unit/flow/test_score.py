"""The score stage: scores, bands, rules that raise, anomalies, explanations that add up."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from lakewarden.errors import ModelError
from lakewarden.flow.features import FEATURES
from lakewarden.flow.release import Release
from lakewarden.flow.score import LEAST, SCORECARD_BASE, score
from lakewarden.rules.compliance import ComplianceRule
from lakewarden.rules.references import defaults
from lakewarden.settings import FlowSettings
from lakewarden.tables import LINEAGE, SILVER
from makers import models

SCHEMA = {name: dtype for name, dtype in SILVER.columns.items() if name not in LINEAGE}
FACTS = {"description": "d", "owner": "o", "version": 1, "reason": "r"}
RULES = (
    ComplianceRule(name="burst", band="MEDIUM", points=2.0, when="a_count_1h > 10", **FACTS),
    ComplianceRule(name="huge", band="HIGH", points=10.0, when="amount_base_minor > 100000000", **FACTS),
)


def release(model=None, **changed) -> Release:
    return Release("r", None, (), RULES, defaults(), FlowSettings(**changed), model, "1", "c")


def silver(*rows: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema=SCHEMA)


def scored(row: dict[str, object], model=None, **changed) -> dict[str, object]:
    return score(silver(row), release(model, **changed)).row(0, named=True)


def log_odds(p: float) -> float:
    return float(np.log(p / (1 - p)))


DULL = {"amount_base_minor": 500, "a_count_1h": 0, "a_ratio_mean_30d": 1.0}
ODD = {"amount_base_minor": 700_000, "a_count_1h": 5, "a_ratio_mean_30d": 4.0}
WILD = {"amount_base_minor": 700_000, "a_count_1h": 5, "a_ratio_mean_30d": 9.0}


def test_low_has_no_explanation() -> None:
    row = scored(DULL, models.model())
    assert row["risk_band"] == row["model_band"] == "LOW"
    assert row["explanations"] is None
    assert row["rules"] == []


def test_the_score_is_the_calibrated_probability() -> None:
    row = scored(ODD, models.model())
    margin = -4.0 + 2.0 + 3.1 + 0.8
    assert row["risk_score"] == round(1 / (1 + np.exp(-(0.9 * margin + 0.1))), 6)


def test_bands_begin_at_their_limits() -> None:
    p = scored(ODD, models.model())["risk_score"]
    assert scored(ODD, models.model(), band_medium=p, band_high=0.999)["risk_band"] == "MEDIUM"
    assert scored(ODD, models.model(), band_medium=p + 1e-6, band_high=0.999)["risk_band"] == "LOW"
    assert scored(ODD, models.model(), band_medium=0.01, band_high=p)["risk_band"] == "HIGH"


def test_an_explanation_names_the_strongest_first_and_sums_to_the_log_odds() -> None:
    row = scored(WILD, models.model(), explain_top=2)
    parts = row["explanations"]
    assert [part["feature"] for part in parts[-2:]] == ["other", "baseline"]
    assert len(parts) == 4
    assert abs(parts[0]["contribution"]) >= abs(parts[1]["contribution"])
    shown = {part["feature"]: part["value"] for part in parts[:2]}
    assert shown["amount"] == 7000.0
    assert parts[2]["value"] is None
    assert parts[3]["value"] is None
    assert sum(part["contribution"] for part in parts) == pytest.approx(log_odds(row["risk_score"]), abs=1e-4)


def test_values_are_shown_as_silver_has_them() -> None:
    row = scored({**WILD, "amount_base_minor": 700_001, "a_ratio_mean_30d": 9.1}, models.model())
    shown = {part["feature"]: part["value"] for part in row["explanations"]}
    assert shown["amount"] == 7000.01
    assert shown["a_ratio_mean_30d"] == 9.1
    assert shown["a_count_1h"] == 5.0


def test_a_score_has_limits_and_still_adds_up() -> None:
    model = dataclasses.replace(models.model(), calibration=(3.0, 0.0))
    row = scored(WILD, model)
    assert row["risk_score"] == 1 - LEAST
    assert sum(part["contribution"] for part in row["explanations"]) == pytest.approx(log_odds(1 - LEAST), abs=1e-4)
    raised = {**DULL, "a_count_1h": 0, "amount_base_minor": 100_000_001, "a_ratio_mean_30d": 1.0}
    low = dataclasses.replace(models.model(), calibration=(1.0, -1000.0))
    row = scored(raised, low)
    assert (row["risk_score"], row["model_band"], row["risk_band"]) == (LEAST, "LOW", "HIGH")
    assert sum(part["contribution"] for part in row["explanations"]) == pytest.approx(log_odds(LEAST), abs=1e-4)


def test_rules_raise_a_band_and_never_lower_one() -> None:
    raised = scored({**DULL, "a_count_1h": 11}, models.model())
    assert (raised["model_band"], raised["risk_band"], raised["rules"]) == ("LOW", "MEDIUM", ["burst"])
    assert raised["explanations"]
    kept = scored({**WILD, "a_count_1h": 11}, models.model())
    assert (kept["model_band"], kept["risk_band"], kept["rules"]) == ("HIGH", "HIGH", ["burst"])


def test_scorecard() -> None:
    nothing, burst = scored(DULL), scored({**DULL, "a_count_1h": 11})
    assert nothing["risk_score"] == round(1 / (1 + np.exp(-SCORECARD_BASE)), 6)
    assert burst["risk_score"] == round(1 / (1 + np.exp(-SCORECARD_BASE - 2)), 6)
    assert not burst["is_anomaly"]
    assert [(part["feature"], part["value"]) for part in burst["explanations"] if part["feature"] != "other"] == [
        ("burst", 1.0),
        ("baseline", None),
    ]
    assert sum(part["contribution"] for part in burst["explanations"]) == pytest.approx(log_odds(burst["risk_score"]), abs=1e-4)


def test_without_labels_the_rare_is_risky() -> None:
    model = models.model(labels=False)
    dull, wild = scored(DULL, model), scored({**WILD, "a_new_country": True, "a_zscore_30d": 50.0, "watchlist_score": 9.0}, model)
    assert (dull["is_anomaly"], dull["risk_band"]) == (False, "LOW")
    assert (wild["is_anomaly"], wild["risk_band"]) == (True, "HIGH")
    assert wild["anomaly_score"] > model.anomaly.threshold
    assert sum(part["contribution"] for part in wild["explanations"]) == pytest.approx(log_odds(wild["risk_score"]), abs=1e-4)


def test_no_rows() -> None:
    for model in (None, models.model()):
        none = score(silver(), release(model))
        assert none.height == 0
        assert none.schema["explanations"] == score(silver(DULL), release(model)).schema["explanations"]


def test_a_model_may_want_fewer_features_in_another_order() -> None:
    whole = models.model()
    order = tuple(reversed(FEATURES))
    x_of = {name: i for i, name in enumerate(order)}
    trees = whole.classifier
    assert trees is not None
    moved = dataclasses.replace(
        trees,
        used=np.asarray([x_of[FEATURES[i]] for i in trees.used], np.int32),
        players=np.vectorize(lambda i: x_of[FEATURES[i]] if i >= 0 else -1, otypes=[np.int16])(trees.players),
    )
    anomaly = dataclasses.replace(whole.anomaly, used=np.asarray([x_of[FEATURES[i]] for i in whole.anomaly.used], np.int32))
    other = dataclasses.replace(whole, feature_names=order, classifier=moved, anomaly=anomaly)
    rows = silver(DULL, ODD, WILD)
    plain, turned = score(rows, release(whole)), score(rows, release(other))
    for name in ("risk_score", "risk_band", "anomaly_score", "is_anomaly"):
        assert plain[name].equals(turned[name])


def test_a_model_that_wants_more_is_refused() -> None:
    model = dataclasses.replace(models.model(), feature_names=(*FEATURES, "moon_phase"))
    with pytest.raises(ModelError, match="moon_phase"):
        score(silver(DULL), release(model))
