"""Reads plain JSON events straight from their bytes into columns; what isn't plain is left to the exact reader.

One pass over the bytes, no copies: text columns are views into the bodies' own buffers. A row is accepted only where the
scan *proves* what the exact reader would say: strict JSON, known properties of their type, texts without
escapes and in valid UTF-8, numbers whose double is exact (or read later from their text). Everything else, in doubt, is `DOUBT`.
Unknown properties of any shape are passed over here and gathered by :func:`gather_unknown`.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lakewarden.compiled import compiled, inlined
from lakewarden.contracts.rfc3339 import instant

Bytes: TypeAlias = NDArray[Any]
Ints: TypeAlias = NDArray[np.int64]
Flags: TypeAlias = NDArray[np.bool_]

TEXT: Final = 0
TIME: Final = 1
NUMBER: Final = 2
INTEGER: Final = 3
BOOLEAN: Final = 4
TEXTS: Final = 5
OTHER: Final = 6

DOUBT: Final = 0
PLAIN: Final = 1
PLAIN_AND_MORE: Final = 2
"""Verdict on a row: left to the exact reader; read; read, and it holds properties that are kept as JSON."""


WORDS: Final = (2, 3, 2, 1, 1, 2, 0)
"""Words that a row takes, by kind."""

_WORDS: Final = np.array(WORDS, dtype=np.int64)

ABSENT: Final = 0
HELD: Final = 1
FAR: Final = 2
"""What `Columns.present` says."""


class Keys(NamedTuple):
    """The properties to look for: `names[starts[k]:starts[k + 1]]` is the key, `slots` its place among those of its kind."""

    names: Bytes
    starts: Ints
    kinds: Ints
    slots: Ints
    kept: Flags


class Columns(NamedTuple):
    """Where a scan writes.

    `words` holds, from `bases[k]` on, the rows of property k: a text an Arrow string view (two words), a time its view and its
    microseconds (three), a number's text where it is read later (two), an integer or boolean itself (one), a list of texts
    where it begins in its buffer and how many there are (two). `numbers` holds doubles, a run of rows for each slot.
    `present` is, by property and row: nothing, a value, or a number that must be read from its text.
    """

    bases: Ints
    words: Ints
    numbers: NDArray[np.float64]
    present: Bytes


@inlined
def put_view(words: Ints, to: int, data: Bytes, start: int, size: int, buffer: int) -> None:
    """Write `data[start:start + size]` as an Arrow string view to `words[to]` and the next (inline up to 12 bytes)."""
    low, high = np.int64(size), np.int64(0)
    if size <= 12:
        for i in range(min(size, 4)):
            low |= np.int64(data[start + i]) << (32 + 8 * i)
        for i in range(4, size):
            high |= np.int64(data[start + i]) << (8 * (i - 4))
    else:
        for i in range(4):
            low |= np.int64(data[start + i]) << (32 + 8 * i)
        high = np.int64(buffer) | (np.int64(start) << 32)
    words[to] = low
    words[to + 1] = high


@compiled
def put_texts(words: Ints, to: Ints, data: Bytes, offsets: Ints, buffer: int) -> None:
    """Write text i of `data` (its bytes end at `offsets[i + 1]`) as a view to `words[to[i]]`, into buffer number `buffer`."""
    for i in range(len(to)):
        put_view(words, to[i], data, offsets[i], offsets[i + 1] - offsets[i], buffer)


@inlined
def _past_space(data: Bytes, at: int, end: int) -> int:
    while at < end and (data[at] == 32 or data[at] == 10 or data[at] == 13 or data[at] == 9):
        at += 1
    return at


@compiled
def _past_character(data: Bytes, at: int, end: int) -> int:
    """The place behind the multi-byte UTF-8 character at `at`; -1 when it is invalid (Unicode, table 3-7)."""
    lead = data[at]
    if 0xC2 <= lead <= 0xDF:
        more, low, high = 1, 0x80, 0xBF
    elif 0xE0 <= lead <= 0xEF:
        more, low, high = 2, (0xA0 if lead == 0xE0 else 0x80), (0x9F if lead == 0xED else 0xBF)
    elif 0xF0 <= lead <= 0xF4:
        more, low, high = 3, (0x90 if lead == 0xF0 else 0x80), (0x8F if lead == 0xF4 else 0xBF)
    else:
        return -1
    if at + more >= end or data[at + 1] < low or data[at + 1] > high:
        return -1
    for i in range(2, more + 1):
        if data[at + i] < 0x80 or data[at + i] > 0xBF:
            return -1
    return at + more + 1


@inlined
def _text_end(data: Bytes, at: int, end: int) -> int:
    """Where the closing quote of the text that begins at `at` stands; -1 on an escape, a control character, bad UTF-8."""
    while at < end:
        byte = data[at]
        if byte == 34:
            return at
        if byte >= 0x80:
            at = _past_character(data, at, end)
            if at < 0:
                return -1
        elif byte < 32 or byte == 92:
            return -1
        else:
            at += 1
    return -1


@inlined
def _is_literal(data: Bytes, at: int, end: int, first: int, second: int, third: int, fourth: int) -> bool:
    if at + 4 > end:
        return False
    return bool(data[at] == first and data[at + 1] == second and data[at + 2] == third and data[at + 3] == fourth)


@inlined
def _is_null(data: Bytes, at: int, end: int) -> bool:
    return _is_literal(data, at, end, 110, 117, 108, 108)


@inlined
def _boolean(data: Bytes, at: int, end: int) -> tuple[int, bool]:
    """The place behind `true` or `false` and which it is; place -1 when it is neither."""
    if _is_literal(data, at, end, 116, 114, 117, 101):
        return at + 4, True
    if at < end and data[at] == 102 and _is_literal(data, at + 1, end, 97, 108, 115, 101):
        return at + 5, False
    return -1, False


_POWERS: Final = np.array([10.0**e for e in range(23)])
"""Powers of ten that a double holds exactly."""

_BEYOND: Final = 1_000_000
"""An exponent that stands for one not worth reading."""


@inlined
def _digits(data: Bytes, at: int, end: int, digits: int, count: int) -> tuple[int, int, int]:
    """Read digits behind `count` of them that spell `digits`: place behind them, what the first 18 spell, how many there are."""
    while at < end and 48 <= data[at] <= 57:
        if count < 18:
            digits = digits * 10 + (data[at] - np.int64(48))
        count, at = count + 1, at + 1
    return at, digits, count


@inlined
def _exponent(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """The place behind the exponent whose sign or digits begin at `at`, -1 when it has none, and what it says."""
    negative = at < end and data[at] == 45
    if at < end and data[at] in (43, 45):
        at += 1
    first = at
    at, exponent, count = _digits(data, at, end, 0, 0)
    if count > 18:
        exponent = _BEYOND  # zeros may stand before it: whoever reads the number from its text sees to that
    return at if at > first else -1, -exponent if negative else exponent


@inlined
def _number(data: Bytes, at: int, end: int) -> tuple[int, bool, bool, int, float]:
    """Read a JSON number: place behind it (-1: none), is it an integer of <= 18 digits, is the double exact, integer, double.

    The double is exact when the digits fit 53 bits and the power of ten is at most 22: one correctly rounded operation.
    """
    negative = data[at] == 45
    if negative:
        at += 1
    first, scale, whole = at, 0, True
    at, digits, count = _digits(data, at, end, 0, 0)
    if at == first or (data[first] == 48 and at - first > 1):
        return -1, False, False, 0, 0.0
    if at < end and data[at] == 46:
        before = at + 1
        at, digits, count = _digits(data, before, end, digits, count)
        whole, scale = False, before - at
        if at == before:
            return -1, False, False, 0, 0.0
    if at < end and data[at] in (101, 69):
        at, exponent = _exponent(data, at + 1, end)
        whole, scale = False, scale + exponent
        if at < 0:
            return -1, False, False, 0, 0.0
    exact = count <= 18 and digits < 9_007_199_254_740_992 and -22 <= scale <= 22
    value = 0.0
    if exact:
        value = digits / _POWERS[-scale] if scale < 0 else digits * _POWERS[scale]
    if negative:
        digits, value = -digits, 0.0 - value
    return at, whole and count <= 18, bool(exact), digits, value


@compiled
def _texts(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """The place behind a JSON array of plain texts and how many there are; place -1 when it is something else."""
    at = _past_space(data, at + 1, end)
    if at < end and data[at] == 93:
        return at + 1, 0
    count = 0
    while at < end and data[at] == 34:
        at = _text_end(data, at + 1, end)
        if at < 0:
            return -1, 0
        count += 1
        at = _past_space(data, at + 1, end)
        if at >= end:
            return -1, 0
        if data[at] == 93:
            return at + 1, count
        if data[at] != 44:
            return -1, 0
        at = _past_space(data, at + 1, end)
    return -1, 0


@compiled
def put_lists(items: Ints, offsets: Ints, rows: Ints, data: Bytes, spans: Ints, buffer: int) -> None:
    """Write the texts of each row's array, `spans[2 * row]` its place in `data` and then its size, as views in `items`.

    Its first text is item number `offsets[row]`; an item takes two words.
    """
    end = len(data)
    for row in rows:
        at = spans[2 * row]
        for i in range(spans[2 * row + 1]):
            at = _past_space(data, at + 1, end)
            closing = _text_end(data, at + 1, end)
            put_view(items, 2 * (offsets[row] + i), data, at + 1, closing - at - 1, buffer)
            at = _past_space(data, closing + 1, end)


@compiled
def _past_any(data: Bytes, at: int, end: int) -> int:
    """The place behind the value at `at`, if it is one at all (its grammar is not checked here); -1 when it has no end."""
    depth = 0
    while at < end:
        byte = data[at]
        if byte == 34:
            at += 1
            while at < end and data[at] != 34:
                at += 2 if data[at] == 92 else 1
            if at >= end:
                return -1
        elif byte in (123, 91):
            depth += 1
        elif byte in (125, 93):
            if depth == 0:
                return at
            depth -= 1
        elif byte == 44 and depth == 0:
            return at
        at += 1
        if depth == 0 and byte in (34, 125, 93):
            return at
    return -1


@inlined
def _is_key(data: Bytes, at: int, end: int, names: Bytes, start: int, stop: int) -> bool:
    size = stop - start
    if at + size >= end or data[at + size] != 34:
        return False
    same = 0
    while same < size and data[at + same] == names[start + same]:
        same += 1
    return bool(same == size)


@inlined
def _find_key(data: Bytes, at: int, end: int, names: Bytes, starts: Ints, guess: int) -> int:
    """Which key begins at `at` (behind its quote), tried in the order in which the events so far had them; -1: unknown."""
    if guess >= 0 and _is_key(data, at, end, names, starts[guess], starts[guess + 1]):
        return guess
    for k in range(len(starts) - 1):
        if _is_key(data, at, end, names, starts[k], starts[k + 1]):
            return k
    return -1


@inlined
def _text_value(data: Bytes, at: int, end: int, kind: int, words: Ints, to: int, buffer: int) -> int:
    """Write the text, or time, at `at` to `words[to]`; the place behind it, -1 on doubt."""
    if data[at] != 34:
        return -1
    closing = _text_end(data, at + 1, end)
    if closing < 0:
        return -1
    put_view(words, to, data, at + 1, closing - at - 1, buffer)
    if kind == TIME:
        words[to + 2] = instant(data, at + 1, closing)
    return closing + 1


@compiled
def _word_value(data: Bytes, at: int, end: int, kind: int, words: Ints, to: int) -> int:
    """Write the integer, boolean or list of texts at `at` to `words[to]`; the place behind it, -1 on doubt."""
    if kind == INTEGER:
        at, whole, _, integer, _ = _number(data, at, end)
        words[to] = integer
        return at if whole else -1
    if kind == BOOLEAN:
        at, truth = _boolean(data, at, end)
        words[to] = truth
        return at
    if kind != TEXTS or data[at] != 91:
        return -1
    words[to] = at
    at, words[to + 1] = _texts(data, at, end)
    return at


@inlined
def _value(
    data: Bytes, at: int, end: int, buffer: int, kind: int, words: Ints, to: int, numbers: NDArray[np.float64], cell: int
) -> tuple[int, int]:
    """Read the value at `at` into `words[to]` or `numbers[cell]`; the place behind it, -1 on doubt, and what it is (HELD, ...)."""
    if data[at] == 110:
        return (at + 4 if _is_null(data, at, end) else -1), ABSENT
    if kind <= TIME:
        return _text_value(data, at, end, kind, words, to, buffer), HELD
    if kind != NUMBER:
        return _word_value(data, at, end, kind, words, to), HELD
    first = at
    at, _, exact, _, value = _number(data, at, end)
    if at < 0 or exact:
        numbers[cell] = value
        return at, HELD
    put_view(words, to, data, first, at - first, buffer)
    return at, FAR


@compiled
def _members(
    data: Bytes,
    at: int,
    end: int,
    buffer: int,
    row: int,
    height: int,
    names: Bytes,
    starts: Ints,
    kinds: Ints,
    slots: Ints,
    kept: Flags,
    bases: Ints,
    words: Ints,
    numbers: NDArray[np.float64],
    present: Bytes,
    follows: Ints,
) -> int:
    """Read the members of the object whose first key's quote is at `at`; the verdict on the row."""
    verdict, before = PLAIN, len(kinds)
    while at < end and data[at] == 34:
        at += 1
        k = _find_key(data, at, end, names, starts, follows[before])
        at = _text_end(data, at, end) if k < 0 else at + starts[k + 1] - starts[k]
        at = _past_space(data, at + 1, end) if at >= 0 else end
        if at >= end or data[at] != 58:
            return DOUBT
        at = _past_space(data, at + 1, end)
        if at >= end:
            return DOUBT
        if k < 0 or kept[k]:
            verdict = PLAIN_AND_MORE
        if k < 0:
            at = _past_any(data, at, end)
        else:
            follows[before], before = k, k  # a key that comes twice: the last wins, as everywhere
            to = bases[k] + row * _WORDS[kinds[k]]
            at, held = _value(data, at, end, buffer, kinds[k], words, to, numbers, slots[k] * height + row)
            present[k * height + row] = held
        at = _past_space(data, at, end) if at >= 0 else end
        if at < end and data[at] == 125:
            return verdict if _past_space(data, at + 1, end) == end else DOUBT
        if at >= end or data[at] != 44:
            return DOUBT
        at = _past_space(data, at + 1, end)
    return DOUBT


