"""How unusual a transaction is, feature by feature, without any label.

The detector is additive, after ECOD (Li et al. 2022): a value's surprise is minus the log of its empirical tail probability in
training, less that of one in `COMMON`, and a row's score is the sum. Two things differ from the paper. A value that one in twenty has is no
surprise at all: summed over many features, ordinary values only drown the rare one. And a feature says which of its tails is suspicious.
Tail probabilities are binned when the detector is fitted, so scoring is comparing, looking up and adding: exact on any machine, and each
feature's part is its own explanation. (An isolation forest costs 8 us a row, can't say why, and ranks worse.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lakewarden.compiled import compiled
from lakewarden.flow.trees import BLOCK, Floats, Matrix, bin_counts

COMMON: Final = 20
"""A value as rare as one in this many begins to surprise."""

UNKNOWN: Final = 255
"""The bin of a value that isn't known; its surprise is 0."""


@compiled
def _parts(
    x: Matrix,
    used: NDArray[np.int32],
    borders: Matrix,
    first: NDArray[np.int32],
    surprise: Floats,
    bins: NDArray[np.uint8],
    out: Floats,
) -> None:
    for start in range(0, x.shape[1], BLOCK):
        end = min(start + BLOCK, x.shape[1])
        bin_counts(x, start, end, used, borders, first, bins)
        for j in range(used.size):
            values, of_bin, part = x[used[j], start:end], surprise[j], out[j % out.shape[0], start:end]
            for r in range(values.size):
                part[r] += of_bin[UNKNOWN if np.isnan(values[r]) else bins[j, r]]


@dataclass(frozen=True, eq=False)
class AnomalyDetector:
    """Binned surprise by feature.

    Attributes:
        used: the matrix columns that are looked at.
        borders, first: ascending borders of `used[j]` are `borders[first[j]:first[j + 1]]`; a row's bin is how many lie below its value.
        surprise: by place in `used` and bin, (used, 256).
        threshold: a row with a higher score is an anomaly.
        scale: (a, b): log-odds of risk = a * score + b where there is no classifier.
    """

    used: NDArray[np.int32]
    borders: Matrix
    first: NDArray[np.int32]
    surprise: Floats
    threshold: float
    scale: tuple[float, float]

    def scores(self, x: Matrix) -> Floats:
        """The summed surprise of each row, (rows,), added in the order of `used`; `x` is (rows, features)."""
        sums: Floats = self._sums(x, 1)[0]
        return sums

    def parts(self, x: Matrix) -> Floats:
        """Each feature's surprise, (rows, features)."""
        out = np.zeros(x.shape)
        out[:, self.used] = self._sums(x, len(self.used)).T
        return out

    def _sums(self, x: Matrix, height: int) -> Floats:
        out = np.zeros((height, len(x)))
        if len(self.used):
            bins = np.empty((len(self.used), BLOCK), np.uint8)
            _parts(np.ascontiguousarray(x.T), self.used, self.borders, self.first, self.surprise, bins, out)
        return out
