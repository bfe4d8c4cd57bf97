"""Stage: a transaction id counts once. The same id with the same content is a duplicate, with other content a conflict.

An id is remembered by its 64-bit hash for `dedup_horizon_hours` of arrival time, from its first arrival on; age is measured
in whole seconds, from the second of the first arrival up to the end of the present one. After that it is new again. Two ids with one
hash would show as a conflict, which names the first: at 80 million ids a day once in some fifteen years.

Content is what the contract names (`tables.EVENT_PROPERTIES`) and what it doesn't (`extra`), by value: the order of keys, white space,
and the envelope's `enqueued_time` don't matter. It is compared by a 32-bit hash beside the id's own, so that an id takes 16 bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lakewarden.compiled import lean
from lakewarden.errors import LakewardenError
from lakewarden.hashing import Int64s, content_hash, hash64, shard_of
from lakewarden.tables import DUPLICATES, EVENT_PROPERTIES, LINEAGE

if TYPE_CHECKING:
    from lakewarden.flow.release import Release

Structs: TypeAlias = NDArray[Any]

CONTENT: Final = (*(name for name in EVENT_PROPERTIES if name != "transaction_id"), "extra")
"""The columns whose values make two events with one id the same."""

ENTRY: Final = np.dtype([("key", "i8"), ("content", "u4"), ("seq", "u4")])
"""An id remembered: hash, content, and its `seq` less the table's base."""

NEW: Final = 0
DUPLICATE: Final = 1
CONFLICT: Final = 2
"""Verdicts on a row."""

NOTHING: Final = -(1 << 62)
"""The last `seq` of a state that has seen none: below every place in the order of arrival."""

FULL: Final = 0.6
SPARSE: Final = 0.4
SECOND: Final = 1_000_000


@dataclass(frozen=True)
class DedupOutcome:
    """Rows that go on; duplicates as `tables.DUPLICATES` without lineage; conflicting rows with `first_seq`."""

    rows: pl.DataFrame
    duplicates: pl.DataFrame
    conflicts: pl.DataFrame


