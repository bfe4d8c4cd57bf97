"""Stage: risk score, band, anomaly, compliance rules and, for MEDIUM and HIGH, why.

Stored scores are rounded to six decimals and bands are taken from the rounded score, so that a last bit of `exp` that differs
between processors can't show. Rules can raise a band, never hide one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from lakewarden.flow.arrow import as_arrow
from lakewarden.flow.features import FEATURES, NEEDS, matrix, values
from lakewarden.rules import compliance
from lakewarden.tables import EXPLANATION

if TYPE_CHECKING:
    from lakewarden.flow.model import ScoringModel
    from lakewarden.flow.release import Release
    from lakewarden.flow.trees import Floats, Matrix
    from lakewarden.settings import FlowSettings

DECIMALS: Final = 6
LEAST: Final = 10.0**-DECIMALS
"""A stored score lies between this and one minus this, so that its log-odds can be read back from it."""

SCORECARD_BASE: Final = -4.6
"""Log-odds of a transaction on which no rule fires, while there is no model: a score of about 0.01."""

BANDS: Final = compliance.BANDS
BASELINE: Final = "baseline"
OTHER: Final = "other"


class _Parts(NamedTuple):
    """Parts of explanations, each row's together: features, their values (NaN: none), contributions; how many a row has."""

    features: pl.Series
    values: Floats
    contributions: Floats
    counts: NDArray[np.int64]


def score(rows: pl.DataFrame, release: Release) -> pl.DataFrame:
    """Add `risk_score`, `model_band`, `risk_band`, `is_anomaly`, `anomaly_score`, `rules` and `explanations`.

    The contributions of an explanation sum to the log-odds of the stored score within 1e-4. The first `explain_top` features stand one
    by one; `other` is the rest of them with what rounding and the limits of a score take away; `baseline` is what is said of nothing.

    Raises:
        ModelError: the model wants a feature that the flow doesn't give.
    """
    ruled = compliance.evaluate(rows, release.compliance_rules, release.settings)
    model = release.model
    if model is None:
        odds, anomaly, x = SCORECARD_BASE + ruled["rule_points"].to_numpy(), np.zeros(rows.height), None
    else:
        x = _inputs(matrix(rows), model)
        odds, anomaly = model.log_odds(x), model.anomaly.scores(x)
    with np.errstate(over="ignore"):  # exp of a huge number is infinite and the score then LEAST, as it should be
        scores = np.clip(np.round(1.0 / (1.0 + np.exp(-odds)), DECIMALS), LEAST, 1.0 - LEAST)
    bands = model_bands(scores, release.settings)
    final = np.maximum(bands, ruled["rule_band"].replace_strict(BANDS, range(len(BANDS)), return_dtype=pl.Int8).to_numpy())
    threshold = model.anomaly.threshold if model else np.inf
    return rows.with_columns(
        pl.Series("risk_score", scores, dtype=pl.Float64),
        _named(bands, "model_band"),
        _named(final, "risk_band"),
        pl.Series("is_anomaly", anomaly > threshold, dtype=pl.Boolean),
        pl.Series("anomaly_score", np.round(anomaly, DECIMALS), dtype=pl.Float64),
        ruled["rules"],
        _explanations(rows, np.flatnonzero(final > 0), scores, x, ruled["rules"], release),
    )


def model_bands(scores: Floats, settings: FlowSettings) -> NDArray[np.int8]:
    """0 LOW, 1 MEDIUM, 2 HIGH, from rounded scores."""
    return (scores >= settings.band_medium).astype(np.int8) + (scores >= settings.band_high).astype(np.int8)


def _named(bands: NDArray[np.int8], name: str) -> pl.Series:
    return pl.Series(name, list(BANDS), dtype=pl.String).gather(pl.Series(bands.astype(np.uint32))).alias(name)


