"""Platt scaling: from a classifier's margin to log-odds that mean what they say."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from lakewarden.flow.trees import Floats

FEWEST: Final = 10
"""With fewer frauds or fewer other transactions held out, margins are left as they are: boosted by log-loss, they are log-odds already."""

AS_IT_IS: Final = (1.0, 0.0)
_STEPS: Final = 100
_RIDGE: Final = 1e-3


def platt(margin: Floats, fraud: NDArray[np.bool_]) -> tuple[float, float]:
    """(a, b) so that a * margin + b are the log-odds of fraud, by maximum likelihood (Platt 1999, with his smoothed targets).

    The slope is drawn a little towards 1, so that a held-out part on which frauds stand apart wholly doesn't make it endless.

    Args:
        margin: of transactions that the classifier wasn't trained on.
        fraud: their verdicts.
    """
    frauds, others = int(fraud.sum()), int((~fraud).sum())
    if frauds < FEWEST or others < FEWEST:
        return AS_IT_IS
    target = np.where(fraud, (frauds + 1) / (frauds + 2), 1 / (others + 2))
    inputs = np.column_stack([margin, np.ones(margin.size)])
    prior, ridge = np.asarray(AS_IT_IS), np.diag([_RIDGE * margin.size, 0.0])
    weights = prior.copy()
    loss = _loss(inputs, target, weights, prior, ridge)
    for _ in range(_STEPS):
        p = 1.0 / (1.0 + np.exp(-np.clip(inputs @ weights, -500, 500)))
        gradient = inputs.T @ (p - target) + ridge @ (weights - prior)
        curvature = (inputs * (p * (1 - p))[:, None]).T @ inputs + ridge + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        while (tried := _loss(inputs, target, weights - step, prior, ridge)) > loss and np.abs(step).max() > 1e-12:
            step /= 2
        if loss - tried < 1e-10 * abs(loss):
            break
        weights, loss = weights - step, tried
    a, b = weights
    return (float(a), float(b)) if a > 0 else AS_IT_IS


def _loss(inputs: Floats, target: Floats, weights: Floats, prior: Floats, ridge: Floats) -> float:
    odds = inputs @ weights
    drawn = weights - prior
    return float((np.logaddexp(0.0, odds) - target * odds).sum() + drawn @ ridge @ drawn / 2)
