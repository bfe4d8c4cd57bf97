"""Says where a body stops being JSON, in words that don't depend on a parser's version (they are stored and compared)."""

from __future__ import annotations

from typing import Final

import numpy as np

from lakewarden.compiled import compiled
from lakewarden.flow.tokens import Bytes

DEEPEST: Final = 1024
"""Deeper nesting than this is refused, as the parser does."""

_VALUE, _KEY, _COLON, _NEXT, _DONE, _VALUE_OR_END, _KEY_OR_END = range(7)


@compiled
def _past_string(data: Bytes, at: int) -> int:
    """Behind the string whose quote is at `at`; when it breaks off, minus the place of the fault, minus one."""
    at += 1
    while at < len(data) and data[at] != 34:
        if data[at] < 32:
            return -at - 1
        if data[at] == 92:
            at += 1
            if at >= len(data):
                break
            escape = data[at]
            if escape == 117:
                for i in range(at + 1, at + 5):
                    if i >= len(data):
                        return -len(data) - 1
                    digit = data[i] | 32
                    if not (48 <= data[i] <= 57 or 97 <= digit <= 102):
                        return -i - 1
                at += 4
            elif escape not in (34, 92, 47, 98, 102, 110, 114, 116):
                return -at - 1
        at += 1
    return at + 1 if at < len(data) else -len(data) - 1


@compiled
def _past_digits(data: Bytes, at: int) -> int:
    """Behind a run of at least one digit, or minus its place, minus one."""
    first = at
    while at < len(data) and 48 <= data[at] <= 57:
        at += 1
    return at if at > first else -at - 1


@compiled
def _past_number(data: Bytes, at: int) -> int:
    if data[at] == 45:
        at += 1
    first = at
    at = _past_digits(data, at)
    if at > first + 1 and data[first] == 48:
        return -first - 2
    if 0 <= at < len(data) and data[at] == 46:
        at = _past_digits(data, at + 1)
    if 0 <= at < len(data) and (data[at] | 32) == 101:
        at += 1
        if at < len(data) and (data[at] == 43 or data[at] == 45):
            at += 1
        at = _past_digits(data, at)
    return at


@compiled
def _past_word(data: Bytes, at: int, word: Bytes) -> int:
    for i in range(len(word)):
        if at + i >= len(data) or data[at + i] != word[i]:
            return -(at + i) - 1
    return at + len(word)


_TRUE: Final = np.frombuffer(b"true", dtype=np.uint8)
_FALSE: Final = np.frombuffer(b"false", dtype=np.uint8)
_NULL: Final = np.frombuffer(b"null", dtype=np.uint8)


@compiled
def _past_scalar(data: Bytes, at: int) -> int:
    byte = data[at]
    if byte == 34:
        return _past_string(data, at)
    if byte == 45 or 48 <= byte <= 57:
        return _past_number(data, at)
    if byte == 116:
        return _past_word(data, at, _TRUE)
    if byte == 102:
        return _past_word(data, at, _FALSE)
    return _past_word(data, at, _NULL) if byte == 110 else -at - 1


@compiled
def _closes(byte: int, opened: int) -> bool:
    return bool(byte == opened + 2)  # `{` and `}`, `[` and `]` are two apart


@compiled
def _first_fault(data: Bytes, opened: Bytes) -> int:
    """The place of the first byte that no JSON text can have there (the length: it ends too early); -1: none; -2: too deep.

    `opened` has room for the brackets that are open at once, DEEPEST of them.
    """
    depth, state, at = 0, _VALUE, 0
    while True:
        while at < len(data) and (data[at] == 32 or data[at] == 10 or data[at] == 13 or data[at] == 9):
            at += 1
        if at >= len(data):
            return -1 if state == _DONE else len(data)
        byte = data[at]
        ends = state in (_VALUE_OR_END, _KEY_OR_END, _NEXT) and depth > 0 and _closes(byte, opened[depth - 1])
        if ends:
            depth, at = depth - 1, at + 1
            state = _NEXT if depth else _DONE
        elif state in (_VALUE, _VALUE_OR_END) and byte in (123, 91):
            if depth == DEEPEST:
                return -2
            opened[depth] = byte
            depth, at = depth + 1, at + 1
            state = _KEY_OR_END if byte == 123 else _VALUE_OR_END
        elif state in (_VALUE, _VALUE_OR_END):
            at = _past_scalar(data, at)
            state = _NEXT if depth else _DONE
        elif state in (_KEY, _KEY_OR_END) and byte == 34:
            at, state = _past_string(data, at), _COLON
        elif state == _COLON and byte == 58:
            at, state = at + 1, _VALUE
        elif state == _NEXT and byte == 44:
            at, state = at + 1, (_KEY if opened[depth - 1] == 123 else _VALUE)
        else:
            return at
        if at < 0:
            return -at - 1


def explain(body: bytes) -> str:
    """Why `body` is no JSON text that can be read, in one short sentence with the place of the fault."""
    if not body.strip(b" \t\r\n"):
        return "malformed JSON: the body is empty"
    if body.startswith(b"\xef\xbb\xbf"):
        return "malformed JSON: a byte order mark stands before the event"
    try:
        body.decode()
    except UnicodeDecodeError as bad:
        return f"malformed JSON: not UTF-8 at byte {bad.start}"
    return _place(body, _first_fault(np.frombuffer(body, dtype=np.uint8), np.zeros(DEEPEST, dtype=np.uint8)))


def _place(body: bytes, fault: int) -> str:
    if fault == -2:
        return f"malformed JSON: nested more than {DEEPEST:,} levels deep"
    if fault == -1:
        return "malformed JSON: a number is too large for a double, or an escape is half of a surrogate pair"
    if fault == len(body):
        return f"malformed JSON: it ends too early, after {fault:,} bytes"
    return f"malformed JSON at byte {fault:,}"