@compiled
def scan(
    data: Bytes,
    buffer: int,
    rows: Ints,
    bodies: Ints,
    largest: int,
    verdicts: Bytes,
    names: Bytes,
    starts: Ints,
    kinds: Ints,
    slots: Ints,
    kept: Flags,
    bases: Ints,
    words: Ints,
    numbers: NDArray[np.float64],
    present: Bytes,
    follows: Ints,
) -> None:
    """Read `rows`, whose bodies lie in `data`, and write each one's columns and verdict.

    Args:
        data: bytes of the buffer that the rows' views point into.
        buffer: its number.
        rows: row numbers.
        bodies: Arrow binary views of all bodies, two words each.
        largest: a longer body is left to the exact reader.
        verdicts: one byte a row, written for `rows`.
        names, starts, kinds, slots, kept: see :class:`Keys`.
        bases, words, numbers, present: see :class:`Columns`.
        follows: room for one number a key and one more, all -1.
    """
    for row in rows:
        size = bodies[2 * row] & 0xFFFFFFFF
        if size > largest:
            continue
        end = (bodies[2 * row + 1] >> 32) + size
        at = _past_space(data, end - size, end)
        if at >= end or data[at] != 123:
            continue
        at = _past_space(data, at + 1, end)
        if at < end and data[at] == 125:
            verdicts[row] = PLAIN if _past_space(data, at + 1, end) == end else DOUBT
            continue
        verdicts[row] = _members(
            data, at, end, buffer, row, len(verdicts), names, starts, kinds, slots, kept, bases, words, numbers, present, follows
        )


