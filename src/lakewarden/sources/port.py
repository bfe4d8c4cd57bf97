"""What a source of events is: the port that files and brokers implement."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Gap:
    """Events that the source no longer has and bronze never got (INC-S01).

    Attributes:
        source: the source's name.
        partition: the source partition.
        first: the first offset that is lost.
        last: the last one; None where nobody can know.
        kind: `retention` (deleted before it was read), `recreated` (the topic is another one),
            `rewound` (the log ends before what was read).
        detail: one sentence for the incident.
    """

    source: str
    partition: str
    first: int
    last: int | None
    kind: str
    detail: str

    @property
    def lost(self) -> int | None:
        """How many events, None where nobody can know."""
        return None if self.last is None else self.last - self.first + 1


@dataclass(frozen=True)
class Notices:
    """What a source found and the lake has to remember.

    Attributes:
        begun: the offset behind which partitions begin that had none recorded, by source name and partition. Without it a start at
            `latest` that is killed before its first micro-batch would begin at a later `latest`.
        gaps: what was lost.
        remarks: sentences for the user.
    """

    begun: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    gaps: Sequence[Gap] = ()
    remarks: Sequence[str] = ()


@dataclass(frozen=True)
class PartitionStanding:
    """Where reading stands in one partition: the next offset to read, the offset that the next event will get, what is left between."""

    partition: str
    position: int
    end: int | None

    @property
    def lag(self) -> int | None:
        """Events that were not read yet."""
        return None if self.end is None else max(0, self.end - self.position)


@dataclass(frozen=True)
class SourceStanding:
    """How a source stands: its partitions, troubles counted by kind, milliseconds for which the broker held requests back."""

    partitions: tuple[PartitionStanding, ...] = ()
    troubles: Mapping[str, int] = field(default_factory=dict)
    throttled_ms: float = 0.0


class Source(Protocol):
    """A place that events come from, read by one thread; `acknowledge` and `standing` may be called from others."""

    @property
    def name(self) -> str:
        """Identifies the place in bronze; positions belong to it."""

    @property
    def exhausted(self) -> bool:
        """True once `read` can never give another event."""

    @property
    def fraction(self) -> float | None:
        """How much of what is there has been read (0 to 1), None where that has no meaning."""

    def resume(self, positions: Mapping[str, Mapping[str, int]]) -> None:
        """Go on behind the last offset that was taken, by source name and partition; before the first `read`."""

    def read(self, max_rows: int, max_seconds: float) -> Chunk | None:
        """Return up to `max_rows` events, waiting at most about `max_seconds` for more; None if there is nothing more now.

        Raises:
            SourceError: the source can't be read further. Events read before it are handed on first.
        """

    def take_notices(self) -> Notices:
        """What was found since the last call; asked after `resume` and every `read`, recorded before the events read are."""

    def acknowledge(self, offsets: Mapping[str, int]) -> None:
        """Tell the source that everything up to these offsets (by partition) is published. For lag tools only; bronze is the truth."""

    def standing(self) -> SourceStanding:
        """Positions, lag and troubles."""

    def close(self) -> None:
        """Let go of files and connections."""
