"""What one run of the stream is made of, put together by the composition root."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lakewarden.engines.port import Engine
    from lakewarden.flow.release import Release
    from lakewarden.settings import StreamSettings
    from lakewarden.sources.port import Gap, Source


@dataclass(frozen=True)
class Clocks:
    """The wall clock and a monotonic timer, injected."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]


@dataclass(frozen=True)
class Releases:
    """Where the stream learns which release is in force: its id now, and how to load one."""

    current: Callable[[], str]
    load: Callable[[str], Release]


class Bookmarks(Protocol):
    """Where reading of a source's partitions was begun, kept beside the tables until bronze has their offsets."""

    def read(self) -> Mapping[str, Mapping[str, int]]:
        """The offset behind which each partition began, by source."""

    def add(self, source: str, positions: Mapping[str, int]) -> None:
        """Remember the beginnings of further partitions."""


class Orders(Protocol):
    """The orders of the lake (`operations.orders`): swaps, undos and backfills that are carried out between micro-batches."""

    def due(self) -> bool:
        """Whether there are orders to carry out; costs nothing most of the time."""

    def take_up(self) -> bool:
        """Exchange the rest of orders that were cut short, without publishing; says if there were any."""

    def conclude(self, batch: int, next_seq: int) -> None:
        """Publish what `take_up` exchanged, up to a finished micro-batch."""

    def carry_out(self, batch: int, next_seq: int) -> bool:
        """Carry out and publish every order that waits; says whether the stages' state is another one now."""


@dataclass(frozen=True)
class StreamJob:
    """Engine, orders, source, releases, how micro-batches are cut, the run id that all rows carry, clocks, who is told of gaps.

    `publish` moves the published point behind a micro-batch.
    """

    engine: Engine
    orders: Orders
    source: Source
    releases: Releases
    settings: StreamSettings
    run_id: str
    clocks: Clocks
    bookmarks: Bookmarks
    on_gap: Callable[[Gap], None]
    on_remark: Callable[[str], None]
    publish: Callable[[int, datetime], object]
