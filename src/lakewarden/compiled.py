"""Ahead of every loop over rows: compile it once, keep the machine code, and never run machine code of other sources."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeVar

import numba

_Function = TypeVar("_Function", bound=Callable[..., object])

MARK: Final = b"@compiled"
"""What a source file holds that has compiled functions."""


@lru_cache(maxsize=1)
def sources_digest() -> str:
    """Twelve hexadecimal digits over every source file of the package that has compiled functions."""
    root = Path(__file__).resolve().parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        source = path.read_bytes()
        if MARK in source:
            digest.update(path.relative_to(root).as_posix().encode())
            digest.update(source)
    return digest.hexdigest()[:12]


@lru_cache(maxsize=1)
def cache_folder() -> Path | None:
    """Where machine code is kept: under `NUMBA_CACHE_DIR`, else beside the package, else in the user's cache; None: nowhere.

    The folder carries `sources_digest`: numba looks for changes only in the file of the outermost function, so a change of
    a function that it calls from another file would go unnoticed.
    """
    beside = Path(__file__).resolve().parent / "__pycache__"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lakewarden"
    named = os.environ.get("NUMBA_CACHE_DIR")
    for folder in (Path(named) if named else beside, home):
        path = folder / f"compiled-{sources_digest()}"
        try:
            path.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=path).close()
        except OSError:
            continue
        return path
    return None


def compiled(function: _Function) -> _Function:
    """Compile a function at its first call, without the interpreter's lock; later processes load it from `cache_folder`.

    Where no folder can be written the function works all the same and is compiled anew in every process.
    """
    folder = cache_folder()
    before = numba.config.CACHE_DIR
    try:
        # numba reads this while it decorates; other users of numba in the process keep their own
        numba.config.CACHE_DIR = str(folder or "")
        made: _Function = numba.njit(nogil=True, cache=folder is not None)(function)
    finally:
        numba.config.CACHE_DIR = before
    return made
