"""The windows of one key: exact rows for 1 h and 24 h, daily sums for 7 d and 30 d, in compiled loops.

Recent rows lie in a ring of the key's own, oldest first; a row leaves the ring when the key's own clock is 24 hours past it.
Daily sums lie in a second ring, one entry a day that has rows. Both rings are blocks of `flow.keyed`.

Sums can't overflow: those over rows are kept as two halves (upper bits and lower 32) and end at the int64 limit when they
are read; a day's sum ends at `DAY_LIMIT`, 2**57, so that any 38 days add up to less than 2**63.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lakewarden.compiled import inlined, lean
from lakewarden.flow.ahead import fetch
from lakewarden.flow.blocks import block_size, larger_block
from lakewarden.flow.store import DAY_BLOCKS, LOW_32, NEED, NEED_DAYS, NEED_ROWS, NEVER, ROW_BLOCKS

Record: TypeAlias = Any
Structs: TypeAlias = NDArray[Any]
Int64s: TypeAlias = NDArray[np.int64]
Int8s: TypeAlias = NDArray[np.int8]
Floats: TypeAlias = NDArray[np.float64]

HOUR: Final = 3_600_000_000
DAY: Final = 86_400_000_000
MONTH: Final = 30 * DAY
"""Microseconds."""

ACCOUNT_DAYS: Final = 30
PARTY_DAYS: Final = 37
"""Days of daily sums that are kept: 30, and for parties 7 more for the longest label delay."""

DAY_LIMIT: Final = 1 << 57
"""Where one row's amount and one day's sum end, in minor units (1.4e15 euros)."""

MINOR_PER_UNIT: Final = 100
UNIT_LIMIT: Final = 1_000_000
"""Squares are taken of whole hundreds of minor units, at most a million."""

UNKNOWN: Final = -1
"""A yes-or-no that can't be answered: the value is null."""

NEW: Final = 1
NEAR: Final = 2
"""Flags of a recent row: its party (or account) was new; its amount was just under the reporting threshold."""

_WINDOWS: Final = [
    *[(name, "i8") for name in ("key", "clock", "high_1h", "low_1h", "high_24h", "low_24h", "sum_7d", "sum_30d")],
    *[(name, "i4") for name in ("count_1h", "count_24h", "new_24h", "count_7d", "count_30d", "today", "rows", "head", "days")],
    *[(name, "i1") for name in ("row_class", "day_class", "day_head", "day_count")],
]
ACCOUNT: Final = np.dtype(
    [
        *_WINDOWS,
        *[(name, "i8") for name in ("units_30d", "squares_30d", "country", "country_clock", "device", "device_clock")],
        *[(name, "i8") for name in ("usual_sum", "usual_count", "unusual_count", "unusual_clock")],
        ("unusual_max", "f8"),
        *[(name, "i4") for name in ("near_24h", "near_7d")],
    ],
    align=True,
)
PARTY: Final = np.dtype(
    [
        *_WINDOWS,
        *[(name, "i8") for name in ("query_high", "query_low")],
        *[(name, "i4") for name in ("query_count", "delayed_1d", "delayed_7d", "delayed_30d", "delay")],
    ],
    align=True,
)
ACCOUNT_DAY: Final = np.dtype(
    [("when", "i4"), ("count", "i4"), ("sum", "i8"), ("units", "i8"), ("squares", "i8"), ("near", "i4")], align=True
)
PARTY_DAY: Final = np.dtype([("when", "i4"), ("count", "i4"), ("sum", "i8")], align=True)


class Rows(NamedTuple):
    """The rows of a micro-batch as the loops see them; hashes are 0 for null.

    `time` and `party_time` are what the clocks of account and party start from, microseconds: the event time, or the clocks
    themselves when a state is rebuilt. `amount` is in minor units of the base currency, 0 where `known` is 0. The last five are
    what each row said of its account's usual amount (see `flow.usual`) when a state is rebuilt, and empty otherwise.
    """

    time: Int64s
    party_time: Int64s
    account: Int64s
    party: Int64s
    receiver: Int64s
    country: Int64s
    device: Int64s
    amount: Int64s
    known: Int8s
    near: Int8s
    usual_sum: Int64s
    usual_count: Int64s
    unusual_count: Int64s
    unusual_clock: Int64s
    unusual_max: Floats


@inlined
def joined(high: int, low: int) -> int:
    """A sum from its halves, ended at the limits of int64."""
    high += low >> 32
    if high > 0x7FFFFFFF:
        return 0x7FFFFFFFFFFFFFFF
    if high < -0x80000000:
        return -0x7FFFFFFFFFFFFFFF
    return (high << 32) | (low & LOW_32)


@inlined
def ended(total: int) -> int:
    """A day's sum, ended at `DAY_LIMIT` on either side."""
    return max(-DAY_LIMIT, min(DAY_LIMIT, total))


