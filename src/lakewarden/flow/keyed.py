"""What is remembered by key, and its growth: a good part of one array at a time, so it is rare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from lakewarden.errors import LakewardenError
from lakewarden.flow.pairs import copy_live, count_live
from lakewarden.flow.store import (
    FULL,
    LARGEST,
    META,
    MOST_PAIRS,
    NEED,
    NEED_DAYS,
    NEED_KEYS,
    NEED_PAIRS,
    NEED_ROWS,
    PAIR,
    ROW,
    SPACE,
    SPARSE_PAIRS,
    USED_KEYS,
    USED_PAIRS,
    Store,
    copy_index,
)

if TYPE_CHECKING:
    from lakewarden.flow.store import Structs


LARGE: Final = 32 << 20
"""Bytes from which on an array grows by a quarter at a time, no longer by half."""


class Keyed:
    """The arrays of one kind of key, and their growth.

    Args:
        record: dtype of a key's record; has `key` and `clock`.
        day: dtype of a day's sums; its first field is `when`, the day.
        memory: how long (microseconds of the owner's clock) a pair matters.
        room: entries to begin with.
    """

    def __init__(self, record: np.dtype[Any], day: np.dtype[Any], memory: int, room: int = 8192) -> None:
        self._memory = memory
        self.store = Store(
            np.zeros(int(room / FULL) + 1, np.int64),
            np.zeros(room, record),
            np.zeros(room, PAIR),
            np.zeros(room, ROW),
            np.zeros(room, day),
            np.zeros(META, np.int64),
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Own all arrays: unpickled ones lie in the pickle's bytes and could not grow."""
        self.__dict__.update(state)
        self.store = Store(*(array if array.flags.owndata else array.copy() for array in self.store))

    @property
    def keys(self) -> int:
        """How many keys are remembered."""
        return int(self.store.meta[USED_KEYS])

    @property
    def bytes(self) -> int:
        """Size of all arrays, with what they hold in reserve (reserved pages that were never touched cost no memory)."""
        return sum(array.nbytes for array in self.store)

    def grow(self) -> None:
        """Make room for what `meta[NEED]` says."""
        store = self.store
        need = int(store.meta[NEED])
        if need == NEED_KEYS:
            _lengthen(store.records, 1)
            slots = np.zeros(int(store.records.size / FULL) + 1, np.int64)
            copy_index(store.slots, slots)
            self.store = store._replace(slots=slots)
        elif need == NEED_PAIRS:
            live = count_live(store, self._memory)
            size = int((live + MOST_PAIRS) / SPARSE_PAIRS)
            pairs = np.zeros(size, PAIR)
            copy_live(store, self._memory, pairs)
            store.meta[USED_PAIRS] = live
            self.store = store._replace(pairs=pairs)
        elif need == NEED_ROWS:
            _lengthen(store.rows, int(store.meta[SPACE]))
        elif need == NEED_DAYS:
            _lengthen(store.days, int(store.meta[SPACE]))
        store.meta[NEED] = 0


def _lengthen(array: Structs, space: int) -> None:
    """Add zeros to an array where it lies, at least `space` of them: without a copy, as far as the system can."""
    size = array.size + max(array.size // (2 if array.nbytes < LARGE else 4), space)
    if size > LARGEST:
        size = LARGEST
        if array.size + space > LARGEST:
            raise LakewardenError(
                f"one state can't hold more than {LARGEST:,} entries",
                state="nothing of this micro-batch was written",
                next="run the flow in more shards, each with a state of its own",
            )
    array.resize(size, refcheck=False)  # no loop is running, and nobody else holds the array
