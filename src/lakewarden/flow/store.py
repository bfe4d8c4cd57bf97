"""The arrays in which loops keep what they remember by key, and the index from a key to its record.

Compiled loops change them in place and never allocate: before a row changes anything, its loop makes sure that there is room, and where
there is none it says what it needs (`meta[NEED]`), stops in front of that row and is called again once `flow.keyed` has made room.

The place of a key in a table follows the upper 32 bits of its hash, in order, so growing a table is one sweep through memory.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lakewarden.compiled import inlined, lean
from lakewarden.flow.ahead import fetch
from lakewarden.flow.blocks import CLASSES

Int64s: TypeAlias = NDArray[np.int64]
Structs: TypeAlias = NDArray[Any]

NEVER: Final = -(1 << 62)
NO_DAY: Final = -(1 << 30)
"""The clock of what was never seen, and a day that never was."""

LOW_32: Final = 0xFFFFFFFF
USED_KEYS: Final = 0
USED_PAIRS: Final = 1
USED_ROWS: Final = 2
USED_DAYS: Final = 3
NEED: Final = 4
SPACE: Final = 5
NEWEST: Final = 6
FREE_ROWS: Final = 8
FREE_DAYS: Final = FREE_ROWS + CLASSES
ROW_BLOCKS: Final = (USED_ROWS, FREE_ROWS, SPACE)
DAY_BLOCKS: Final = (USED_DAYS, FREE_DAYS, SPACE)
AHEAD: Final = 48
SLOTS: Final = FREE_DAYS + CLASSES
ASKED: Final = SLOTS + AHEAD
META: Final = ASKED + AHEAD
"""Places in `meta`: how much is used, what is needed (and how much of it), the newest clock, heads of the lists of free
blocks by size class, and the numbers of the next `AHEAD` rows' records, as far as they are known."""

NEED_KEYS: Final = 1
NEED_PAIRS: Final = 2
NEED_ROWS: Final = 3
NEED_DAYS: Final = 4

PAIR: Final = np.dtype([("tag", "i4"), ("owner", "i4"), ("clock", "i8")])
"""A pair last seen: upper half of its hash, its owner's number plus one (0: no pair), and when."""

ROW: Final = np.dtype([("when", "i8"), ("amount", "i8")])
"""A recent row of a key: `when` is its clock times 4 plus two flags."""

MOST_PAIRS: Final = 5
"""How many pairs one row can add."""

FULL: Final = 0.6
FULL_PAIRS: Final = 0.7
SPARSE_PAIRS: Final = 0.4
"""How full an index and a table of pairs may get, and how full a table of pairs begins."""

LARGEST: Final = (1 << 31) - 1


class Store(NamedTuple):
    """The arrays of one kind of key."""

    slots: Int64s
    records: Structs
    pairs: Structs
    rows: Structs
    days: Structs
    meta: Int64s


@inlined
def slot_of(slots: Int64s, records: Structs, key: int) -> int:
    """The number of a key's record, -1 if it has none. `records` is any structured array with a `key`."""
    tag = (key >> 32) & LOW_32
    at = (tag * slots.size) >> 32
    while slots[at] != 0:
        if ((slots[at] >> 32) & LOW_32) == tag:
            slot = (slots[at] & LOW_32) - 1
            if records[slot].key == key:
                return int(slot)
        at += 1
        if at == slots.size:
            at = 0
    return -1


@inlined
def fetch_slot(slots: Int64s, key: int) -> None:
    """Bring the place near where the search for a key's record begins."""
    fetch(slots, (((key >> 32) & LOW_32) * slots.size) >> 32, 0)


@inlined
def fetch_record(slots: Int64s, records: Structs, key: int) -> int:
    """Bring near what is probably a key's record, and give its number; -1 if it surely has none."""
    tag = (key >> 32) & LOW_32
    at = (tag * slots.size) >> 32
    while slots[at] != 0:
        if ((slots[at] >> 32) & LOW_32) == tag:
            slot = (slots[at] & LOW_32) - 1
            fetch(records, slot, 0)
            fetch(records, slot, 64)
            fetch(records, slot, 128)
            return int(slot)
        at += 1
        if at == slots.size:
            at = 0
    return -1


@lean
def put_slot(index: Int64s, tag: int, slot: int) -> None:
    """Enter a record under the upper 32 bits of its key; there must be room."""
    at = (tag * index.size) >> 32
    while index[at] != 0:
        at += 1
        if at == index.size:
            at = 0
    index[at] = (tag << 32) | (slot + 1)


@lean
def copy_index(old: Int64s, new: Int64s) -> None:
    """Enter every record of one index into another."""
    for at in range(old.size):
        if old[at] != 0:
            put_slot(new, (old[at] >> 32) & LOW_32, (old[at] & LOW_32) - 1)


@inlined
def record_of(store: Store, key: int) -> int:
    """The number of a key's record, made if there is none; -1 if there is no room for one."""
    slot = slot_of(store.slots, store.records, key)
    if slot >= 0:
        return int(slot)
    slot = store.meta[USED_KEYS]
    if slot >= store.records.size or slot + 1 > FULL * store.slots.size:
        store.meta[NEED] = NEED_KEYS
        return -1
    record = store.records[slot]
    record.key = key
    record.clock = NEVER
    record.today = NO_DAY
    record.row_class = -1
    record.day_class = -1
    put_slot(store.slots, (key >> 32) & LOW_32, slot)
    store.meta[USED_KEYS] += 1
    return int(slot)