@compiled
def gather_unknown(text: Bytes, ends: Ints, rows: Ints, bodies: Ints, data: Bytes, names: Bytes, starts: Ints, kept: Flags) -> None:
    """Write, for each of `rows` (each scanned as `PLAIN_AND_MORE` from `data`), its kept members as one JSON object.

    Members stand as they were written, in their order, so the text is JSON only if their values are; `ends[i]` is where
    the text of `rows[i]` ends. `text` must have room for the rows' bodies.
    """
    to = 0
    for i in range(len(rows)):
        at = bodies[2 * rows[i] + 1] >> 32
        end = at + (bodies[2 * rows[i]] & 0xFFFFFFFF)
        at = _past_space(data, at, end)
        mark = 123
        while data[at] != 125:
            at = _past_space(data, at + 1, end)
            k, name = _find_key(data, at + 1, end, names, starts, -1), at
            at = _past_space(data, _text_end(data, at + 1, end) + 1, end)
            at = _past_any(data, _past_space(data, at + 1, end), end)
            if k < 0 or kept[k]:
                text[to] = mark
                mark, to = 44, to + 1
                for j in range(name, at):
                    text[to] = data[j]
                    to += 1
            at = _past_space(data, at, end)
        text[to] = 125
        to += 1
        ends[i] = to
