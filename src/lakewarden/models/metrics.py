"""How good a ranking of transactions is: AUC ROC, average precision, card precision at 100, Brier score."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from lakewarden.flow.trees import Floats

CARDS: Final = 100
"""How many cards investigators look at in a day, in the published protocol."""


def auc_roc(fraud: NDArray[np.bool_], score: Floats) -> float | None:
    """Chance that a fraud scores above another transaction, ties counting half; None where one of the two is missing."""
    frauds, others = int(fraud.sum()), int((~fraud).sum())
    if not frauds or not others:
        return None
    _, rank, ties = np.unique(score, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(ties) - (ties - 1) / 2
    return float((mean_rank[rank][fraud].sum() - frauds * (frauds + 1) / 2) / (frauds * others))


def average_precision(fraud: NDArray[np.bool_], score: Floats) -> float | None:
    """Precision at each threshold, weighted by the recall it gains; None where there is no fraud."""
    if not fraud.any():
        return None
    order = np.argsort(-score, kind="stable")
    found = np.cumsum(fraud[order])
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    recall = found[ends] / found[-1]
    return float((np.diff(recall, prepend=0.0) * found[ends] / (ends + 1)).sum())


def card_precision(
    day: NDArray[np.int64], card: NDArray[np.int64], fraud: NDArray[np.bool_], score: Floats, cards: int = CARDS
) -> float | None:
    """Each day's share of defrauded cards among the `cards` with the highest score of the day, cards already found left out; the mean.

    Args:
        day, card: numbers of the day and of the card, by transaction.
        fraud, score: verdict and score, by transaction.
        cards: how many are looked at in a day; a day with fewer still counts by this number.
    """
    found: set[int] = set()
    shares = []
    for today in np.unique(day):
        rows = np.flatnonzero(day == today)
        rows = rows[~np.isin(card[rows], list(found))]
        rows = rows[np.argsort(-score[rows], kind="stable")]
        _, first = np.unique(card[rows], return_index=True)
        chosen = card[rows[np.sort(first)[:cards]]]
        caught = np.intersect1d(chosen, card[rows[fraud[rows]]])
        found.update(caught.tolist())
        shares.append(caught.size / cards)
    return float(np.mean(shares)) if shares else None


def brier(fraud: NDArray[np.bool_], probability: Floats) -> float | None:
    """Mean squared distance of the probability from the verdict; None without rows."""
    return float(((probability - fraud) ** 2).mean()) if fraud.size else None
