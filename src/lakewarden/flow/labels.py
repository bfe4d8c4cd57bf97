"""What verdicts were known when: confirmed frauds by party and by account, as of any clock.

A label is a verdict on a transaction that became known at `known_time`. At a clock, the verdict that holds is that of the
highest `label_seq` among the labels known by then. So a fraud counts from the time it was confirmed until a later label
clears it, and a row scored in between saw it, also when it is derived again years later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lakewarden.compiled import lean
from lakewarden.flow.store import FULL, LOW_32, put_slot, slot_of
from lakewarden.flow.windows import DAY, Floats, Int64s
from lakewarden.hashing import hash64

Structs: TypeAlias = NDArray[Any]

MEMORY: Final = 45 * DAY
"""How far back (by the time of the fraud) first and last fraud are looked for: 30 days, the longest label delay and a week."""

_NEVER_CLEARED: Final = (1 << 63) - 1
_SUBJECT: Final = np.dtype([("key", "i8"), ("first", "i8"), ("end", "i8"), ("cleared", "i8"), ("cleared_end", "i8")])


class Frauds(NamedTuple):
    """Confirmed frauds of all subjects of one kind, each subject's together.

    `known` is sorted within a subject and `latest` is the newest event time up to there; `event`, sorted too, goes with
    `event_known` and `event_cleared`. `cleared` (sorted within a subject) goes with `cleared_known`: frauds that a later label cleared.
    """

    slots: Int64s
    subjects: Structs
    known: Int64s
    latest: Int64s
    event: Int64s
    event_known: Int64s
    event_cleared: Int64s
    cleared: Int64s
    cleared_known: Int64s


class FraudFeatures(NamedTuple):
    """Frauds known in the day, 7 and 30 days up to a clock; seconds since the first and last fraud, NaN if there is none."""

    days_1: Int64s
    days_7: Int64s
    days_30: Int64s
    since_first: Floats
    since_last: Floats


@dataclass(frozen=True)
class LabelIndex:
    """The labels of one `labels_version`, ready to be looked up. Immutable."""

    parties: Frauds
    accounts: Frauds
    lone: Frauds
    frauds: int

    @classmethod
    def empty(cls) -> LabelIndex:
        """No label known."""
        return cls(_no_frauds(), _no_frauds(), _no_frauds(), 0)

    @classmethod
    def build(cls, labels: pl.DataFrame) -> LabelIndex:
        """Index the rows of the `labels` table up to a version, in any order.

        A label without `transaction_id`, `event_time` or `known_time` is left out: it can't be placed. A label isn't known before the
        transaction's time, nor before an earlier label of the same transaction.
        """
        spells = _spells(labels)
        return cls(_frauds(spells, "party_id"), _frauds(spells, "account_id"), _frauds(_lone(spells), "party_id"), spells.height)

    @property
    def bytes(self) -> int:
        """Size of all arrays."""
        return sum(array.nbytes for array in (*self.parties, *self.accounts, *self.lone))


def _spells(labels: pl.DataFrame) -> pl.DataFrame:
    """One row for each time that a transaction counted as fraud: `event`, `known`, `cleared` in microseconds."""
    placed = labels.drop_nulls(["transaction_id", "event_time", "known_time"])
    frauds = placed.filter("is_fraud").select("transaction_id").unique()
    verdicts = (
        placed.join(frauds, on="transaction_id", how="semi")  # most labels clear what nobody took for a fraud
        .sort("transaction_id", "label_seq")
        .select(
            "transaction_id",
            "party_id",
            "account_id",
            pl.col("is_fraud").fill_null(value=False),
            pl.col("event_time").cast(pl.Int64).alias("event"),
            pl.max_horizontal("known_time", "event_time").cast(pl.Int64).cum_max().over("transaction_id").alias("known"),
        )
    )
    turned = pl.col("is_fraud").ne_missing(pl.col("is_fraud").shift(1).over("transaction_id"))
    following = pl.col("known").shift(-1).over("transaction_id").fill_null(_NEVER_CLEARED)
    return verdicts.filter(turned).with_columns(following.alias("cleared")).filter("is_fraud")


def _lone(spells: pl.DataFrame) -> pl.DataFrame:
    """Frauds that the account's own trouble doesn't explain, for as long as it doesn't.

    A fraud at a party is lone until another fraud of the same account, at another party and within two weeks of it, is known (then it is
    more likely the card than the terminal), or until it is cleared.
    """
    spell = spells.with_row_index("spell")
    others = spell.select("account_id", other_party="party_id", other_event="event", other_known="known")
    explained = (
        spell.drop_nulls("account_id")
        .join(others, on="account_id")
        .filter(pl.col("other_party").ne_missing(pl.col("party_id")), (pl.col("other_event") - pl.col("event")).abs() <= 14 * DAY)
        .group_by("spell")
        .agg(pl.col("other_known").min().alias("explained"))
    )
    ended = spell.join(explained, on="spell", how="left", maintain_order="left").with_columns(
        pl.min_horizontal("cleared", "explained").alias("cleared")
    )
    return ended.filter(pl.col("cleared") > pl.col("known")).select(spells.columns)


def _no_frauds() -> Frauds:
    none = np.zeros(0, np.int64)
    return Frauds(np.zeros(1, np.int64), np.zeros(0, _SUBJECT), *(none for _ in range(7)))


def _frauds(spells: pl.DataFrame, subject: str) -> Frauds:
    rows = spells.drop_nulls(subject)
    if rows.is_empty():
        return _no_frauds()
    rows = rows.with_columns(pl.Series("key", hash64(rows[subject])))
    by_known = rows.sort("key", "known", "event").with_columns(pl.col("event").cum_max().over("key").alias("latest"))
    by_event = rows.sort("key", "event", "known", "cleared")
    cleared = rows.filter(pl.col("cleared") != _NEVER_CLEARED).sort("key", "cleared", "known")
    keys, first, counts = np.unique(by_known["key"].to_numpy(), return_index=True, return_counts=True)
    subjects = np.zeros(keys.size, _SUBJECT)
    subjects["key"], subjects["first"], subjects["end"] = keys, first, first + counts
    subjects["cleared"] = np.searchsorted(cleared["key"].to_numpy(), keys, "left")
    subjects["cleared_end"] = np.searchsorted(cleared["key"].to_numpy(), keys, "right")
    index = np.zeros(int(keys.size / FULL) + 1, np.int64)
    _enter(index, subjects)
    columns = (
        by_known["known"],
        by_known["latest"],
        by_event["event"],
        by_event["known"],
        by_event["cleared"],
        cleared["cleared"],
        cleared["known"],
    )
    return Frauds(index, subjects, *(column.to_numpy().copy() for column in columns))


@lean
def _enter(index: Int64s, subjects: Structs) -> None:
    for slot in range(subjects.size):
        put_slot(index, (subjects[slot].key >> 32) & LOW_32, slot)


@lean
def _up_to(values: Int64s, span: tuple[int, int], limit: int) -> int:
    """The first place in a sorted stretch whose value is above `limit`."""
    low, high = span
    while low < high:
        middle = (low + high) // 2
        if values[middle] <= limit:
            low = middle + 1
        else:
            high = middle
    return low


@lean
def _known_within(frauds: Frauds, slot: int, clock: int, window: int) -> int:
    """Frauds of a subject that became known in `(clock - window, clock]` and hold at `clock`."""
    subject = frauds.subjects[slot]
    span = (subject.first, subject.end)
    count = _up_to(frauds.known, span, clock) - _up_to(frauds.known, span, clock - window)
    at = subject.cleared
    while at < subject.cleared_end and frauds.cleared[at] <= clock:
        if frauds.cleared_known[at] > clock - window:
            count -= 1
        at += 1
    return int(count)


@lean
def _since_first(frauds: Frauds, slot: int, clock: int) -> float:
    """Seconds since the first fraud of the last `MEMORY` that is known and holds; NaN if there is none."""
    subject = frauds.subjects[slot]
    at = _up_to(frauds.event, (subject.first, subject.end), clock - MEMORY - 1)
    while at < subject.end and frauds.event[at] <= clock:
        if frauds.event_known[at] <= clock and frauds.event_cleared[at] > clock:
            return float(clock - frauds.event[at]) / 1e6
        at += 1
    return np.nan


@lean
def _since_last(frauds: Frauds, slot: int, clock: int) -> float:
    """Seconds since the last fraud of the last `MEMORY` that is known and holds; NaN if there is none."""
    subject = frauds.subjects[slot]
    if subject.cleared == subject.cleared_end:
        known = _up_to(frauds.known, (subject.first, subject.end), clock)
        if known == subject.first or frauds.latest[known - 1] < clock - MEMORY:
            return np.nan
        return float(clock - frauds.latest[known - 1]) / 1e6
    at = _up_to(frauds.event, (subject.first, subject.end), clock) - 1
    while at >= subject.first and frauds.event[at] >= clock - MEMORY:
        if frauds.event_known[at] <= clock and frauds.event_cleared[at] > clock:
            return float(clock - frauds.event[at]) / 1e6
        at -= 1
    return np.nan


@lean
def _look_up(keys: Int64s, clocks: Int64s, frauds: Frauds, out: FraudFeatures) -> None:
    for i in range(keys.size):
        out.days_1[i], out.days_7[i], out.days_30[i] = 0, 0, 0
        out.since_first[i], out.since_last[i] = np.nan, np.nan
        slot = slot_of(frauds.slots, frauds.subjects, keys[i]) if keys[i] != 0 else -1
        if slot >= 0:
            out.days_1[i] = _known_within(frauds, slot, clocks[i], DAY)
            out.days_7[i] = _known_within(frauds, slot, clocks[i], 7 * DAY)
            out.days_30[i] = _known_within(frauds, slot, clocks[i], 30 * DAY)
            out.since_first[i] = _since_first(frauds, slot, clocks[i])
            out.since_last[i] = _since_last(frauds, slot, clocks[i])


def look_up(keys: Int64s, clocks: Int64s, frauds: Frauds) -> FraudFeatures:
    """What was known of each key's frauds at each clock (microseconds); nothing of key 0."""
    days_1, days_7, days_30 = (np.empty(keys.size, np.int64) for _ in range(3))
    out = FraudFeatures(days_1, days_7, days_30, np.empty(keys.size), np.empty(keys.size))
    _look_up(keys, clocks, frauds, out)
    return out