def _inputs(all_features: NDArray[Any], model: ScoringModel) -> NDArray[Any]:
    """The columns that the model was trained on."""
    model.check_features(FEATURES)
    if model.feature_names == FEATURES:
        return all_features
    return np.asfortranarray(all_features[:, [FEATURES.index(name) for name in model.feature_names]])


def _explanations(
    rows: pl.DataFrame, picked: NDArray[np.intp], scores: Floats, x: Matrix | None, fired: pl.Series, release: Release
) -> pl.Series:
    """Explanations of the picked rows, null for the rest."""
    if not picked.size:
        return pl.Series("explanations", [None] * rows.height, dtype=EXPLANATION)
    stored = scores[picked]
    odds = np.log(stored / (1.0 - stored))
    if release.model is None or x is None:
        parts = _of_rules(fired.gather(picked), odds, release)
    else:
        shown = _inputs(values(rows.select(NEEDS)[picked]), release.model)
        contributions = release.model.contributions(np.asfortranarray(x[picked]))
        parts = _of_features(release.model.feature_names, shown, contributions, odds, release.settings.explain_top)
    counts = np.zeros(rows.height + 1, np.int32)
    counts[picked + 1] = parts.counts
    silent = np.ones(rows.height, np.bool_)
    silent[picked] = False
    items = pa.StructArray.from_arrays(
        [
            parts.features.to_arrow().cast(pa.large_string()),
            as_arrow(parts.values, ~np.isnan(parts.values)),
            as_arrow(np.round(parts.contributions, DECIMALS)),
        ],
        names=["feature", "value", "contribution"],
    )
    made = pa.ListArray.from_arrays(as_arrow(np.cumsum(counts, dtype=np.int32)), items, mask=as_arrow(silent))
    return pl.Series("explanations", pl.from_arrow(made), dtype=EXPLANATION)


def _of_features(names: tuple[str, ...], shown: Floats, contributions: Floats, odds: Floats, top: int) -> _Parts:
    """The strongest features of each row (equals in the model's order), then `other`, then `baseline`."""
    top = min(top, len(names))
    order = np.argsort(-np.abs(contributions[:, :-1]), axis=1, kind="stable")[:, :top]
    told = np.round(np.take_along_axis(contributions, order, axis=1), DECIMALS)
    baseline = np.round(contributions[:, -1], DECIMALS)
    other = odds - baseline - told.sum(axis=1)
    unknown = np.full((len(odds), 2), np.nan)
    labels = pl.Series([*names, OTHER, BASELINE])
    added = np.tile(np.asarray([len(names), len(names) + 1]), (len(odds), 1))
    return _Parts(
        labels.gather(pl.Series(np.hstack([order, added]).ravel().astype(np.uint32))),
        np.hstack([np.take_along_axis(shown, order, axis=1), unknown]).ravel(),
        np.hstack([told, other[:, None], baseline[:, None]]).ravel(),
        np.full(len(odds), top + 2),
    )


def _of_rules(fired: pl.Series, odds: Floats, release: Release) -> _Parts:
    """The rules that fired, then `other` where a limit of the score takes something away, then `baseline`."""
    points = {rule.name: rule.points for rule in release.compliance_rules}
    features: list[str] = []
    contributions: list[float] = []
    counts = []
    for names, target in zip(fired.to_list(), odds, strict=True):
        said: Sequence[tuple[str, float]] = [*((name, points[name]) for name in names), (BASELINE, SCORECARD_BASE)]
        other = round(float(target) - sum(part for _, part in said), DECIMALS)
        said = [*said[:-1], *([(OTHER, other)] if other else []), said[-1]]
        features += [name for name, _ in said]
        contributions += [part for _, part in said]
        counts.append(len(said))
    shown = np.asarray([np.nan if name in (BASELINE, OTHER) else 1.0 for name in features])
    return _Parts(pl.Series(features, dtype=pl.String), shown, np.asarray(contributions), np.asarray(counts, np.int64))
