"""Places outside the lake: what belongs to one user on one machine (keys, records of a lake that holds no database)."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def state_folder() -> Path:
    """The user's state folder of this product: `$XDG_STATE_HOME/lakewarden`, else below `~/.local/state`. It may not exist."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "lakewarden"


def lake_name(root: str) -> str:
    """Sixteen hexadecimal digits that stand for a lake's address in file names."""
    return hashlib.sha256(root.encode()).hexdigest()[:16]
