"""What a source of events is: the port that files implement, and later a broker."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import polars as pl

Clock = Callable[[], int]
"""Wall clock: microseconds since 1970 UTC."""


def wall_clock() -> int:
    """The time now, microseconds UTC."""
    return time.time_ns() // 1000


@dataclass(frozen=True)
class Chunk:
    """Events in the order in which they were read, with what bronze needs to go on behind them.

    All series have the same length, at least 1. Within a partition the offsets rise strictly.

    Attributes:
        bodies: the events as received (Binary).
        source: the source's name, the same for every run over the same place.
        partitions: String: for files the name relative to the folder.
        offsets: Int64: for JSON lines the line, for CSV the record below the header, for Parquet the row, from 0.
        arrival: Datetime(us, UTC): the broker's timestamps; None for files.
        received_time: when the chunk was handed on, microseconds UTC.
    """

    bodies: pl.Series
    source: str
    partitions: pl.Series
    offsets: pl.Series
    arrival: pl.Series | None
    received_time: int

    def __len__(self) -> int:
        return len(self.bodies)


class Source(Protocol):
    """A place that events come from, read by one thread."""

    @property
    def name(self) -> str:
        """Identifies the place in bronze; positions belong to it."""

    @property
    def exhausted(self) -> bool:
        """True once `read` can never give another event."""

    @property
    def fraction(self) -> float | None:
        """How much of what is there has been read (0 to 1), None where that has no meaning."""

    def resume(self, positions: Mapping[str, int]) -> None:
        """Go on behind the last offset that bronze recorded per partition; before the first `read`."""

    def read(self, max_rows: int, max_seconds: float) -> Chunk | None:
        """Return up to `max_rows` events, waiting at most about `max_seconds` for more; None if there is nothing more now.

        Raises:
            SourceError: the source can't be read further. Events read before it are handed on first.
        """

    def close(self) -> None:
        """Let go of files and connections."""
