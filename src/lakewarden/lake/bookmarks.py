"""Where reading of each source's partitions was begun, until bronze itself has offsets of them.

Bronze is the truth about what was taken. It says nothing of a partition of which nothing was taken yet: a start at `latest` that is
killed before its first micro-batch must not begin at a later `latest`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from lakewarden.errors import LakeError

if TYPE_CHECKING:
    from lakewarden.lake.store import Store

FOLDER: Final = "_sources"


class Bookmarks:
    """One small object a partition, created once and never replaced: a stream that was paused and taken over can't set one back.

    Args:
        store: the lake's objects.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self) -> dict[str, dict[str, int]]:
        """The offset behind which each partition began, by source name and partition.

        Raises:
            LakeError: an object can't be read.
        """
        found: dict[str, dict[str, int]] = {}
        for entry in self._store.entries(FOLDER):
            data = self._store.get(entry.path)
            try:
                begun = json.loads(data or b"")
                found.setdefault(str(begun["source"]), {})[str(begun["partition"])] = int(begun["behind"])
            except (ValueError, KeyError, TypeError) as error:
                raise LakeError(
                    f"{self._store.uri(entry.path)} can't be read: {error}",
                    state="nothing was taken from the source",
                    next="restore it; or remove it, and name with --start where partitions begin that bronze has nothing of",
                ) from error
        return found

    def add(self, source: str, positions: Mapping[str, int]) -> None:
        """Remember where further partitions of a source began; what is known stays."""
        folder = hashlib.sha256(source.encode()).hexdigest()[:16]
        for partition, behind in positions.items():
            body = json.dumps({"source": source, "partition": partition, "behind": behind}).encode()
            self._store.put_new(f"{FOLDER}/{folder}/{partition}.json", body)