class DedupState:
    """The ids that one shard remembers; a cache that silver can rebuild. Folds change it in place.

    Args:
        room: ids to begin with.
    """

    NEEDS: ClassVar[tuple[str, ...]] = ("seq", "arrival_time", *EVENT_PROPERTIES, "extra")
    """The columns of silver that `rebuild` reads."""

    def __init__(self, room: int = 8192) -> None:
        self._room = room
        self.table: Structs = np.zeros(room, ENTRY)
        self.used = 0
        self.base = 0
        self.last_seq = NOTHING
        self.last_arrival = -(1 << 62)
        self.horizon_hours = 0
        self._marks: tuple[Int64s, Int64s] = (np.zeros(0, np.int64), np.zeros(0, np.int64))

    @property
    def ids(self) -> int:
        """How many ids are held, expired ones that were not yet swept included."""
        return self.used

    @property
    def bytes(self) -> int:
        """Size of all arrays, reserve included."""
        return self.table.nbytes + sum(marks.nbytes for marks in self._marks)

    def fits(self, release: Release) -> bool:
        """Whether the state remembers as far back as a release asks; if not, rebuild it from silver."""
        return self.last_seq == NOTHING or release.settings.dedup_horizon_hours <= self.horizon_hours

    def rebuild(self, silver: pl.DataFrame, release: Release) -> None:
        """Fold rows of silver into the state, a part at a time in `seq` order.

        Exact for all rows that come later if silver holds the rows that arrived within the horizon before its newest one.

        Args:
            silver: columns `NEEDS`.
            release: gives the horizon.
        """
        rebuild_sharded(silver, release, [self])

    def cutoffs(self, seqs: Int64s, arrivals: Int64s, horizon: int) -> Int64s:
        """The `seq` before which an id has expired, for each row.

        Arrival never falls as `seq` rises, so age is a matter of `seq`: it is enough to know the first `seq` of each second.

        Args:
            seqs: ascending.
            arrivals: microseconds, not falling.
            horizon: seconds.
        """
        known, first = self._marks
        seconds = arrivals // SECOND
        begun = np.flatnonzero(np.diff(seconds, prepend=known[-1] if known.size else seconds[0] - 1) > 0)
        oldest = np.searchsorted(known, -(-int(arrivals[0]) // SECOND) - horizon)
        known, first = np.concatenate([known[oldest:], seconds[begun]]), np.concatenate([first[oldest:], seqs[begun]])
        self._marks = (known, first)
        alive = np.searchsorted(known, -(-arrivals // SECOND) - horizon)
        return np.append(first, seqs[-1] + 1)[alive]

    def reach(self, seq: int, cutoff: int) -> None:
        """See that a `seq` can be told from the base in 32 bits; ids from before `cutoff` may be forgotten for that.

        Raises:
            LakewardenError: more than 4 billion events arrived within the horizon.
        """
        if seq - self.base >= 1 << 32:
            self.sweep(cutoff, 0)
        if seq - self.base >= 1 << 32:
            raise LakewardenError(
                f"{seq - self.base:,} events arrived within the horizon of {self.horizon_hours} hours; 4,294,967,296 are the most",
                state="nothing of this micro-batch was written",
                next="set a shorter `dedup_horizon_hours`",
            )

    def sweep(self, cutoff: int, more: int) -> None:
        """Forget ids from before `cutoff` and make room for `more`."""
        live = _count_live(self.table, cutoff - self.base)
        table = np.zeros(max(self._room, int(live / SPARSE), int((live + more) / FULL) + 1), ENTRY)
        base = max(cutoff, self.base)
        _copy_live(self.table, cutoff - self.base, base - self.base, table)
        self.table, self.used, self.base = table, live, base


def deduplicate(rows: pl.DataFrame, release: Release, state: DedupState) -> DedupOutcome:
    """Tell new transactions from those that were seen within the horizon; the state moves on.

    Args:
        rows: in `seq` order, later than every row seen before; `arrival_time` never falls.
        release: its settings give the horizon.
        state: changed in place.

    Raises:
        LakewardenError: the rows aren't later than those that the state has seen.
    """
    return deduplicate_sharded(rows, release, [state])


def deduplicate_sharded(rows: pl.DataFrame, release: Release, states: Sequence[DedupState]) -> DedupOutcome:
    """As `deduplicate`, by as many shards as there are states (`shard_of(hash64(transaction_id))`), with the same result."""
    verdicts, firsts = _fold(rows, release, states)
    lineage = {name: dtype for name, dtype in DUPLICATES.columns.items() if name not in LINEAGE}
    if (verdicts == NEW).all():
        conflicts = rows.clear().with_columns(pl.Series("first_seq", [], pl.Int64))
        return DedupOutcome(rows, pl.DataFrame(schema=lineage), conflicts)
    others = rows.with_columns(pl.Series("first_seq", firsts))
    duplicates = others.filter(pl.Series(verdicts == DUPLICATE)).select(pl.col(name).cast(dtype) for name, dtype in lineage.items())
    return DedupOutcome(rows.filter(pl.Series(verdicts == NEW)), duplicates, others.filter(pl.Series(verdicts == CONFLICT)))


def rebuild_sharded(silver: pl.DataFrame, release: Release, states: Sequence[DedupState]) -> None:
    """As `DedupState.rebuild`, for as many shards as there are states."""
    _fold(silver, release, states)


def _fold(rows: pl.DataFrame, release: Release, states: Sequence[DedupState]) -> tuple[NDArray[np.int8], Int64s]:
    """A verdict on each row, and the `seq` of the first event where it isn't new (else -1)."""
    verdicts, firsts = np.zeros(rows.height, np.int8), np.full(rows.height, -1, np.int64)
    if rows.is_empty():
        return verdicts, firsts
    hours = release.settings.dedup_horizon_hours
    _begin(rows, hours, states)
    keys, contents = hash64(rows["transaction_id"]), content_hash(rows, CONTENT).astype(np.uint32)
    seqs, arrivals = rows["seq"].to_numpy(), rows["arrival_time"].cast(pl.Int64).to_numpy()
    shards = shard_of(keys, len(states))
    for shard, state in enumerate(states):
        picked = np.flatnonzero(shards == shard)
        if picked.size:
            cutoffs = state.cutoffs(seqs[picked], arrivals[picked], hours * 3600)
            state.reach(int(seqs[-1]), int(cutoffs[0]))
            done = 0
            while done < picked.size:
                done, state.used = _fold_ids(
                    (done, picked), (keys, contents, seqs), cutoffs, (state.table, state.base, state.used), (verdicts, firsts)
                )
                if done < picked.size:
                    state.sweep(int(cutoffs[done]), picked.size - done)
    return verdicts, firsts


def _begin(rows: pl.DataFrame, hours: int, states: Sequence[DedupState]) -> None:
    """Refuse rows that a state has seen, rows out of order, and a horizon further back than a state remembers."""
    first, last = int(rows["seq"][0]), int(rows["seq"][-1])
    arrivals = rows["arrival_time"].cast(pl.Int64)
    seen, arrived = max(state.last_seq for state in states), max(state.last_arrival for state in states)
    if first <= seen or arrivals[0] < arrived or not rows["seq"].is_sorted() or not arrivals.is_sorted():
        raise LakewardenError(
            f"rows from seq {first} on can't be folded into a state that has seen seq {seen}",
            state="the state is as it was; nothing was written",
            next="rebuild the state from silver before these rows, and pass rows in seq order with arrival times that never fall",
        )
    for state in states:
        if state.last_seq == NOTHING:
            state.base = first  # history has negative places
        elif hours > state.horizon_hours:
            raise LakewardenError(
                f"a horizon of {hours} hours is asked for, but the state remembers {state.horizon_hours}",
                state="the state is as it was; nothing was written",
                next="rebuild the state from silver under the new release",
            )
        state.horizon_hours, state.last_seq, state.last_arrival = hours, last, int(arrivals[-1])


@lean
def _fold_ids(
    span: tuple[int, Int64s],
    ids: tuple[Int64s, NDArray[np.uint32], Int64s],
    cutoffs: Int64s,
    held: tuple[Structs, int, int],
    out: tuple[NDArray[np.int8], Int64s],
) -> tuple[int, int]:
    """Fold the picked rows, from a place in `picked` on; gives how many are done and how many ids the table holds then."""
    start, picked = span
    keys, contents, seqs = ids
    table, base, used = held
    verdicts, firsts = out
    for j in range(start, picked.size):
        i = picked[j]
        key = keys[i]
        if key == 0:
            continue
        at = (((key >> 32) & 0xFFFFFFFF) * table.size) >> 32
        while table[at].key != 0 and table[at].key != key:
            at += 1
            if at == table.size:
                at = 0
        entry = table[at]
        if entry.key == key and base + entry.seq >= cutoffs[j]:
            verdicts[i] = DUPLICATE if entry.content == contents[i] else CONFLICT
            firsts[i] = base + entry.seq
            continue
        if entry.key == 0:
            if used + 1 > FULL * table.size:
                return j, used
            used += 1
        entry.key = key
        entry.content = contents[i]
        entry.seq = seqs[i] - base
    return picked.size, used


@lean
def _count_live(table: Structs, cutoff: int) -> int:
    live = 0
    for at in range(table.size):
        if table[at].key != 0 and table[at].seq >= cutoff:
            live += 1
    return live


@lean
def _copy_live(table: Structs, cutoff: int, shift: int, into: Structs) -> None:
    for old in range(table.size):
        if table[old].key != 0 and table[old].seq >= cutoff:
            at = (((table[old].key >> 32) & 0xFFFFFFFF) * into.size) >> 32
            while into[at].key != 0:
                at += 1
                if at == into.size:
                    at = 0
            into[at].key = table[old].key
            into[at].content = table[old].content
            into[at].seq = table[old].seq - shift
