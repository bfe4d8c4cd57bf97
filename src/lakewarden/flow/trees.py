"""Boosted oblivious trees as plain arrays: margins, and the Shapley values that explain them, by search, lookup and addition.

CatBoost trains them; scoring doesn't need it (three seconds to import). An oblivious tree asks the same questions on every path, so the
leaf that a row reaches answers all of them. Hence its Shapley values depend on the leaf alone and are a table made at training
time: an explanation costs as little as a score. A row's sums run in the order of the trees: the same bits for any cut of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lakewarden.compiled import compiled

Floats = NDArray[np.float64]
Matrix = NDArray[np.float32]

BLOCK: Final = 1024
"""Rows worked on at a time, so that their bins stay in the processor's cache."""

NEVER: Final = 255
"""A threshold that no bin exceeds: the question that a tree shallower than the others doesn't ask."""


@compiled
def bin_counts(
    x: Matrix, start: int, end: int, used: NDArray[np.int32], borders: Matrix, first: NDArray[np.int32], bins: NDArray[np.uint8]
) -> None:
    """How many borders of each used feature lie below each row's value; none below NaN."""
    for j in range(used.size):
        values = x[used[j], start:end]
        counts = bins[j, : end - start]
        counts[:] = 0
        for b in range(first[j], first[j + 1]):
            border = borders[b]
            for r in range(values.size):
                counts[r] += np.uint8(values[r] > border)


@compiled
def _leaves(bins: NDArray[np.uint8], inputs: NDArray[np.int16], above: NDArray[np.uint8], leaf: NDArray[np.uint8]) -> None:
    """The leaf of one tree that each row reaches: bit k is the answer to its k-th question."""
    leaf[:] = 0
    for k in range(inputs.size):
        of_input = bins[inputs[k]]
        threshold, bit = above[k], np.uint8(1 << k)
        for r in range(leaf.size):
            leaf[r] |= bit if of_input[r] > threshold else np.uint8(0)


@compiled
def _margins(
    x: Matrix,
    used: NDArray[np.int32],
    borders: Matrix,
    first: NDArray[np.int32],
    inputs: NDArray[np.int16],
    above: NDArray[np.uint8],
    values: Floats,
    bins: NDArray[np.uint8],
    leaf: NDArray[np.uint8],
    out: Floats,
) -> None:
    for start in range(0, x.shape[1], BLOCK):
        end = min(start + BLOCK, x.shape[1])
        bin_counts(x, start, end, used, borders, first, bins)
        for tree in range(inputs.shape[0]):
            _leaves(bins, inputs[tree], above[tree], leaf[: end - start])
            of_leaf, sums = values[tree], out[start:end]
            for r in range(sums.size):
                sums[r] += of_leaf[leaf[r]]


@compiled
def _contributions(
    x: Matrix,
    used: NDArray[np.int32],
    borders: Matrix,
    first: NDArray[np.int32],
    inputs: NDArray[np.int16],
    above: NDArray[np.uint8],
    shapley: Floats,
    players: NDArray[np.int16],
    bins: NDArray[np.uint8],
    leaf: NDArray[np.uint8],
    out: Floats,
) -> None:
    for start in range(0, x.shape[1], BLOCK):
        end = min(start + BLOCK, x.shape[1])
        bin_counts(x, start, end, used, borders, first, bins)
        for tree in range(inputs.shape[0]):
            _leaves(bins, inputs[tree], above[tree], leaf[: end - start])
            for player in range(players.shape[1]):
                feature = players[tree, player]
                if feature >= 0:
                    for r in range(end - start):
                        out[start + r, feature] += shapley[tree, leaf[r], player]


@dataclass(frozen=True, eq=False)
class ObliviousTrees:
    """Trees of one depth over the columns of a feature matrix.

    Attributes:
        used: the matrix columns that any tree asks about; one with more than 254 borders stands there several times.
        borders, first: ascending borders of `used[j]` are `borders[first[j]:first[j + 1]]`.
        inputs, above: by tree and question, a place in `used`, and the bin that the row's must exceed.
        values: by tree and leaf, what a row that reaches it adds to the margin.
        shapley: by tree, leaf and player, the part of that value due to the matrix column `players[tree, player]` (-1: no player).
        bias: the margin's constant, without the trees' own means.
        baseline: the margin's mean over the training rows; margin = baseline + Shapley values.
    """

    used: NDArray[np.int32]
    borders: Matrix
    first: NDArray[np.int32]
    inputs: NDArray[np.int16]
    above: NDArray[np.uint8]
    values: Floats
    shapley: Floats
    players: NDArray[np.int16]
    bias: float
    baseline: float

    def margins(self, x: Matrix) -> Floats:
        """Log-odds before calibration, (rows,); `x` is (rows, features), read column by column (fastest in column order)."""
        out = np.zeros(len(x))
        columns, used, borders, first, inputs, above = self._inputs(x)
        bins, leaf = self._space()
        _margins(columns, used, borders, first, inputs, above, self.values, bins, leaf, out)
        return out + self.bias

    def contributions(self, x: Matrix) -> Floats:
        """Shapley values of each row's margin and the baseline last, (rows, features + 1); a row sums to its margin."""
        out = np.zeros((len(x), x.shape[1] + 1))
        columns, used, borders, first, inputs, above = self._inputs(x)
        bins, leaf = self._space()
        _contributions(columns, used, borders, first, inputs, above, self.shapley, self.players, bins, leaf, out)
        out[:, -1] = self.baseline
        return out

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything but the two constants, by attribute."""
        names = ("used", "borders", "first", "inputs", "above", "values", "shapley", "players")
        return {name: getattr(self, name) for name in names}

    def _inputs(self, x: Matrix) -> tuple[Matrix, NDArray[Any], NDArray[Any], NDArray[Any], NDArray[np.int16], NDArray[np.uint8]]:
        return np.ascontiguousarray(x.T), self.used, self.borders, self.first, self.inputs, self.above

    def _space(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        return np.empty((max(1, len(self.used)), BLOCK), np.uint8), np.empty(BLOCK, np.uint8)
