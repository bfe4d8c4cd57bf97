"""The published point: one object that names one version of every table.

Readers open the versions it names, so they see all tables at one point or at the one before, never a mixture.
It moves after the last table of a micro-batch (or a swap) was committed.

Each point is an object of its own, `_published/points/<number>.json`, created only if there is none: of two publishers that both follow
the same point one wins and the other looks again. `_published/point.json` is a copy of the newest one, or of one not long past: readers
begin there and look further. It alone is ever replaced, so a publisher that was paused can set nobody back (docs/adr/0014).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lakewarden.errors import LakeError, StorageError

if TYPE_CHECKING:
    from lakewarden.lake.store import Store

PATH: Final = "_published/point.json"
FOLDER: Final = "_published/points"
KEEP: Final = 100
"""How many points stay; `clean` removes the older ones."""

PROBES: Final = 16
"""How many points a reader goes on from the copy before it lists them instead."""

LISTINGS: Final = 8


@dataclass(frozen=True)
class PublishedPoint:
    """Point number, newest micro-batch in it, table versions, time of publication (ISO 8601), the writer's epoch.

    Attributes:
        notices: what readers are told, by who says it: say, that dates are under replay. They stay until they are taken back.
        order: the newest order (`lake.orders`) whose content the versions have; -1 before the first.
    """

    point: int
    batch: int
    versions: Mapping[str, int]
    published_time: str
    notices: Mapping[str, str] = field(default_factory=dict)
    epoch: int = 0
    order: int = -1

    @property
    def notice(self) -> str:
        """All notices as one text; empty where there are none."""
        return " ".join(self.notices.values())


def read(store: Store) -> PublishedPoint:
    """The present published point.

    Raises:
        LakeError: there is none, or it can't be read.
    """
    point = newest(store)
    if point is None:
        raise LakeError(f"The lake at {store.root} has no published point.", next=f"lakewarden init --lake {store.root}")
    return point


def newest(store: Store) -> PublishedPoint | None:
    """The present published point, or None before the first.

    Raises:
        LakeError: it can't be read.
    """
    copy = _copied(store)
    if copy is None:
        return _listed(store)
    point = copy
    for _ in range(PROBES):
        data = store.get(path(point.point + 1))
        if data is None:
            # Old points go in their order. As that of the copy still stands, none after it is gone: there is no later one.
            return point if _stands(store, copy) else _listed(store)
        point = _parsed(store, data)
    return _listed(store)


def publish(store: Store, point: PublishedPoint, before: PublishedPoint | None) -> bool:
    """Move the published point on from `before`, in one step; False, and nothing moved, where it has moved on already.

    Args:
        before: the point that was the newest when `point` was made.
    """
    data = json.dumps(asdict(point), separators=(",", ":")).encode()
    if not store.put_new(path(point.point), data):
        return False
    if before is not None and not _stands(store, before):
        # This publisher was paused for so long that the number was used and is gone again.
        store.delete([path(point.point)])
        return False
    store.put(PATH, data)
    return True


def clean(store: Store, keep: int = KEEP) -> int:
    """Remove all but the newest points, the oldest first; gives how many went."""
    old = sorted(_numbers(store))[:-keep]
    store.delete([path(number) for number in old])
    return len(old)


def path(number: int) -> str:
    """Where a point stands."""
    return f"{FOLDER}/{number:020d}.json"


def _stands(store: Store, point: PublishedPoint) -> bool:
    """Whether a point is there still, and is that very one."""
    data = store.get(path(point.point))
    return data is not None and _name(_parsed(store, data)) == _name(point)


def _name(point: PublishedPoint) -> tuple[int, int, str]:
    return point.point, point.epoch, point.published_time


def _copied(store: Store) -> PublishedPoint | None:
    data = store.get(PATH)
    try:
        return None if data is None else _parsed(store, data)
    except LakeError:  # the points themselves are the truth
        return None


def _listed(store: Store) -> PublishedPoint | None:
    for _ in range(LISTINGS):
        numbers = _numbers(store)
        if not numbers:
            return None
        data = store.get(path(max(numbers)))
        if data is not None:
            return _parsed(store, data)
    raise StorageError(f"The published point of {store.root} moves on more quickly than it can be read.", next="run the command again")


def _numbers(store: Store) -> list[int]:
    names = (Path(entry.path) for entry in store.entries(FOLDER))
    return [int(name.stem) for name in names if name.stem.isdigit()]


_FIELDS: Final = frozenset(spec.name for spec in fields(PublishedPoint))


def _parsed(store: Store, data: bytes) -> PublishedPoint:
    try:
        known = json.loads(data)
        return PublishedPoint(**{name: value for name, value in known.items() if name in _FIELDS})
    except (ValueError, TypeError, AttributeError) as error:
        raise LakeError(
            f"The published point of {store.root} can't be read: {error}", next="lakewarden stream (recovers and publishes again)"
        ) from error
