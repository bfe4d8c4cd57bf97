"""Reads plain JSON events straight from their bytes into columns; what isn't plain is left to the exact reader.

One pass over the bytes, no copies: text columns are views into the bodies' own buffers. A row is accepted only where the
scan *proves* what the exact reader would say: strict JSON, known properties of their type, texts without
escapes and in valid UTF-8, numbers whose double is exact (or read later from their text). Everything else, in doubt, is `DOUBT`.
Unknown properties of any shape are passed over here and gathered by :func:`gather_unknown`.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lakewarden.compiled import compiled, inlined
from lakewarden.contracts.rfc3339 import instant
from lakewarden.flow.tokens import Bytes, Ints, boolean, is_null, number, past_any, past_space, put_view, text_end, texts

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


@compiled
def put_lists(items: Ints, offsets: Ints, rows: Ints, data: Bytes, spans: Ints, buffer: int) -> None:
    """Write the texts of each row's array, `spans[2 * row]` its place in `data` and then its size, as views in `items`.

    Its first text is item number `offsets[row]`; an item takes two words.
    """
    end = len(data)
    for row in rows:
        at = spans[2 * row]
        for i in range(spans[2 * row + 1]):
            at = past_space(data, at + 1, end)
            closing = text_end(data, at + 1, end)
            put_view(items, 2 * (offsets[row] + i), data, at + 1, closing - at - 1, buffer)
            at = past_space(data, closing + 1, end)


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
    closing = text_end(data, at + 1, end)
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
        at, whole, _, integer, _ = number(data, at, end)
        words[to] = integer
        return at if whole else -1
    if kind == BOOLEAN:
        at, truth = boolean(data, at, end)
        words[to] = truth
        return at
    if kind != TEXTS or data[at] != 91:
        return -1
    words[to] = at
    at, words[to + 1] = texts(data, at, end)
    return at


@inlined
def _value(
    data: Bytes, at: int, end: int, buffer: int, kind: int, words: Ints, to: int, numbers: NDArray[np.float64], cell: int
) -> tuple[int, int]:
    """Read the value at `at` into `words[to]` or `numbers[cell]`; the place behind it, -1 on doubt, and what it is (HELD, ...)."""
    if data[at] == 110:
        return (at + 4 if is_null(data, at, end) else -1), ABSENT
    if kind <= TIME:
        return _text_value(data, at, end, kind, words, to, buffer), HELD
    if kind != NUMBER:
        return _word_value(data, at, end, kind, words, to), HELD
    first = at
    at, _, exact, _, value = number(data, at, end)
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
        at = text_end(data, at, end) if k < 0 else at + starts[k + 1] - starts[k]
        at = past_space(data, at + 1, end) if at >= 0 else end
        if at >= end or data[at] != 58:
            return DOUBT
        at = past_space(data, at + 1, end)
        if at >= end:
            return DOUBT
        if k < 0 or kept[k]:
            verdict = PLAIN_AND_MORE
        if k < 0:
            at = past_any(data, at, end)
        else:
            follows[before], before = k, k  # a key that comes twice: the last wins, as everywhere
            to = bases[k] + row * _WORDS[kinds[k]]
            at, held = _value(data, at, end, buffer, kinds[k], words, to, numbers, slots[k] * height + row)
            present[k * height + row] = held
        at = past_space(data, at, end) if at >= 0 else end
        if at < end and data[at] == 125:
            return verdict if past_space(data, at + 1, end) == end else DOUBT
        if at >= end or data[at] != 44:
            return DOUBT
        at = past_space(data, at + 1, end)
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
        at = past_space(data, end - size, end)
        if at >= end or data[at] != 123:
            continue
        at = past_space(data, at + 1, end)
        if at < end and data[at] == 125:
            verdicts[row] = PLAIN if past_space(data, at + 1, end) == end else DOUBT
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
        at = past_space(data, at, end)
        mark = 123
        while data[at] != 125:
            at = past_space(data, at + 1, end)
            k, name = _find_key(data, at + 1, end, names, starts, -1), at
            at = past_space(data, text_end(data, at + 1, end) + 1, end)
            at = past_any(data, past_space(data, at + 1, end), end)
            if k < 0 or kept[k]:
                text[to] = mark
                mark, to = 44, to + 1
                for j in range(name, at):
                    text[to] = data[j]
                    to += 1
            at = past_space(data, at, end)
        text[to] = 125
        to += 1
        ends[i] = to
