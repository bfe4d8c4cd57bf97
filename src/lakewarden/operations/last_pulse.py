"""The newest pulse as an object in the lake: how `status` in another process, or on another machine, sees a running stream."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from lakewarden.operations.pulse import Pulse

if TYPE_CHECKING:
    from lakewarden.lake.store import Store

PATH: Final = "_telemetry/stream.json"
FIELDS: Final = {spec.name for spec in fields(Pulse)}


def keep(store: Store, pulse: Pulse) -> None:
    """Put a pulse in the place of the one before; under the lake's lease. Raises StorageError."""
    store.put(PATH, json.dumps(pulse.to_dict(), separators=(",", ":")).encode())


def last(store: Store) -> dict[str, Any] | None:
    """The newest pulse, of the stream that runs or of the last one that ran; None where there is none, or one of another version."""
    data = store.get(PATH)
    try:
        found = json.loads(data) if data else None
    except ValueError:  # only a disk can do that, and no figure of a lake depends on it
        return None
    return found if isinstance(found, dict) and found.keys() >= FIELDS else None
