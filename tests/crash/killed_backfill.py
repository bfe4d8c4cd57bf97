"""Runs one step of a backfill and kills its own process right before a named step: `killed_backfill.py LAKE STEP NTH run|swap|undo ID`."""

from __future__ import annotations

import os
import signal
import sys

import lakewarden


def main(root: str, at: str, nth: str, operation: str, subject: str) -> None:
    """Open the lake and go as far as the step's n-th time."""
    left = int(nth)

    def step(name: str) -> None:
        nonlocal left
        left -= name == at
        if left == 0 and name == at:
            os.kill(os.getpid(), signal.SIGKILL)

    lake = lakewarden.open(root)
    if operation == "run":
        lake.backfill_run(subject, step=step)
    elif operation == "swap":
        lake.backfill_swap(subject, step=step)
    else:
        lake.backfill_undo(subject, "killed on the way", step=step)


if __name__ == "__main__":
    main(*sys.argv[1:])
