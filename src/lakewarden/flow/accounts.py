"""The loop of the behaviour stage over each account's own rows.

It runs in `seq` order and changes its `Store` in place. It returns how far it came: short of the end where it needs room
(see `flow.keyed`); called again with that place it goes on as if nothing had happened.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from lakewarden.compiled import inlined, lean
from lakewarden.flow.pairs import fetch_pair, last_seen, pairs_full
from lakewarden.flow.store import AHEAD, MOST_PAIRS, NEWEST, SLOTS, Store, fetch_record, fetch_slot, record_of
from lakewarden.flow.usual import forget, learn, ratio_usual
from lakewarden.flow.windows import (
    ACCOUNT_DAYS,
    DAY,
    NEAR,
    NEW,
    UNKNOWN,
    Floats,
    Int8s,
    Int64s,
    Record,
    Rows,
    Structs,
    add_row,
    day_at,
    ended,
    fetch_windows,
    is_new,
    joined,
    leave_day,
    leave_days,
    leave_hour,
    make_room,
    oldest,
    open_day,
    ratio,
    since,
    units_of,
)
from lakewarden.hashing import paired

COUNTRY: Final = 0x1F0B
DEVICE: Final = 0x2E17
PARTY: Final = 0x3D29
"""What tells the kinds of pairs of one account apart."""


class AccountFeatures(NamedTuple):
    """What the account loop says of each row; a float is NaN and a flag `UNKNOWN` where the answer is null."""

    clock: Int64s
    a_count_1h: Int64s
    a_sum_1h: Int64s
    a_count_24h: Int64s
    a_sum_24h: Int64s
    a_count_7d: Int64s
    a_sum_7d: Int64s
    a_count_30d: Int64s
    a_sum_30d: Int64s
    a_new_parties_24h: Int64s
    a_near_threshold_24h: Int64s
    a_near_threshold_7d: Int64s
    a_since_last_s: Floats
    a_ratio_mean_30d: Floats
    a_zscore_30d: Floats
    a_usual_sum: Int64s
    a_usual_count: Int64s
    a_ratio_usual: Floats
    a_unusual_count: Int64s
    a_since_unusual_s: Floats
    a_unusual_ratio_max: Floats
    a_new_country: Int8s
    a_new_device: Int8s
    a_new_party: Int8s


@inlined
def _zscore(record: Record, amount: int, known: int) -> float:
    """How many standard deviations of 30 days an amount lies from their mean, by whole units; NaN under three rows or without spread.

    (n x - sum) / sqrt(n squares - sum²): exact in integers until the product reaches 2**62, which takes thousands of the
    largest amounts; from there on in floats, where a spread that can't be told from rounding counts as none.
    """
    n, units, squares = int(record.count_30d), record.units_30d, record.squares_30d
    if known == 0 or n < 3:
        return np.nan
    product = float(n) * float(squares)
    if product < 4.6e18:
        spread = float(n * squares - units * units)
    else:
        spread = product - float(units) * float(units)
        if spread < 1e-12 * product:
            return np.nan
    if spread <= 0.0:
        return np.nan
    return float(n * units_of(amount) - units) / float(np.sqrt(spread))


@lean
def _turn_account(record: Record, days: Structs, today: int) -> None:
    """Move an account's daily windows to today."""
    leave_days(record, days, today - ACCOUNT_DAYS + 1)
    record.today = today
    record.count_7d, record.sum_7d, record.near_7d = 0, 0, 0
    record.count_30d, record.sum_30d, record.units_30d, record.squares_30d = 0, 0, 0, 0
    for k in range(record.day_count):
        day = days[day_at(record, k)]
        record.count_30d += day.count
        record.sum_30d += day.sum
        record.units_30d += day.units
        record.squares_30d += day.squares
        if day.when >= today - 6:
            record.count_7d += day.count
            record.sum_7d += day.sum
            record.near_7d += day.near


@inlined
def _new_country(store: Store, slot: int, value: int, clock: int) -> int:
    """Whether an account is in a country it was not in for 30 days; the present one is kept in its record, the others as pairs."""
    record = store.records[slot]
    if value == 0:
        return UNKNOWN
    if value == record.country:
        last = record.country_clock
    else:
        if record.country != 0:
            last_seen(store, paired(record.key ^ COUNTRY, record.country), record.country_clock, slot)
        last = last_seen(store, paired(record.key ^ COUNTRY, value), clock, slot)
        record.country = value
    record.country_clock = clock
    return is_new(last, clock)


@inlined
def _new_device(store: Store, slot: int, value: int, clock: int) -> int:
    """As `_new_country`, of devices."""
    record = store.records[slot]
    if value == 0:
        return UNKNOWN
    if value == record.device:
        last = record.device_clock
    else:
        if record.device != 0:
            last_seen(store, paired(record.key ^ DEVICE, record.device), record.device_clock, slot)
        last = last_seen(store, paired(record.key ^ DEVICE, value), clock, slot)
        record.device = value
    record.device_clock = clock
    return is_new(last, clock)


