"""The version of the code that turns events into rows: the package version and a hash of the sources that decide values."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@lru_cache(maxsize=1)
def code_version() -> str:
    """`<package version>+<12 hexadecimal digits>` over contracts, rules, flow, settings and tables.

    Two installations with the same value derive the same rows from the same bronze and release.
    """
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(
        [
            *(root / "contracts").rglob("*.py"),
            *(root / "rules").rglob("*.py"),
            *(root / "flow").rglob("*.py"),
            root / "settings.py",
            root / "tables.py",
        ]
    ):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    try:
        package = version("lakewarden")
    except PackageNotFoundError:
        package = "0"
    return f"{package}+{digest.hexdigest()[:12]}"
