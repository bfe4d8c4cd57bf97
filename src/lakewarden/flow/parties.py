"""The loop of the behaviour stage over each party's rows, and over the questions of accounts about what they received.

It runs in `seq` order and changes its `Store` in place. It returns how far it came: short of the end where it needs room
(see `flow.keyed`); called again with that place it goes on as if nothing had happened.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from lakewarden.compiled import inlined, lean
from lakewarden.flow.blocks import block_size
from lakewarden.flow.pairs import fetch_pair, last_seen, pairs_full
from lakewarden.flow.store import AHEAD, ASKED, LOW_32, NEWEST, SLOTS, Store, fetch_record, fetch_slot, record_of, slot_of
from lakewarden.flow.windows import (
    DAY,
    NEW,
    PARTY_DAYS,
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
)
from lakewarden.hashing import paired

UPDATE: Final = 1
ASK: Final = 2
"""What a row does to parties' histories: adds to that of its own party; asks that of its account as a receiver."""


class PartyFeatures(NamedTuple):
    """What the party loop says of each row."""

    party_clock: Int64s
    p_count_1h: Int64s
    p_sum_1h: Int64s
    p_count_24h: Int64s
    p_sum_24h: Int64s
    p_count_7d: Int64s
    p_sum_7d: Int64s
    p_count_30d: Int64s
    p_sum_30d: Int64s
    p_new_accounts_24h: Int64s
    p_delayed_count_1d: Int64s
    p_delayed_count_7d: Int64s
    p_delayed_count_30d: Int64s
    in_count_24h: Int64s
    in_sum_24h: Int64s
    in_count_7d: Int64s
    in_sum_7d: Int64s
    p_since_last_s: Floats
    p_ratio_mean_30d: Floats


@lean
def _turn_party(record: Record, days: Structs, today: int, delay: int) -> None:
    """Move a party's daily windows to today; the delayed ones end `delay` days before it."""
    leave_days(record, days, today - PARTY_DAYS + 1)
    record.today, record.delay = today, delay
    record.count_7d, record.sum_7d, record.count_30d, record.sum_30d = 0, 0, 0, 0
    record.delayed_1d, record.delayed_7d, record.delayed_30d = 0, 0, 0
    for k in range(record.day_count):
        day = days[day_at(record, k)]
        age = today - day.when
        if age < 30:
            record.count_30d += day.count
            record.sum_30d += day.sum
        if age < 7:
            record.count_7d += day.count
            record.sum_7d += day.sum
        if delay <= age < delay + 30:
            record.delayed_30d += day.count
        if delay <= age < delay + 7:
            record.delayed_7d += day.count
        if age == delay:
            record.delayed_1d += day.count


@inlined
def _leave_question(record: Record, amount: int) -> None:
    """Let the oldest row leave the window of the receiver's questions."""
    record.query_count -= 1
    record.query_high -= amount >> 32
    record.query_low -= amount & LOW_32


@lean
def _answer(record: Record, store: Store, clock: int, i: int, out: PartyFeatures) -> None:
    """Write what an account received, as its own party key's windows would hold it now; the key's clock stays.

    The time asked for is that of the account's row, or right behind the key's newest row if that is later: so every
    earlier row is seen, and no row that the key's own advance has let go is missed. It never runs backwards, which is why
    the window can be kept from question to question.
    """
    clock = max(clock, record.clock + 1)
    size = block_size(record.row_class)
    while record.query_count > 0:
        at = record.head + record.count_24h - record.query_count
        row = store.rows[record.rows + (at if at < size else at - size)]
        if row.when >> 2 >= clock - DAY:
            break
        _leave_question(record, row.amount)
    out.in_count_24h[i] = record.query_count
    out.in_sum_24h[i] = joined(record.query_high, record.query_low)
    first = clock // DAY - 6
    count, total = 0, 0
    k = record.day_count - 1
    while k >= 0 and store.days[day_at(record, k)].when >= first:
        day = store.days[day_at(record, k)]
        count += day.count
        total += day.sum
        k -= 1
    out.in_count_7d[i] = count
    out.in_sum_7d[i] = total


@inlined
def _ask(slot: int, receiver: int, store: Store, clock: int, i: int, out: PartyFeatures) -> None:
    """Write what an account received; `slot` is the receiver's record as far as it was known some rows ago."""
    if slot < 0:
        slot = slot_of(store.slots, store.records, receiver)
    if slot >= 0:
        _answer(store.records[slot], store, clock, i, out)
    else:
        out.in_count_24h[i], out.in_sum_24h[i], out.in_count_7d[i], out.in_sum_7d[i] = 0, 0, 0, 0


