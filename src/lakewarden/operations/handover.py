"""Between the stream's threads: items handed on through bounded queues, until there are no more or another thread failed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

TICK_SECONDS: Final = 0.1
"""How long a thread waits on a queue before it looks whether another one failed."""


def put(out: queue.Queue[Any], item: object, halt: threading.Event) -> None:
    """Hand an item on; gives up when another step failed. A full queue is the back-pressure that bounds memory."""
    while not halt.is_set():
        try:
            out.put(item, timeout=TICK_SECONDS)
            return
        except queue.Full:
            continue


def take(items: queue.Queue[Any], halt: threading.Event, idle: Callable[[], None] | None = None) -> Iterator[Any]:
    """Items until None is handed on or another step failed; `idle` is called while there are none."""
    while not halt.is_set():
        try:
            item = items.get(timeout=TICK_SECONDS)
        except queue.Empty:
            if idle is not None:
                idle()
            continue
        if item is None:
            return
        yield item
