"""What one run of the stream is made of, put together by the composition root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakewarden.engines.port import Engine
    from lakewarden.flow.release import Release
    from lakewarden.settings import StreamSettings
    from lakewarden.sources.port import Source


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


@dataclass(frozen=True)
class StreamJob:
    """Engine, source, releases, how micro-batches are cut, the run id that all rows carry, clocks."""

    engine: Engine
    source: Source
    releases: Releases
    settings: StreamSettings
    run_id: str
    clocks: Clocks
