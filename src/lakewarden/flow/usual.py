"""What an account usually spends, and its rows that were far above it: five numbers in the account's record.

An amount is ordinary up to 2.5 times the account's usual mean; only ordinary amounts make the usual, so a thief's purchases don't
become it. A row's own columns hold the whole of it as it was before the row, so a state rebuilt from silver begins with the first row's.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lakewarden.compiled import inlined
from lakewarden.flow.windows import DAY, Record

MEMORY: Final = 38 * DAY
"""An account that was silent for longer begins anew."""

WEEK: Final = 7 * DAY
"""Unusual rows are forgotten when none came for so long."""

FEWEST: Final = 3
"""Ordinary rows that it takes to say what is usual."""

FADING: Final = 256
"""Count at which both halves are halved, so that old rows fade."""

AMOUNT_LIMIT: Final = 1 << 50
"""A larger amount counts as this much: 256 of them fit into int64, and each is exact as a float."""

UNUSUAL: Final = 2.5


@inlined
def forget(record: Record, previous: int, clock: int) -> None:
    """Let go of what is too old at `clock`."""
    if clock - previous > MEMORY:
        record.usual_sum, record.usual_count, record.unusual_count = 0, 0, 0
    if record.unusual_count > 0 and clock - record.unusual_clock > WEEK:
        record.unusual_count = 0
    if record.unusual_count == 0:
        record.unusual_clock, record.unusual_max = 0, 0.0


@inlined
def ratio_usual(record: Record, amount: int, known: int) -> float:
    """An amount over the usual mean; NaN while there is none."""
    if known == 0 or record.usual_count < FEWEST or record.usual_sum <= 0:
        return np.nan
    return float(min(amount, AMOUNT_LIMIT)) * float(record.usual_count) / float(record.usual_sum)


@inlined
def learn(record: Record, amount: int, known: int, ratio: float, clock: int) -> None:
    """Count a row as ordinary or unusual; `ratio` is what `ratio_usual` said of it."""
    if known == 0:
        return
    held = min(amount, AMOUNT_LIMIT)
    if record.usual_count < FEWEST or 2.0 * float(held) * float(record.usual_count) <= 5.0 * float(record.usual_sum):
        record.usual_sum += held
        record.usual_count += 1
        if record.usual_count >= FADING:
            record.usual_sum //= 2
            record.usual_count //= 2
    if ratio > UNUSUAL:
        record.unusual_count += 1
        record.unusual_clock = clock
        record.unusual_max = max(record.unusual_max, ratio)
