"""Once a second the pulse goes to whoever wants it, also while nothing is published: that is when it matters."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from lakewarden.operations.pulse import Pulse, PulseRecorder

EVERY_SECONDS: Final = 1.0

PATIENCE_SECONDS: Final = 5.0
"""How long the stream's end waits for an outlet that hangs."""


class Heartbeat:
    """A thread, from `with` to its end, that hands the pulse to outlets; the last one says how the stream ended.

    Args:
        recorder: asked for the pulse.
        outlets: what takes it, by name; one that fails is counted and called again the next time.
        every: seconds between two pulses.
    """

    def __init__(self, recorder: PulseRecorder, outlets: Mapping[str, Callable[[Pulse], None]], every: float = EVERY_SECONDS) -> None:
        self._recorder = recorder
        self._outlets = outlets
        self._every = every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join(PATIENCE_SECONDS)
        self._recorder.ended(failed=error is not None)
        if not self._thread.is_alive():
            self._beat()

    def _run(self) -> None:
        self._beat()
        while not self._ended.wait(self._every):
            self._beat()

    def _beat(self) -> None:
        for name, take in self._outlets.items():
            try:
                take(self._recorder.pulse())
            except Exception:  # noqa: BLE001  # whatever a disk, a network or a library does: events matter more
                self._recorder.telemetry_failed(name)
