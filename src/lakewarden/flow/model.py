"""A scoring model in memory: a classifier, an additive anomaly detector, and what calibrates them. Pure; no registry, no files."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lakewarden.errors import ModelError

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]

EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""Time of every entry in the packed model, so that the same model packs to the same bytes."""


@dataclass(frozen=True)
class AnomalyDetector:
    """How rare each feature's value was in training, summed: ECOD (Li et al. 2022), binned at fit time.

    A value's surprise is minus the log of its empirical tail probability, looked up in a table made at training time: scoring is
    a search and a sum, exact on any machine, and each feature's part is its own explanation. An isolation forest costs 8 us a row here.

    Attributes:
        edges: ascending inner bin edges by feature, (features, bins - 1) float32.
        surprise: by feature and bin, (features, bins + 1) float64; the last is for a value that isn't known.
        threshold: score above which a transaction is an anomaly.
        scale: (a, b): log-odds of risk = a * score + b where there is no classifier.
    """

    edges: Matrix
    surprise: Floats
    threshold: float
    scale: tuple[float, float]

    def parts(self, x: Matrix) -> Floats:
        """Each feature's surprise, (rows, features)."""
        out = np.empty(x.shape)
        for j in range(x.shape[1]):
            column = x[:, j]
            bins = np.searchsorted(self.edges[j], column, side="right")
            bins[np.isnan(column)] = self.surprise.shape[1] - 1
            out[:, j] = self.surprise[j][bins]
        return out

    def score(self, x: Matrix) -> Floats:
        """The summed surprise, added feature by feature so that the order of additions never varies."""
        total = np.zeros(x.shape[0])
        for j in range(x.shape[1]):
            column = x[:, j]
            bins = np.searchsorted(self.edges[j], column, side="right")
            bins[np.isnan(column)] = self.surprise.shape[1] - 1
            total += self.surprise[j][bins]
        return total


@dataclass(frozen=True)
class ScoringModel:
    """What turns features into log-odds, with the parts that explain them.

    Attributes:
        name, version, run_id: as registered.
        feature_names: columns of the matrix that it was trained on, in order.
        classifier: CatBoost's own binary format, or None where there were no labels.
        calibration: Platt's (a, b): log-odds = a * margin + b.
        anomaly: the detector.
    """

    name: str
    version: str
    run_id: str
    feature_names: tuple[str, ...]
    classifier: bytes | None
    calibration: tuple[float, float]
    anomaly: AnomalyDetector
    _loaded: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def check_features(self, available: tuple[str, ...]) -> None:
        """Refuse a model that wants what the flow doesn't give.

        Raises:
            ModelError: names the features that are lacking.
        """
        lacking = [name for name in self.feature_names if name not in available]
        if lacking:
            raise ModelError(
                f"Model {self.name} {self.version} wants features that this version's flow does not give: {', '.join(lacking[:5])}.",
                state="the release in force stays; nothing was scored with it",
                next="lakewarden train --from LABELS (trains on the features there are)",
            )

    def log_odds(self, x: Matrix) -> Floats:
        """Calibrated log-odds of fraud, (rows,)."""
        if self.classifier is None:
            a, b = self.anomaly.scale
            return a * self.anomaly.score(x) + b
        a, b = self.calibration
        if not len(x):
            return np.zeros(0)
        margin = np.asarray(self._catboost().predict(x, prediction_type="RawFormulaVal", thread_count=2), dtype=np.float64)
        return a * margin + b

    def contributions(self, x: Matrix) -> Floats:
        """Each feature's part of the log-odds and the baseline last, (rows, features + 1); a row sums to its log-odds."""
        if self.classifier is None:
            a, b = self.anomaly.scale
            return np.hstack([a * self.anomaly.parts(x), np.full((len(x), 1), b)])
        from catboost import Pool  # three seconds to import: only where something is explained

        a, b = self.calibration
        values = np.asarray(self._catboost().get_feature_importance(Pool(x), type="ShapValues", thread_count=2), dtype=np.float64)
        parts: Floats = a * values
        parts[:, -1] += b
        return parts

    def _catboost(self) -> Any:  # noqa: ANN401  (CatBoost ships no type information)
        if "classifier" not in self._loaded:
            from catboost import CatBoost

            self._loaded["classifier"] = CatBoost().load_model(blob=self.classifier)
        return self._loaded["classifier"]

    def renamed(self, name: str, version: str, run_id: str) -> ScoringModel:
        """The same model under its registered name."""
        return replace(self, name=name, version=version, run_id=run_id, _loaded=self._loaded)

    def to_bytes(self) -> bytes:
        """Pack into a zip of JSON, NumPy arrays and CatBoost's format; the same model gives the same bytes."""
        meta = {
            "name": self.name,
            "version": self.version,
            "run_id": self.run_id,
            "feature_names": list(self.feature_names),
            "calibration": list(self.calibration),
            "anomaly": {"threshold": self.anomaly.threshold, "scale": list(self.anomaly.scale)},
        }
        parts = {
            "model.json": json.dumps(meta, sort_keys=True).encode(),
            "edges.npy": _array_bytes(self.anomaly.edges),
            "surprise.npy": _array_bytes(self.anomaly.surprise),
            **({"classifier.cbm": self.classifier} if self.classifier is not None else {}),
        }
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in sorted(parts.items()):
                archive.writestr(zipfile.ZipInfo(name, EPOCH), data)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> ScoringModel:
        """Unpack what `to_bytes` packed.

        Raises:
            ModelError: it isn't a packed model.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                names = archive.namelist()
                meta = json.loads(archive.read("model.json"))
                edges, surprise = (np.load(io.BytesIO(archive.read(f"{n}.npy")), allow_pickle=False) for n in ("edges", "surprise"))
                classifier = archive.read("classifier.cbm") if "classifier.cbm" in names else None
        except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
            raise ModelError(
                f"The model can't be unpacked: {error}.", state="the release in force stays", next="lakewarden train --from LABELS"
            ) from error
        (a, b), (sa, sb) = meta["calibration"], meta["anomaly"]["scale"]
        detector = AnomalyDetector(edges, surprise, meta["anomaly"]["threshold"], (sa, sb))
        return cls(meta["name"], meta["version"], meta["run_id"], tuple(meta["feature_names"]), classifier, (a, b), detector)


def _array_bytes(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