@inlined
def _tell(record: Record, previous: int, clock: int, i: int, rows: Rows, out: AccountFeatures) -> None:
    """Write what an account's windows hold."""
    out.clock[i] = clock
    out.a_count_1h[i] = record.count_1h
    out.a_sum_1h[i] = joined(record.high_1h, record.low_1h)
    out.a_count_24h[i] = record.count_24h
    out.a_sum_24h[i] = joined(record.high_24h, record.low_24h)
    out.a_count_7d[i] = record.count_7d
    out.a_sum_7d[i] = record.sum_7d
    out.a_count_30d[i] = record.count_30d
    out.a_sum_30d[i] = record.sum_30d
    out.a_new_parties_24h[i] = record.new_24h
    out.a_near_threshold_24h[i] = record.near_24h
    out.a_near_threshold_7d[i] = record.near_7d
    out.a_since_last_s[i] = since(previous, clock)
    out.a_ratio_mean_30d[i] = ratio(record, rows.amount[i], rows.known[i])
    out.a_zscore_30d[i] = _zscore(record, rows.amount[i], rows.known[i])


@inlined
def _usual(record: Record, previous: int, clock: int, i: int, rows: Rows, out: AccountFeatures) -> None:
    """Say what was usual before a row, and learn from it. A rebuilt row brings what was usual before it: others may lack."""
    if rows.usual_count.size > 0:
        record.usual_sum, record.usual_count = rows.usual_sum[i], rows.usual_count[i]
        record.unusual_count, record.unusual_clock = rows.unusual_count[i], rows.unusual_clock[i]
        record.unusual_max = rows.unusual_max[i]
    else:
        forget(record, previous, clock)
    ratio_of = ratio_usual(record, rows.amount[i], rows.known[i])
    out.a_usual_sum[i] = record.usual_sum
    out.a_usual_count[i] = record.usual_count
    out.a_ratio_usual[i] = ratio_of
    out.a_unusual_count[i] = record.unusual_count
    if record.unusual_count > 0:
        out.a_since_unusual_s[i] = float(clock - record.unusual_clock) / 1e6
        out.a_unusual_ratio_max[i] = record.unusual_max
    learn(record, rows.amount[i], rows.known[i], ratio_of, clock)


@inlined
def _add(record: Record, store: Store, clock: int, i: int, rows: Rows, flags: int) -> None:
    """Add a row to all windows of its account."""
    amount = rows.amount[i]
    near = 1 if flags & NEAR else 0
    add_row(record, store.rows, clock, amount, flags)
    day = open_day(record, store.days, clock // DAY)
    if day.count == 1:
        day.units, day.squares, day.near = 0, 0, 0
    units = units_of(amount)
    total, squares = ended(day.sum + amount), ended(day.squares + units * units)
    record.sum_7d += total - day.sum
    record.sum_30d += total - day.sum
    record.units_30d += units
    record.squares_30d += squares - day.squares
    record.near_24h += near
    record.near_7d += near
    day.sum, day.squares = total, squares
    day.units += units
    day.near += near
    record.clock = clock
    store.meta[NEWEST] = max(store.meta[NEWEST], clock)


@lean
def _look_ahead(first: int, picked: Int64s, rows: Rows, store: Store) -> None:
    """Bring near what the turns of the next rows will need, and note their records' numbers."""
    end = min(first + AHEAD, picked.size)
    for j in range(first, end):
        i = picked[j]
        fetch_slot(store.slots, rows.account[i])
        fetch_pair(store, paired(rows.account[i] ^ PARTY, rows.party[i]))
    for j in range(first, end):
        store.meta[SLOTS + j - first] = fetch_record(store.slots, store.records, rows.account[picked[j]])
    for j in range(first, end):
        slot = store.meta[SLOTS + j - first]
        if slot >= 0:
            if store.records[slot].key != rows.account[picked[j]]:
                store.meta[SLOTS + j - first] = -1
            fetch_windows(store.records[slot], store.rows, store.days)


@lean
def fold_accounts(start: int, picked: Int64s, rows: Rows, store: Store, out: AccountFeatures) -> int:
    """Fold the picked rows into their accounts' histories, and say of each what its account's history was before it.

    Args:
        start: where in `picked` to begin.
        picked: row numbers, ascending.
        rows: the micro-batch.
        store: histories; records are `windows.ACCOUNT`, days `windows.ACCOUNT_DAY`.
        out: written at the picked rows; untouched where the account is null.

    Returns:
        How many of `picked` are done.
    """
    for j in range(start, picked.size):
        i = picked[j]
        if (j - start) % AHEAD == 0:
            _look_ahead(j, picked, rows, store)
        if rows.account[i] == 0:
            continue
        slot = store.meta[SLOTS + (j - start) % AHEAD]
        if slot < 0:
            slot = record_of(store, rows.account[i])
        if slot < 0 or pairs_full(store, MOST_PAIRS):
            return j
        record = store.records[slot]
        previous = record.clock
        clock = max(rows.time[i], previous + 1)
        today = clock // DAY
        leave_hour(record, store.rows, clock)
        while record.count_24h > 0 and oldest(record, store.rows).when >> 2 < clock - DAY:
            if oldest(record, store.rows).when & NEAR:
                record.near_24h -= 1
            leave_day(record, oldest(record, store.rows))
        if today != record.today:
            _turn_account(record, store.days, today)
        if not make_room(record, store.rows, store.days, store.meta, today):
            return j
        _tell(record, previous, clock, i, rows, out)
        _usual(record, previous, clock, i, rows, out)
        out.a_new_country[i] = _new_country(store, slot, rows.country[i], clock)
        out.a_new_device[i] = _new_device(store, slot, rows.device[i], clock)
        flags = NEAR if rows.near[i] == 1 else 0
        out.a_new_party[i] = UNKNOWN
        if rows.party[i] != 0:
            out.a_new_party[i] = is_new(last_seen(store, paired(record.key ^ PARTY, rows.party[i]), clock, slot), clock)
            flags |= NEW * out.a_new_party[i]
        _add(record, store, clock, i, rows, flags)
    return picked.size
