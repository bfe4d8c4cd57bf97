"""Keeping to a rate."""

from __future__ import annotations

from collections.abc import Callable


class Pace:
    """Waits so that no more than `rate` events a second go out on average since the start.

    Args:
        rate: events a second; None for as fast as it goes.
        clock: monotonic seconds.
        sleep: waits for some seconds.
    """

    def __init__(self, rate: float | None, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._start = clock()
        self._sent = 0

    def piece(self, whole: int) -> int:
        """How many events to send at once: a fifth of a second's worth, at most `whole`."""
        return whole if self._rate is None else max(1, min(whole, int(self._rate / 5)))

    def sent(self, events: int) -> None:
        """Counts events that went out, and waits until the next may follow."""
        self._sent += events
        if self._rate is not None:
            ahead = self._start + self._sent / self._rate - self._clock()
            if ahead > 0:
                self._sleep(ahead)

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return self._clock() - self._start
