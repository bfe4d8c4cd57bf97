"""Ctrl-C and SIGTERM while a stream or a simulation runs: the first asks, the second forces."""

from __future__ import annotations

import os
import queue
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
        self._signals: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._asked_for = False
        self._setter = threading.Thread(target=self._set, name="stop", daemon=True)

    def __enter__(self) -> Self:
        import polars  # noqa: F401  # hooks SIGINT when imported, to break off what it computes: our handlers must come after it

        self._setter.start()
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._asked)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal itself returned
        self._signals.put(None)
        self._setter.join()

    def _set(self) -> None:
        """In a thread of its own: the signal may have come while its thread held the lock of the event, and would wait for itself."""
        if self._signals.get() is not None:
            self.event.set()

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self._asked_for or self.event.is_set():
            raise KeyboardInterrupt
        self._asked_for = True
        self._signals.put(number)  # which takes no lock (`queue.SimpleQueue`, "reentrant")
        if self._say:
            os.write(2, _ASKED)
