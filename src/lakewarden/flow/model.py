"""A scoring model in memory: a classifier, an anomaly detector, and what calibrates them. Pure; no registry, no files."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lakewarden.errors import ModelError
from lakewarden.flow.anomaly import AnomalyDetector
from lakewarden.flow.trees import Floats, Matrix, ObliviousTrees

FORMAT: Final = 1
"""Of a packed model; raised when its parts change."""

EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""Time of every entry in a packed model, so that the same model packs to the same bytes."""


@dataclass(frozen=True, eq=False)
class ScoringModel:
    """What turns features into log-odds, with the parts that explain them.

    Attributes:
        name, version, run_id: as registered.
        feature_names: columns of the matrix that it was trained on, in order.
        classifier: the boosted trees, or None where there were no labels to train them on.
        calibration: Platt's (a, b): log-odds = a * margin + b.
        anomaly: the detector; it makes the log-odds where there is no classifier.
    """

    name: str
    version: str
    run_id: str
    feature_names: tuple[str, ...]
    classifier: ObliviousTrees | None
    calibration: tuple[float, float]
    anomaly: AnomalyDetector

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
            return a * self.anomaly.scores(x) + b
        a, b = self.calibration
        return a * self.classifier.margins(x) + b

    def contributions(self, x: Matrix) -> Floats:
        """Each feature's part of the log-odds and the baseline last, (rows, features + 1); a row sums to its log-odds."""
        if self.classifier is None:
            a, b = self.anomaly.scale
            return np.hstack([a * self.anomaly.parts(x), np.full((len(x), 1), b)])
        a, b = self.calibration
        parts = a * self.classifier.contributions(x)
        parts[:, -1] += b
        return parts

    def renamed(self, name: str, version: str, run_id: str) -> ScoringModel:
        """The same model under its registered name."""
        return replace(self, name=name, version=version, run_id=run_id)

    def to_bytes(self) -> bytes:
        """Pack into a zip of JSON and NumPy arrays; the same model gives the same bytes, and no code runs when it is read."""
        classifier, anomaly = self.classifier, self.anomaly
        meta = {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "run_id": self.run_id,
            "feature_names": list(self.feature_names),
            "calibration": list(self.calibration),
            "anomaly": {"threshold": anomaly.threshold, "scale": list(anomaly.scale)},
            "classifier": None if classifier is None else {"bias": classifier.bias, "baseline": classifier.baseline},
        }
        arrays = {f"anomaly/{name}": getattr(anomaly, name) for name in ("used", "borders", "first", "surprise")}
        if classifier is not None:
            arrays |= {f"classifier/{name}": array for name, array in classifier.arrays().items()}
        parts = {"model.json": json.dumps(meta, sort_keys=True).encode(), **{f"{name}.npy": _packed(a) for name, a in arrays.items()}}
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # compressed bytes would depend on zlib's version
            for name, data in sorted(parts.items()):
                archive.writestr(zipfile.ZipInfo(name, EPOCH), data)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> ScoringModel:
        """Unpack what `to_bytes` packed.

        Raises:
            ModelError: it isn't a packed model, or one of another format.
        """
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                meta = json.loads(archive.read("model.json"))
                if meta["format"] != FORMAT:
                    raise ModelError(
                        f"The model has format {meta['format']}; this version reads format {FORMAT}.",
                        state="the release in force stays",
                        next="lakewarden train --from LABELS",
                    )
                arrays = {
                    name.removesuffix(".npy"): np.load(io.BytesIO(archive.read(name)), allow_pickle=False)
                    for name in archive.namelist()
                    if name.endswith(".npy")
                }
            return cls._assembled(meta, arrays)
        except (zipfile.BadZipFile, KeyError, TypeError, ValueError, OSError) as error:
            raise ModelError(
                f"The model can't be unpacked: {' '.join(str(error).split()) or type(error).__name__}.",
                state="the release in force stays",
                next="lakewarden train --from LABELS",
            ) from error

    @classmethod
    def _assembled(cls, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> ScoringModel:
        (a, b), (scale_a, scale_b) = meta["calibration"], meta["anomaly"]["scale"]
        own = {name.removeprefix("anomaly/"): array for name, array in arrays.items() if name.startswith("anomaly/")}
        detector = AnomalyDetector(**own, threshold=meta["anomaly"]["threshold"], scale=(scale_a, scale_b))
        trees: dict[str, Any] = {
            name.removeprefix("classifier/"): array for name, array in arrays.items() if name.startswith("classifier/")
        }
        classifier = None if meta["classifier"] is None else ObliviousTrees(**trees, **meta["classifier"])
        return cls(meta["name"], meta["version"], meta["run_id"], tuple(meta["feature_names"]), classifier, (a, b), detector)


def _packed(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