@inlined
def units_of(amount: int) -> int:
    """What an amount counts for in mean and deviation: whole hundreds of minor units, 0 to a million."""
    return min(max(amount, 0) // MINOR_PER_UNIT, UNIT_LIMIT)


@inlined
def leave_hour(record: Record, rows: Structs, clock: int) -> None:
    """Let rows older than an hour leave the window of an hour. Run it before `leave_day`."""
    size = block_size(record.row_class)
    while record.count_1h > 0:
        at = record.head + record.count_24h - record.count_1h
        if at >= size:
            at -= size
        row = rows[record.rows + at]
        if row.when >> 2 >= clock - HOUR:
            break
        record.count_1h -= 1
        record.high_1h -= row.amount >> 32
        record.low_1h -= row.amount & LOW_32


@inlined
def oldest(record: Record, rows: Structs) -> Record:
    """The oldest row in the ring, which must hold one."""
    return rows[record.rows + record.head]


@inlined
def leave_day(record: Record, row: Record) -> None:
    """Let the oldest row leave the window of 24 hours and the ring."""
    record.count_24h -= 1
    record.high_24h -= row.amount >> 32
    record.low_24h -= row.amount & LOW_32
    if row.when & NEW:
        record.new_24h -= 1
    record.head += 1
    if record.head == block_size(record.row_class):
        record.head = 0


@inlined
def add_row(record: Record, rows: Structs, clock: int, amount: int, flags: int) -> None:
    """Append a row to the ring and to both short windows; there must be room."""
    size = block_size(record.row_class)
    at = record.head + record.count_24h
    if at >= size:
        at -= size
    row = rows[record.rows + at]
    row.when = clock * 4 + flags
    row.amount = amount
    record.count_1h += 1
    record.high_1h += amount >> 32
    record.low_1h += amount & LOW_32
    record.count_24h += 1
    record.high_24h += amount >> 32
    record.low_24h += amount & LOW_32
    if flags & NEW:
        record.new_24h += 1


@inlined
def day_at(record: Record, k: int) -> int:
    """Where the k-th oldest day of a key lies."""
    at: int = record.day_head + k
    if at >= block_size(record.day_class):
        at -= block_size(record.day_class)
    at += record.days
    return at


@inlined
def fetch_windows(record: Record, rows: Structs, days: Structs) -> None:
    """Bring near where a key's oldest, its next and its hour's oldest rows lie, and its newest day."""
    size = block_size(record.row_class)
    following = record.head + record.count_24h
    hour = following - record.count_1h
    fetch(rows, record.rows + record.head, 0)
    fetch(rows, record.rows + (hour if hour < size else hour - size), 0)
    fetch(rows, record.rows + (following if following < size else following - size), 0)
    fetch(days, day_at(record, record.day_count - 1), 0)


@lean
def leave_days(record: Record, days: Structs, first: int) -> None:
    """Forget days before `first`."""
    while record.day_count > 0 and days[day_at(record, 0)].when < first:
        record.day_count -= 1
        record.day_head += 1
        if record.day_head == block_size(record.day_class):
            record.day_head = 0


@lean
def make_room(record: Record, rows: Structs, days: Structs, meta: Int64s, today: int) -> bool:
    """See that one more row and one more day fit into the key's rings; False: `meta` says what is missing."""
    if record.count_24h == block_size(record.row_class):
        start = larger_block(rows, meta, ROW_BLOCKS, (record.rows, record.row_class), (record.head, record.count_24h))
        if start < 0:
            meta[NEED] = NEED_ROWS
            return False
        record.rows, record.head, record.row_class = start, 0, record.row_class + 1
    count = record.day_count
    if count == block_size(record.day_class) and (count == 0 or days[day_at(record, count - 1)].when != today):
        start = larger_block(days, meta, DAY_BLOCKS, (record.days, record.day_class), (record.day_head, count))
        if start < 0:
            meta[NEED] = NEED_DAYS
            return False
        record.days, record.day_head, record.day_class = start, 0, record.day_class + 1
    return True


@inlined
def open_day(record: Record, days: Structs, today: int) -> Record:
    """Today's sums, begun if there are none yet; counts the row that comes with it."""
    if record.day_count == 0 or days[day_at(record, record.day_count - 1)].when != today:
        record.day_count += 1
        day = days[day_at(record, record.day_count - 1)]
        day.when, day.count, day.sum = today, 0, 0
    day = days[day_at(record, record.day_count - 1)]
    day.count += 1
    record.count_7d += 1
    record.count_30d += 1
    return day


@inlined
def since(previous: int, clock: int) -> float:
    """Seconds since a key's previous row; NaN if it has none within 30 days."""
    if previous == NEVER or clock - previous > MONTH:
        return np.nan
    return (clock - previous) / 1e6


@inlined
def ratio(record: Record, amount: int, known: int) -> float:
    """The amount over the mean of 30 days; NaN where there is no such mean, or it isn't above zero."""
    if known == 0 or record.count_30d == 0 or record.sum_30d <= 0:
        return np.nan
    return float(amount) / (float(record.sum_30d) / float(record.count_30d))


@inlined
def is_new(last: int, clock: int) -> int:
    """1 unless it was last seen within 30 days."""
    return 1 if last == NEVER or clock - last > MONTH else 0
