"""Ahead of every loop over rows: compile it once, keep the machine code, and never run machine code of other sources."""

from __future__ import annotations

import hashlib
import inspect
import os
import re
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])

_IMPORT: Final = re.compile(rb"^from lakewarden\.([\w.]+) import", re.MULTILINE)


@lru_cache(maxsize=64)
def sources_digest(file: str) -> str:
    """Twelve hexadecimal digits over a source file of the package and all of the package that it imports, near or far."""
    root = Path(__file__).resolve().parent
    digest = hashlib.sha256()
    waiting, seen = [Path(file).resolve()], set[Path]()
    while waiting:
        path = waiting.pop()
        if path not in seen and path.is_file():
            seen.add(path)
            names = _IMPORT.findall(path.read_bytes())
            waiting += [root / (name.decode().replace(".", "/") + ".py") for name in names]
    for path in sorted(seen):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


@lru_cache(maxsize=64)
def cache_folder(file: str) -> Path | None:
    """Where a source file's machine code is kept; None: nowhere.

    Under `NUMBA_CACHE_DIR`, else beside the package, else in the user's cache. The folder carries `sources_digest`: numba looks for
    changes only in the file of the outermost function, so a change of a function that it calls from another file would go unnoticed.
    """
    beside = Path(__file__).resolve().parent / "__pycache__"
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "lakewarden"
    named = os.environ.get("NUMBA_CACHE_DIR")
    for folder in (Path(named) if named else beside, home):
        path = folder / f"compiled-{sources_digest(file)}"
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
    return _decorated(function)


def lean(function: _Function) -> _Function:
    """As `compiled`, for functions that make no arrays: they count no references, which takes a third of a tight loop's time."""
    return _decorated(function, _nrt=False)


def inlined(function: _Function) -> _Function:
    """As `lean`, for the small parts of a loop over rows: their code becomes a part of their caller's."""
    return _decorated(function, _nrt=False, forceinline=True)


def _decorated(function: _Function, **options: bool) -> _Function:
    folder = cache_folder(inspect.getfile(function))
    before = numba.config.CACHE_DIR
    try:
        # numba reads this while it decorates; other users of numba in the process keep their own
        numba.config.CACHE_DIR = str(folder or "")
        made: _Function = numba.njit(nogil=True, cache=folder is not None, **options)(function)
    finally:
        numba.config.CACHE_DIR = before
    return made
