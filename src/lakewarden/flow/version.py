"""The version of the code that turns events into rows: the package version and a hash of the sources that decide values."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]


def sources() -> list[Path]:
    """The files whose code decides what an event becomes: contracts, rules, flow, and what they compute with."""
    folders = [path for name in ("contracts", "rules", "flow") for path in (ROOT / name).rglob("*.py")]
    return sorted([*folders, *(ROOT / f"{name}.py" for name in ("compiled", "hashing", "settings", "tables"))])


@lru_cache(maxsize=1)
def code_version() -> str:
    """`<package version>+<12 hexadecimal digits>` over `sources`.

    Two installations with the same value derive the same rows from the same bronze and release.
    """
    digest = hashlib.sha256()
    for path in sources():
        digest.update(path.relative_to(ROOT).as_posix().encode())
        digest.update(path.read_bytes())
    try:
        package = version("lakewarden")
    except PackageNotFoundError:
        package = "0"
    return f"{package}+{digest.hexdigest()[:12]}"
