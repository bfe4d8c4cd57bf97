"""When an account was last seen with a country, a device or a party, and a party with an account: pairs of an owner and a value.

An open-addressing table of 16 bytes an entry. A pair is known by its owner and by 32 bits of its hash: two values of one owner are
taken for one with a chance of 1 in 4 billion. What is older than 30 days by its owner's clock no longer matters and is left behind
when the table grows, so it is as large as what matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lakewarden.compiled import inlined, lean
from lakewarden.flow.ahead import fetch
from lakewarden.flow.store import FULL_PAIRS, NEED, NEED_PAIRS, NEVER, NEWEST, USED_PAIRS

if TYPE_CHECKING:
    from lakewarden.flow.store import Store, Structs


@inlined
def _place(pairs: Structs, tag: int) -> int:
    return ((tag & 0xFFFFFFFF) * pairs.size) >> 32


@inlined
def fetch_pair(store: Store, pair: int) -> None:
    """Bring the place near where the search for a pair begins."""
    fetch(store.pairs, _place(store.pairs, pair >> 32), 0)


@inlined
def pairs_full(store: Store, more: int) -> bool:
    """Whether there is no room for `more` pairs; then `meta` says so."""
    full = store.meta[USED_PAIRS] + more > FULL_PAIRS * store.pairs.size
    if full:
        store.meta[NEED] = NEED_PAIRS
    return bool(full)


@lean
def last_seen(store: Store, pair: int, clock: int, slot: int) -> int:
    """Set the clock of a pair of the record `slot`, and give the one it had (`NEVER` if it is new); there must be room."""
    pairs, tag, owner = store.pairs, np.int32(pair >> 32), np.int32(slot + 1)
    at = _place(pairs, int(tag))
    while pairs[at].owner != 0:
        if pairs[at].tag == tag and pairs[at].owner == owner:
            before = pairs[at].clock
            pairs[at].clock = clock
            return int(before)
        at += 1
        if at == pairs.size:
            at = 0
    pairs[at].tag = tag
    pairs[at].owner = owner
    pairs[at].clock = clock
    store.meta[USED_PAIRS] += 1
    return NEVER


@inlined
def _matters(store: Store, at: int, memory: int) -> bool:
    """Whether the pair at a place was seen within `memory` of its owner's own clock."""
    pair = store.pairs[at]
    if pair.owner == 0:
        return False
    if pair.clock >= store.meta[NEWEST] - memory:  # no owner's clock is above the newest: spares a look at most owners
        return True
    return bool(pair.clock >= store.records[pair.owner - 1].clock - memory)


@lean
def count_live(store: Store, memory: int) -> int:
    """How many pairs still matter."""
    live = 0
    for at in range(store.pairs.size):
        if _matters(store, at, memory):
            live += 1
    return live


@lean
def copy_live(store: Store, memory: int, pairs: Structs) -> None:
    """Enter the pairs that still matter into an empty table."""
    for old in range(store.pairs.size):
        if _matters(store, old, memory):
            at = _place(pairs, store.pairs[old].tag)
            while pairs[at].owner != 0:
                at += 1
                if at == pairs.size:
                    at = 0
            pairs[at] = store.pairs[old]
