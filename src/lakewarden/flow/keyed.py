"""What is remembered by key: an open-addressing index, one record a key, pairs last seen, and blocks of a key's own rows.

Everything lies in NumPy arrays that compiled loops change in place. A loop never allocates: before a row changes anything it makes
sure that there is room, and where there is none it says what it needs (`meta[NEED]`), stops in front of that row and is
called again once `Keyed.grow` has made room. Growing costs the size of one array, by half as much again each time, so it is rare.

The place of a key in a table follows the upper 32 bits of its hash, in order, so growing an index is one sweep through memory.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lakewarden.compiled import inlined, lean
from lakewarden.errors import LakewardenError
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

PAIR: Final = np.dtype([("key", "i8"), ("clock", "i8")])
ROW: Final = np.dtype([("when", "i8"), ("amount", "i8")])
"""A recent row of a key: `when` is its clock times 4 plus two flags."""

MOST_PAIRS: Final = 5
"""How many pairs one row can add."""

FULL: Final = 0.6
FULL_PAIRS: Final = 0.7
SPARSE_PAIRS: Final = 0.5
"""How full an index and a table of pairs may get, and how full a table of pairs begins."""

LARGEST: Final = (1 << 31) - 1


class Store(NamedTuple):
    """The arrays of one `Keyed`, as compiled loops see them."""

    slots: Int64s
    records: Structs
    pairs: Structs
    owners: NDArray[np.int32]
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
def place_of(table: Structs, key: int) -> int:
    """Where the search for a key begins in a table of entries."""
    return int((((key >> 32) & LOW_32) * table.size) >> 32)


@lean
def last_seen(store: Store, pair: int, clock: int, owner: int) -> int:
    """Set a pair's clock, and give the one it had (`NEVER` if it is new); there must be room."""
    pairs = store.pairs
    at = place_of(pairs, pair)
    while pairs[at].key != 0:
        if pairs[at].key == pair:
            before = pairs[at].clock
            pairs[at].clock = clock
            return int(before)
        at += 1
        if at == pairs.size:
            at = 0
    pairs[at].key = pair
    pairs[at].clock = clock
    store.owners[at] = owner
    store.meta[USED_PAIRS] += 1
    return NEVER


@inlined
def _matters(store: Store, at: int, memory: int) -> bool:
    """Whether the pair at a place was seen within `memory` of its owner's own clock."""
    pair = store.pairs[at]
    if pair.key == 0:
        return False
    if pair.clock >= store.meta[NEWEST] - memory:  # no owner's clock is above the newest: spares a look at most owners
        return True
    return bool(pair.clock >= store.records[store.owners[at]].clock - memory)


@lean
def count_live(store: Store, memory: int) -> int:
    """How many pairs still matter."""
    live = 0
    for at in range(store.pairs.size):
        if _matters(store, at, memory):
            live += 1
    return live


@lean
def copy_live(store: Store, memory: int, pairs: Structs, owners: NDArray[np.int32]) -> None:
    """Enter the pairs that still matter into an empty table."""
    for old in range(store.pairs.size):
        if _matters(store, old, memory):
            at = place_of(pairs, store.pairs[old].key)
            while pairs[at].key != 0:
                at += 1
                if at == pairs.size:
                    at = 0
            pairs[at].key = store.pairs[old].key
            pairs[at].clock = store.pairs[old].clock
            owners[at] = store.owners[old]


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


@inlined
def pairs_full(store: Store, more: int) -> bool:
    """Whether there is no room for `more` pairs; then `meta` says so."""
    full = store.meta[USED_PAIRS] + more > FULL_PAIRS * store.pairs.size
    if full:
        store.meta[NEED] = NEED_PAIRS
    return bool(full)


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
            np.zeros(room, np.int32),
            np.zeros(room, ROW),
            np.zeros(room, day),
            np.zeros(META, np.int64),
        )

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
            records = _longer(store.records, 1)
            slots = np.zeros(int(records.size / FULL) + 1, np.int64)
            copy_index(store.slots, slots)
            self.store = store._replace(slots=slots, records=records)
        elif need == NEED_PAIRS:
            live = count_live(store, self._memory)
            size = int((live + MOST_PAIRS) / SPARSE_PAIRS)
            pairs, owners = np.zeros(size, PAIR), np.zeros(size, np.int32)
            copy_live(store, self._memory, pairs, owners)
            store.meta[USED_PAIRS] = live
            self.store = store._replace(pairs=pairs, owners=owners)
        elif need == NEED_ROWS:
            self.store = store._replace(rows=_longer(store.rows, int(store.meta[SPACE])))
        elif need == NEED_DAYS:
            self.store = store._replace(days=_longer(store.days, int(store.meta[SPACE])))
        store.meta[NEED] = 0


def _longer(array: Structs, space: int) -> Structs:
    size = array.size + max(array.size // 2, space)
    if size > LARGEST:
        size = LARGEST
        if array.size + space > LARGEST:
            raise LakewardenError(
                f"one state can't hold more than {LARGEST:,} entries",
                state="nothing of this micro-batch was written",
                next="run the flow in more shards, each with a state of its own",
            )
    grown = np.zeros(size, array.dtype)
    grown[: array.size] = array
    return grown
