"""Times as RFC 3339 text with milliseconds, by table look-up: ten times as fast as formatting."""

from __future__ import annotations

from datetime import date
from typing import Final

import polars as pl

from lakewarden.sources.simulator.rhythm import DAY, day_of, midnight

_SECONDS: Final = pl.Series([f"{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}" for at in range(86_400)])
_MILLIS: Final = pl.Series([f".{at:03}Z" for at in range(1000)])


class TimeText:
    """Writes times of the days from `first` to `last`."""

    def __init__(self, first: date, last: date) -> None:
        self._first = midnight(first) // DAY
        days = range(self._first, midnight(last) // DAY + 1)
        self._days = pl.Series([f"{day_of(day * DAY).isoformat()}T" for day in days])

    def pieces(self, millisecond: pl.Expr) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
        """Three texts that make up the time, for an expression that is joining texts anyway."""
        return (
            pl.lit(self._days).gather(millisecond // DAY - self._first),
            pl.lit(_SECONDS).gather(millisecond % DAY // 1000),
            pl.lit(_MILLIS).gather(millisecond % 1000),
        )

    def text(self, millisecond: pl.Expr) -> pl.Expr:
        """The whole time, for example `2026-01-05T09:30:00.250Z`."""
        return pl.concat_str(self.pieces(millisecond))
