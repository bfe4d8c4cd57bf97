"""Runs one operation on a lake and kills its own process right before a named step: `killed_operation.py LAKE STEP swap|undo REPLAY`,
or `snapshot|"snapshot undo" DATE`.

With `stream` as the operation, a stream waits for orders and dies at that step of one.
"""

from __future__ import annotations

import os
import signal
import sys

import lakewarden
from lakewarden.lake.orders import Execution


def main(root: str, at: str, operation: str, subject: str) -> None:
    """Open the lake and go as far as the step."""

    def step(name: str) -> None:
        if name == at:
            os.kill(os.getpid(), signal.SIGKILL)

    lake = lakewarden.open(root)
    if operation == "swap":
        lake.replay_swap(subject, step=step)
    elif operation == "undo":
        lake.replay_undo(subject, "killed on the way", step=step)
    elif operation == "snapshot":
        lake.snapshot_take(subject, step=step)
    elif operation == "snapshot undo":
        lake.snapshot_undo(subject, "killed on the way", step=step)
    else:
        began = Execution.__init__
        Execution.__init__ = lambda self, house, order, now, _=None: began(self, house, order, now, step)  # type: ignore[method-assign]
        lake.stream(subject)


if __name__ == "__main__":
    main(*sys.argv[1:])
