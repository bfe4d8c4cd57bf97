"""From CatBoost's own description of its trees to the arrays that score: `flow.trees.ObliviousTrees`.

Shapley values follow Lundberg et al. 2018 (TreeSHAP, path dependent), as CatBoost's own do: where a feature is unknown, both
branches count by the training rows that took them. Because an oblivious tree has at most `depth` features, all their subsets are gone
through, once, when a model is made.
"""

from __future__ import annotations

from math import factorial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lakewarden.errors import ModelError
from lakewarden.flow.trees import NEVER, Floats, ObliviousTrees

MOST_DEPTH: Final = 8
MOST_BORDERS: Final = 254


def from_catboost(described: dict[str, Any]) -> ObliviousTrees:
    """The arrays of a model saved by CatBoost as JSON.

    Args:
        described: the parsed JSON: numeric features, symmetric trees, one dimension.

    Raises:
        ModelError: trees of another kind, or deeper than 8.
    """
    trees = described.get("oblivious_trees")
    if trees is None:
        raise _refused("has trees that aren't oblivious")
    depth = max((len(tree["splits"] or ()) for tree in trees), default=0)
    columns = {
        int(feature["feature_index"]): (int(feature["flat_feature_index"]), np.asarray(feature["borders"] or (), dtype=np.float32))
        for feature in described["features_info"].get("float_features", ())
    }
    if depth > MOST_DEPTH:
        raise _refused(f"has trees of depth {depth}; {MOST_DEPTH} is the most")
    # a bin is one byte: a feature with more borders is an input several times, each time with a stretch of them
    asked = [
        (index, borders[at : at + MOST_BORDERS])
        for index, (_, borders) in sorted(columns.items())
        for at in range(0, borders.size, MOST_BORDERS)
    ]
    place = {(index, float(border)): (j, b) for j, (index, borders) in enumerate(asked) for b, border in enumerate(borders)}
    scale, (bias,) = described["scale_and_bias"]
    inputs = np.zeros((len(trees), depth), np.int16)
    above = np.full((len(trees), depth), NEVER, np.uint8)
    values, shapley = np.zeros((len(trees), 1 << depth)), np.zeros((len(trees), 1 << depth, depth))
    players = np.full((len(trees), depth), -1, np.int16)
    baseline = float(bias)
    for t, tree in enumerate(trees):
        splits = tree["splits"] or []
        indices = [int(split["float_feature_index"]) for split in splits]
        for k, (index, split) in enumerate(zip(indices, splits, strict=True)):
            inputs[t, k], above[t, k] = place[index, float(np.float32(split["border"]))]
        leaves = np.asarray(tree["leaf_values"], dtype=np.float64) * scale
        values[t, : leaves.size] = leaves
        mean, parts, who = shapley_values(indices, leaves, np.asarray(tree["leaf_weights"], dtype=np.float64))
        baseline += mean
        shapley[t, : leaves.size, : len(who)] = parts
        players[t, : len(who)] = [columns[index][0] for index in who]
    return ObliviousTrees(
        used=np.asarray([columns[index][0] for index, _ in asked], np.int32),
        borders=np.concatenate([*(borders for _, borders in asked), np.zeros(0, np.float32)]),
        first=np.cumsum([0, *(borders.size for _, borders in asked)]).astype(np.int32),
        inputs=inputs,
        above=above,
        values=values,
        shapley=shapley,
        players=players,
        bias=float(bias),
        baseline=baseline,
    )


def shapley_values(features: list[int], leaves: Floats, weights: Floats) -> tuple[float, Floats, list[int]]:
    """Shapley values of one oblivious tree at each of its leaves.

    Args:
        features: the feature asked at each level; level k is bit k of a leaf's number.
        leaves: value by leaf, (2 ** levels,).
        weights: training rows by leaf.

    Returns:
        The tree's mean; Shapley values by leaf and player, (leaves, players); the feature that each player is.
    """
    who = sorted(set(features))
    player = [who.index(feature) for feature in features]
    expected = [_expected([bool(known >> p & 1) for p in player], leaves, weights) for known in range(1 << len(who))]
    parts = np.zeros((leaves.size, len(who)))
    for p in range(len(who)):
        for known in range(1 << len(who)):
            if not known >> p & 1:
                size = known.bit_count()
                share = factorial(size) * factorial(len(who) - size - 1) / factorial(len(who))
                parts[:, p] += share * (expected[known | 1 << p] - expected[known])
    return float(expected[0][0]), parts, who


def _expected(known: list[bool], leaves: Floats, weights: Floats) -> Floats:
    """What is expected at each leaf if only the answers to the known levels are told, (leaves,).

    The tree's root is its last level; levels are folded from the first one up, an unknown one by the weights of its two branches.
    """
    value, weight = leaves.copy(), weights.copy()
    leaf = np.arange(leaves.size)
    for level, told in enumerate(known):
        other = leaf ^ (1 << level)
        total = weight + weight[other]
        if not told:
            share: NDArray[Any] = np.divide(weight, total, out=np.full(leaves.size, 0.5), where=total > 0)
            value = share * value + (1 - share) * value[other]
        weight = total
    return value


def _refused(why: str) -> ModelError:
    return ModelError(f"The trained classifier can't be taken over: it {why}.", state="nothing was registered", next="lakewarden train")
