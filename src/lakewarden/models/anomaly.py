"""Fit the anomaly detector: empirical tails of each feature, binned where the tail probability halves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from lakewarden.flow.anomaly import COMMON, AnomalyDetector
from lakewarden.flow.features import HIGH, LOW, Tails
from lakewarden.flow.trees import Floats, Matrix
from lakewarden.settings import FlowSettings

RARER: Final = 10.0
"""Where there is no classifier, MEDIUM begins at the threshold of anomalies, HIGH at scores that are this many times rarer."""

_HALVINGS: Final = 100


def fit(x: Matrix, names: tuple[str, ...], tails: Mapping[str, Tails], settings: FlowSettings) -> AnomalyDetector:
    """A detector of what is rare in `x`.

    Args:
        x: (rows, features), NaN where not known.
        names: of the columns.
        tails: which tails of which features surprise; features that `names` lacks are passed over.
        settings: `anomaly_quantile` sets the threshold; the bands' limits set the scale of the log-odds.
    """
    used = [names.index(name) for name in tails if name in names]
    borders, surprise = [], np.zeros((len(used), 256))
    for j, column in enumerate(used):
        values = np.sort(x[:, column][~np.isnan(x[:, column])])
        low = _low_tail(values) if tails[names[column]] & LOW else _NO_TAIL
        high = _low_tail(-values[::-1]) if tails[names[column]] & HIGH else _NO_TAIL
        # x <= limit is "not x > limit"; x >= -limit is "x > the number next below it"
        above = np.nextafter(-high[0][::-1], np.float32(-np.inf), dtype=np.float32)
        kept = above >= (low[0][-1] if low[0].size else -np.inf)
        borders.append(np.concatenate([low[0], above[kept]]))
        surprise[j, : low[0].size] = low[1]
        surprise[j, low[0].size + 1 : low[0].size + 1 + int(kept.sum())] = high[1][::-1][kept]
    detector = AnomalyDetector(
        used=np.asarray(used, np.int32),
        borders=np.concatenate([*borders, np.zeros(0, np.float32)]).astype(np.float32),
        first=np.cumsum([0, *(part.size for part in borders)]).astype(np.int32),
        surprise=surprise,
        threshold=0.0,
        scale=(1.0, 0.0),
    )
    scores = detector.scores(x)
    return AnomalyDetector(
        detector.used, detector.borders, detector.first, surprise, _quantile(scores, settings.anomaly_quantile), _scale(scores, settings)
    )


_NO_TAIL: Final = (np.zeros(0, np.float32), np.zeros(0))


def _low_tail(values: Matrix) -> tuple[Matrix, Floats]:
    """Limits and the surprise at or below each, ascending limits, of sorted values.

    A limit is the largest value whose tail is at most 1 / (COMMON * 2**k), for k = 0, 1, ... while there is one.
    """
    if not values.size:
        return _NO_TAIL
    distinct, last = np.unique(values[::-1], return_index=True)
    tail = (values.size - last).astype(np.float64) / values.size  # share of values <= each distinct one
    limits: dict[int, float] = {}
    for k in range(_HALVINGS):
        place = int(np.searchsorted(tail, 1.0 / (COMMON * 2.0**k), side="right")) - 1
        if place < 0:
            break
        limits[place] = -np.log(tail[place] * COMMON)
    places = sorted(limits)
    return distinct[places].astype(np.float32), np.asarray([limits[place] for place in places])


def _quantile(scores: Floats, q: float) -> float:
    """The lowest score that at least a share q of the scores don't exceed."""
    return float(np.sort(scores)[min(scores.size - 1, int(np.ceil(q * scores.size)) - 1)])


def _scale(scores: Floats, settings: FlowSettings) -> tuple[float, float]:
    """(a, b): the threshold of anomalies scores as the lower limit of MEDIUM, `RARER` times rarer ones as that of HIGH."""
    rare = 1.0 - settings.anomaly_quantile
    low, high = _quantile(scores, 1.0 - rare), _quantile(scores, 1.0 - rare / RARER)
    medium_odds, high_odds = (float(np.log(p / (1.0 - p))) for p in (settings.band_medium, settings.band_high))
    a = (high_odds - medium_odds) / max(high - low, 1.0)
    return a, medium_odds - a * low
