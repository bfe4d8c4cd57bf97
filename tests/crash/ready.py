"""Processes for killing that have their imports behind them: these take a second, and with the model registry more than three.

A server of its own, which has imported and done nothing else, forks each of them; so a process is as new as one that was started, and is
killed as one. Where starting is what a test is about, it starts the command.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

SECONDS: Final = 120
IMPORTED: Final = ("lakewarden.cli.main", "lakewarden.app", "lakewarden.operations.stream", "mlflow.store.tracking.sqlalchemy_store")
_PROCESSES: Final = multiprocessing.get_context("forkserver")


def killed(script: str, *words: object) -> bool:
    """Call `main` of a module of this folder in a process of its own: whether that killed itself (else it ended well).

    Raises:
        AssertionError: it ended otherwise, or not within `SECONDS`.
    """
    _PROCESSES.set_forkserver_preload(list(IMPORTED))
    with tempfile.TemporaryDirectory(prefix="lakewarden-killed-") as folder:
        said = Path(folder) / "said"
        process = _PROCESSES.Process(target=_run, args=(f"crash.{script}", [str(word) for word in words], said))
        process.start()
        process.join(SECONDS)
        code = process.exitcode
        if code is None:
            process.kill()
            process.join()
        assert code in (0, -signal.SIGKILL), (script, words, code, said.read_text() if said.exists() else "")
    return code != 0


def _run(module: str, words: Sequence[str], said: Path) -> None:
    """In the process: what it says goes into a file, as its end leaves no time to send it."""
    to = os.open(said, os.O_WRONLY | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(to, stream)
    sys.stdout, sys.stderr = (os.fdopen(stream, "w", closefd=False) for stream in (1, 2))
    try:
        importlib.import_module(module).main(*words)
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
