"""The words of JSON, read from bytes: each reader gives the place behind what it read, or -1 where it isn't plainly that.

"Plainly" leaves out what needs more than a look: escapes in texts, whatever isn't strict JSON or valid UTF-8.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lakewarden.compiled import compiled, inlined

Bytes: TypeAlias = NDArray[Any]
Ints: TypeAlias = NDArray[np.int64]


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
def past_space(data: Bytes, at: int, end: int) -> int:
    """The place behind white space, if any stands at `at`."""
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
def text_end(data: Bytes, at: int, end: int) -> int:
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
def is_null(data: Bytes, at: int, end: int) -> bool:
    """Whether `null` stands at `at`."""
    return _is_literal(data, at, end, 110, 117, 108, 108)


@inlined
def boolean(data: Bytes, at: int, end: int) -> tuple[int, bool]:
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
def number(data: Bytes, at: int, end: int) -> tuple[int, bool, bool, int, float]:
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
def texts(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """The place behind a JSON array of plain texts and how many there are; place -1 when it is something else."""
    at = past_space(data, at + 1, end)
    if at < end and data[at] == 93:
        return at + 1, 0
    count = 0
    while at < end and data[at] == 34:
        at = text_end(data, at + 1, end)
        if at < 0:
            return -1, 0
        count += 1
        at = past_space(data, at + 1, end)
        if at >= end:
            return -1, 0
        if data[at] == 93:
            return at + 1, count
        if data[at] != 44:
            return -1, 0
        at = past_space(data, at + 1, end)
    return -1, 0


@compiled
def past_any(data: Bytes, at: int, end: int) -> int:
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
