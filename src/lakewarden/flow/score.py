"""Stage: risk score, band, anomaly, compliance rules and, for MEDIUM and HIGH, why.

Stored scores are rounded to six decimals and bands are taken from the rounded score, so that a last bit of `exp` that differs
between processors can't show. Rules can raise a band, never hide one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lakewarden.flow.features import FEATURES, matrix
from lakewarden.rules import compliance
from lakewarden.tables import EXPLANATION

if TYPE_CHECKING:
    from lakewarden.flow.model import Floats, Matrix, ScoringModel
    from lakewarden.flow.release import Release
    from lakewarden.settings import FlowSettings

DECIMALS: Final = 6
LOG_ODDS_LIMIT: Final = 13.0
"""Log-odds are held within this: a stored score is never 0 or 1, and its log-odds can be read back from it."""

SCORECARD_BASE: Final = -4.6
"""Log-odds of a transaction on which no rule fires, while there is no model: a score of about 0.01."""

BANDS: Final = ("LOW", "MEDIUM", "HIGH")
BASELINE: Final = "baseline"
OTHER: Final = "other"


def score(rows: pl.DataFrame, release: Release) -> pl.DataFrame:
    """Add `risk_score`, `model_band`, `risk_band`, `is_anomaly`, `anomaly_score`, `rules` and `explanations`.

    Contributions of an explanation sum to the log-odds of the stored score within 1e-4; the `baseline` is one of them, and what is
    beyond the settings' `explain_top` is summed as `other`.

    Raises:
        ModelError: the model wants a feature that the flow doesn't give.
    """
    ruled = compliance.evaluate(rows, release.compliance_rules, release.settings)
    model = release.model
    if model is None:
        odds, anomaly, x = _scorecard(ruled["rules"], release), np.zeros(rows.height), None
    else:
        x = _inputs(rows, model)
        odds, anomaly = model.log_odds(x), model.anomaly.score(x)
    odds = np.clip(odds, -LOG_ODDS_LIMIT, LOG_ODDS_LIMIT)
    scores = np.round(1.0 / (1.0 + np.exp(-odds)), DECIMALS)
    bands = model_bands(scores, release.settings)
    final = np.maximum(bands, ruled["rule_band"].to_numpy())
    threshold = model.anomaly.threshold if model else np.inf
    return rows.with_columns(
        pl.Series("risk_score", scores, dtype=pl.Float64),
        _named(bands, "model_band"),
        _named(final, "risk_band"),
        pl.Series("is_anomaly", anomaly > threshold, dtype=pl.Boolean),
        pl.Series("anomaly_score", np.round(anomaly, DECIMALS), dtype=pl.Float64),
        ruled["rules"],
        _explanations(final > 0, odds, x, ruled["rules"], release),
    )


def model_bands(scores: Floats, settings: FlowSettings) -> NDArray[np.int8]:
    """0 LOW, 1 MEDIUM, 2 HIGH, from rounded scores."""
    return ((scores >= settings.band_medium).astype(np.int8) + (scores >= settings.band_high)).astype(np.int8)


def _named(bands: NDArray[np.int8], name: str) -> pl.Series:
    return pl.Series(name, list(BANDS), dtype=pl.String).gather(pl.Series(bands.astype(np.uint32))).alias(name)


def _inputs(rows: pl.DataFrame, model: ScoringModel) -> Matrix:
    model.check_features(FEATURES)
    x = matrix(rows)
    return x if model.feature_names == FEATURES else np.ascontiguousarray(x[:, [FEATURES.index(name) for name in model.feature_names]])


def _scorecard(fired: pl.Series, release: Release) -> Floats:
    points = {rule.name: rule.points for rule in release.compliance_rules}
    per_row = fired.list.eval(pl.element().replace_strict(points, default=0.0, return_dtype=pl.Float64)).list.sum()
    return SCORECARD_BASE + per_row.fill_null(0.0).to_numpy()


def _explanations(wanted: NDArray[np.bool_], odds: Floats, x: Matrix | None, fired: pl.Series, release: Release) -> pl.Series:
    """Explanations of the wanted rows, null for the rest."""
    picked = np.flatnonzero(wanted)
    said: list[list[dict[str, Any]] | None] = [None] * len(wanted)
    if len(picked) and x is not None and release.model is not None:
        few = np.ascontiguousarray(x[picked])
        parts = release.model.contributions(few)
        parts[:, -1] += odds[picked] - parts.sum(axis=1)  # what clipping took away
        for row, values, contributions in zip(picked, few, parts, strict=True):
            said[row] = _explain(release.model.feature_names, values, contributions, release.settings.explain_top)
    elif len(picked):
        points = {rule.name: rule.points for rule in release.compliance_rules}
        for row in picked:
            names = list(fired[int(row)])
            base = float(odds[row]) - sum(points[name] for name in names)
            said[row] = [*(_part(name, 1.0, points[name]) for name in names), _part(BASELINE, None, base)]
    return pl.Series("explanations", said, dtype=EXPLANATION)


def _explain(names: tuple[str, ...], values: Matrix, contributions: Floats, top: int) -> list[dict[str, Any]]:
    order = np.lexsort((np.arange(len(names)), -np.abs(contributions[:-1])))
    told = [_part(names[j], None if np.isnan(values[j]) else float(values[j]), contributions[j]) for j in order[:top]]
    rest = float(contributions[order[top:]].sum())
    return [*told, _part(OTHER, None, rest), _part(BASELINE, None, contributions[-1])]


def _part(feature: str, value: float | None, contribution: float) -> dict[str, Any]:
    return {"feature": feature, "value": value, "contribution": round(float(contribution), DECIMALS)}
