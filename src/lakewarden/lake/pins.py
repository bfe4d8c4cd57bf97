"""Pins: file lists that vacuum must leave, until they are released.

Delta's own time travel is kept short (a long log slows every commit), so what must stay restorable is held here.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from lakewarden.errors import LakeError

if TYPE_CHECKING:
    from datetime import datetime

    from lakewarden.lake.store import Store
    from lakewarden.lake.table import LakeTable

FOLDER: Final = "_pins"


@dataclass(frozen=True)
class Pin:
    """Files of one table version that stay on disk: id, table, version, files, reason, creation time (ISO 8601)."""

    id: str
    table: str
    version: int
    files: tuple[str, ...]
    reason: str
    created_time: str


def pin(store: Store, table: LakeTable, reason: str, now: datetime) -> Pin:
    """Pin the newest version of a table."""
    version = table.refresh()
    made = Pin(f"pin-{uuid.uuid4().hex[:12]}", table.spec.name, version, tuple(f.path for f in table.files()), reason, now.isoformat())
    store.put(f"{FOLDER}/{made.id}.json", json.dumps(asdict(made)).encode())
    return made


def pins(store: Store) -> list[Pin]:
    """All pins, oldest first."""
    found = []
    for entry in store.entries(FOLDER):
        data = store.get(entry.path)
        if data is not None:
            fields = json.loads(data)
            found.append(Pin(**{**fields, "files": tuple(fields["files"])}))
    return sorted(found, key=lambda p: (p.created_time, p.id))


def release(store: Store, pin_id: str) -> None:
    """Release a pin: vacuum may take its files from now on.

    Raises:
        LakeError: there is no such pin.
    """
    path = f"{FOLDER}/{pin_id}.json"
    if not store.exists(path):
        raise LakeError(f"There is no pin {pin_id!r}.", state="nothing was released", next="lakewarden pins list")
    store.delete([path])


def pinned_files(held: Sequence[Pin], table: str) -> set[str]:
    """The files of one table that the given pins hold."""
    return {path for p in held if p.table == table for path in p.files}
