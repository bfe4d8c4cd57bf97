"""The published point: one object that names one version of every table.

Readers open the versions it names, so they see all tables at one point or at the one before, never a mixture.
It moves after the last table of a micro-batch (or a swap) was committed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from lakewarden.errors import LakeError

if TYPE_CHECKING:
    from lakewarden.lake.store import Store

PATH: Final = "_published/point.json"


@dataclass(frozen=True)
class PublishedPoint:
    """Point number, newest micro-batch in it, table versions, time of publication (ISO 8601), a notice to readers."""

    point: int
    batch: int
    versions: Mapping[str, int]
    published_time: str
    notice: str = ""
    rows: Mapping[str, int] = field(default_factory=dict)


def read(store: Store) -> PublishedPoint:
    """The present published point.

    Raises:
        LakeError: there is none, or it can't be read.
    """
    data = store.get(PATH)
    if data is None:
        raise LakeError(f"The lake at {store.root} has no published point.", next=f"lakewarden init --lake {store.root}")
    try:
        return PublishedPoint(**json.loads(data))
    except (ValueError, TypeError) as error:
        raise LakeError(
            f"The published point of {store.root} can't be read: {error}", next="lakewarden stream (recovers and publishes again)"
        ) from error


def publish(store: Store, point: PublishedPoint) -> None:
    """Move the published point, in one step."""
    store.put(PATH, json.dumps(asdict(point), separators=(",", ":")).encode())
