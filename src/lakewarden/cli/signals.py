"""Ctrl-C and SIGTERM while a stream or a simulation runs: the first asks, the second forces."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Self

_ASKED = b"\nStopping after the piece of work at hand. Ctrl-C again stops at once.\n"


class GracefulStop:
    """While entered, the first SIGINT or SIGTERM sets `event`; a second one raises KeyboardInterrupt.

    Args:
        say: write on stderr what the first one does; not where stderr is a log, or where it ends the command at once.
    """

    def __init__(self, say: bool = True) -> None:
        self.event = threading.Event()
        self._say = say
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        import polars  # noqa: F401  # hooks SIGINT when imported, to break off what it computes: our handlers must come after it

        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._asked)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal itself returned

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.event.is_set():
            raise KeyboardInterrupt
        self.event.set()
        if self._say:
            os.write(2, _ASKED)
