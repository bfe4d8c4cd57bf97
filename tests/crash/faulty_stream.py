"""The real command in a process that kills itself at one call of its way: `faulty_stream.py STEP COMMAND ...`, the step as JSON.

Compaction, checkpoints and the cleaning of the log come more often than they do by default, so that kills fall into them too.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from typing import Any

from lakewarden.lake import lakehouse
from lakewarden.settings import LakeSettings

TIDY = LakeSettings(compact_every=4, checkpoint_every=10, log_retention_seconds=10)


def install(target: str, wanted: str, side: str, n: int) -> None:
    """Wrap what is called at the step; the n-th call that matches is the last thing this process does, or not even that."""
    module, _, path = target.partition(":")
    *owners, name = path.split(".")
    owner = functools.reduce(getattr, owners, importlib.import_module(module))
    call: Callable[..., Any] = getattr(owner, name)
    pattern, numbers = re.compile(wanted), itertools.count(1)

    @functools.wraps(call)
    def struck(*args: object, **kwargs: object) -> object:
        here = pattern.search(texts(args)) is not None and next(numbers) == n  # next() is one step: threads don't share a number
        if here and side == "before":
            die()
        done = call(*args, **kwargs)
        if here:
            die()
        return done

    setattr(owner, name, struck)


def texts(args: tuple[object, ...]) -> str:
    """What tells one call from another: paths, and how small objects begin."""
    said = (arg[:400].decode("latin1") if isinstance(arg, bytes) else arg for arg in args)
    return " ".join(text for text in said if isinstance(text, str))


def die() -> None:
    """As `kill -9` does it: nothing is flushed, closed or given back."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(step: str, *words: str) -> None:
    """Run the command until it comes to the step."""
    lakehouse.LakeSettings = lambda: TIDY  # type: ignore[assignment,misc]
    install(**json.loads(step))
    sys.argv = ["lakewarden", *words]
    from lakewarden.cli.main import run

    run()


if __name__ == "__main__":
    main(*sys.argv[1:])
