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


@dataclass(frozen=True)
class StreamJob:
    """Engine, source, releases, how micro-batches are cut, the run id that all rows carry, clocks, and who is told of gaps."""

    engine: Engine
    source: Source
    releases: Releases
    settings: StreamSettings
    run_id: str
    clocks: Clocks
    bookmarks: Bookmarks
    on_gap: Callable[[Gap], None]
    on_remark: Callable[[str], None]