@inlined
def _tell(record: Record, previous: int, clock: int, i: int, rows: Rows, out: PartyFeatures) -> None:
    """Write what a party's windows hold."""
    out.party_clock[i] = clock
    out.p_count_1h[i] = record.count_1h
    out.p_sum_1h[i] = joined(record.high_1h, record.low_1h)
    out.p_count_24h[i] = record.count_24h
    out.p_sum_24h[i] = joined(record.high_24h, record.low_24h)
    out.p_count_7d[i] = record.count_7d
    out.p_sum_7d[i] = record.sum_7d
    out.p_count_30d[i] = record.count_30d
    out.p_sum_30d[i] = record.sum_30d
    out.p_new_accounts_24h[i] = record.new_24h
    out.p_delayed_count_1d[i] = record.delayed_1d
    out.p_delayed_count_7d[i] = record.delayed_7d
    out.p_delayed_count_30d[i] = record.delayed_30d
    out.p_since_last_s[i] = since(previous, clock)
    out.p_ratio_mean_30d[i] = ratio(record, rows.amount[i], rows.known[i])


@inlined
def _add(record: Record, store: Store, clock: int, amount: int, flags: int) -> None:
    """Add a row to all windows of its party."""
    add_row(record, store.rows, clock, amount, flags)
    record.query_count += 1
    record.query_high += amount >> 32
    record.query_low += amount & LOW_32
    day = open_day(record, store.days, clock // DAY)
    total = ended(day.sum + amount)
    record.sum_7d += total - day.sum
    record.sum_30d += total - day.sum
    day.sum = total
    if record.delay == 0:
        record.delayed_1d += 1
        record.delayed_7d += 1
        record.delayed_30d += 1
    record.clock = clock
    store.meta[NEWEST] = max(store.meta[NEWEST], clock)


@inlined
def _note(place: int, key: int, store: Store) -> None:
    """Make sure of a record's number that was noted, and bring its windows near."""
    slot = store.meta[place]
    if slot >= 0:
        if store.records[slot].key != key:
            store.meta[place] = -1
        fetch_windows(store.records[slot], store.rows, store.days)


@lean
def _look_ahead(first: int, picked: Int64s, roles: Int8s, rows: Rows, store: Store) -> None:
    """Bring near what the turns of the next rows will need, and note the numbers of their records and those they ask."""
    end = min(first + AHEAD, picked.size)
    for j in range(first, end):
        i = picked[j]
        fetch_slot(store.slots, rows.party[i])
        fetch_slot(store.slots, rows.receiver[i])
        fetch_pair(store, paired(rows.party[i], rows.account[i]))
    for j in range(first, end):
        i, k = picked[j], j - first
        store.meta[SLOTS + k] = fetch_record(store.slots, store.records, rows.party[i]) if roles[j] & UPDATE else -1
        store.meta[ASKED + k] = fetch_record(store.slots, store.records, rows.receiver[i]) if roles[j] & ASK else -1
    for j in range(first, end):
        _note(SLOTS + j - first, rows.party[picked[j]], store)
        _note(ASKED + j - first, rows.receiver[picked[j]], store)


@lean
def fold_parties(start: int, picked: Int64s, roles: Int8s, delay: int, clocks: Int64s, rows: Rows, store: Store, out: PartyFeatures) -> int:
    """Fold the picked rows into their parties' histories, say of each what its party's history was, and answer questions.

    Args:
        start: where in `picked` to begin.
        picked: row numbers, ascending.
        roles: for each of `picked`, `UPDATE` and `ASK` added up; a row asks before it updates.
        delay: days until labels are taken as known.
        clocks: each row's account clock.
        rows: the micro-batch.
        store: histories; records are `windows.PARTY`, days `windows.PARTY_DAY`.
        out: written at the picked rows; the party's columns are untouched where the party is null.

    Returns:
        How many of `picked` are done.
    """
    for j in range(start, picked.size):
        i = picked[j]
        ahead = (j - start) % AHEAD
        if ahead == 0:
            _look_ahead(j, picked, roles, rows, store)
        if roles[j] & ASK and rows.account[i] != 0:
            _ask(store.meta[ASKED + ahead], rows.receiver[i], store, clocks[i], i, out)
        if roles[j] & UPDATE == 0 or rows.party[i] == 0:
            continue
        slot = store.meta[SLOTS + ahead]
        if slot < 0:
            slot = record_of(store, rows.party[i])
        if slot < 0 or pairs_full(store, 1):
            return j
        record = store.records[slot]
        previous = record.clock
        clock = max(rows.party_time[i], previous + 1)
        today = clock // DAY
        leave_hour(record, store.rows, clock)
        while record.count_24h > 0 and oldest(record, store.rows).when >> 2 < clock - DAY:
            if record.query_count == record.count_24h:
                _leave_question(record, oldest(record, store.rows).amount)
            leave_day(record, oldest(record, store.rows))
        if today != record.today or delay != record.delay:
            _turn_party(record, store.days, today, delay)
        if not make_room(record, store.rows, store.days, store.meta, today):
            return j
        _tell(record, previous, clock, i, rows, out)
        flags = 0
        if rows.account[i] != 0:
            flags = NEW * is_new(last_seen(store, paired(record.key, rows.account[i]), clock, slot), clock)
        _add(record, store, clock, rows.amount[i], flags)
    return picked.size
