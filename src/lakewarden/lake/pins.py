"""Pins: files that vacuum leaves, with what the log said of each, so that they can be committed again until the pin is released.

Delta's own time travel is kept short (a long log slows every commit), so what must stay restorable is held here (promise 5).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from lakewarden.errors import LakeError
from lakewarden.lake.log import DataFile

if TYPE_CHECKING:
    from lakewarden.lake.store import Store
    from lakewarden.lake.table import LakeTable

FOLDER: Final = "_pins"
ID: Final = re.compile(r"pin-[0-9a-z_-]+", flags=re.ASCII)


@dataclass(frozen=True)
class Pin:
    """Files of one table that were replaced, and until when they stay.

    Attributes:
        version: the table's version that had them last.
        order: the number of the order that replaced them; None: it was no order.
        created_time, until: ISO 8601; `until` is None for a pin that doesn't run out.
    """

    id: str
    table: str
    version: int
    files: tuple[DataFile, ...]
    reason: str
    created_time: str
    until: str | None = None
    order: int | None = None

    @property
    def rows(self) -> int:
        """Rows in its files."""
        return sum(file.rows for file in self.files)

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.size for file in self.files)

    def holds(self, now: datetime) -> bool:
        """Whether it has not run out."""
        return self.until is None or now < datetime.fromisoformat(self.until)


def named(order: int, table: str, version: int) -> str:
    """The id of the pin that an order makes of a table's version.

    Each try at a commit has a pin of its own: one that was paused and fenced off since can't write over that of the try which landed.
    """
    return f"pin-{order:06d}-{table}-{version}"


def of_order(store: Store, order: int, table: str) -> Pin | None:
    """What an order replaced in a table; None where nothing went. Tries follow each other, so the newest version is the one that landed."""
    found = [one for one in pins(store) if one.order == order and one.table == table]
    return max(found, key=lambda one: one.version, default=None)


def keep(store: Store, pin: Pin) -> Pin:
    """Write a pin; one of the same id is replaced."""
    store.put(_path(pin.id), json.dumps(asdict(pin), separators=(",", ":")).encode())
    return pin


def pin(store: Store, table: LakeTable, name: str, reason: str, now: datetime, days: float | None = None) -> Pin:
    """Pin the newest version of a table, whole.

    Args:
        name: the pin's id, behind `pin-`.
        days: until it runs out; None: it doesn't.
    """
    version = table.refresh()
    until = None if days is None else (now + timedelta(days=days)).isoformat()
    return keep(store, Pin(f"pin-{name}", table.spec.name, version, tuple(table.files()), reason, now.isoformat(), until))


def pins(store: Store) -> list[Pin]:
    """All pins, oldest first.

    Raises:
        LakeError: one can't be read; until that is mended nobody can tell which files may go.
    """
    found = [_parsed(store, entry.path) for entry in store.entries(FOLDER)]
    return sorted((one for one in found if one is not None), key=lambda one: (one.created_time, one.id))


def get(store: Store, pin_id: str) -> Pin | None:
    """One pin, None where there is none of that id."""
    return _parsed(store, _path(pin_id)) if ID.fullmatch(pin_id) else None


def release(store: Store, pin_id: str) -> Pin:
    """Release a pin: vacuum may take its files from now on. Gives what it was.

    Raises:
        LakeError: there is no such pin.
    """
    found = get(store, pin_id)
    if found is None:
        raise LakeError(f"There is no pin {pin_id!r}.", state="nothing was released", next="lakewarden pins list")
    store.delete([_path(pin_id)])
    return found


def pinned_files(held: Sequence[Pin], table: str, now: datetime) -> set[str]:
    """The files of one table that the given pins hold at a time."""
    return {file.path for one in held if one.table == table and one.holds(now) for file in one.files}


def _path(pin_id: str) -> str:
    return f"{FOLDER}/{pin_id}.json"


def _parsed(store: Store, path: str) -> Pin | None:
    data = store.get(path)
    if data is None:
        return None
    try:
        fields: dict[str, Any] = json.loads(data)
        return Pin(**{**fields, "files": data_files(fields["files"])})
    except (ValueError, TypeError, KeyError) as error:
        raise LakeError(
            f"{store.uri(path)} is damaged: {error}", state="no file was removed", next="restore it from a backup of the lake"
        ) from error


def data_files(entries: Sequence[Mapping[str, Any]]) -> tuple[DataFile, ...]:
    """Data files from what JSON made of them."""
    return tuple(DataFile(**entry) for entry in entries)
