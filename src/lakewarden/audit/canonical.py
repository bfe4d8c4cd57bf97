"""One way to write data as bytes: canonical JSON by RFC 8785, so that anyone can compute a receipt's hash again, in any language."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

import rfc8785

from lakewarden.errors import LakeError

EXACT: Final = 2**53 - 1
"""The largest whole number that every reader of JSON takes exactly; a larger one is written as decimal text."""


def plain(value: object) -> Any:  # noqa: ANN401  # JSON has no narrower type
    """`value` as canonical JSON can hold it, once and for all: what comes out is what reading its JSON gives.

    Text that is no Unicode is escaped. Times become ISO 8601 (those with a zone in UTC), whole numbers beyond 2^53 - 1 decimal text, whole
    floats integers, a number that isn't finite null, dataclasses and mappings objects with text for keys, other sequences lists, anything
    else its text.
    """
    result: Any
    match value:
        case None | bool():
            result = value
        case str():
            result = _text(value)
        case int():
            result = value if abs(value) <= EXACT else str(value)
        case float():
            result = _number(value)
        case datetime():
            result = (value.astimezone(UTC) if value.tzinfo else value).isoformat()
        case date():
            result = value.isoformat()
        case Mapping():
            result = {_text(str(key)): plain(item) for key, item in value.items()}
        case Sequence() | set() | frozenset() if not isinstance(value, bytes | bytearray):
            result = [plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            result = plain({field.name: getattr(value, field.name) for field in dataclasses.fields(value)})
        case _:
            result = _text(str(value))
    return result


def _text(value: str) -> str:
    return value.encode("utf-8", "backslashreplace").decode()


def _number(value: float) -> float | int | str | None:
    if not math.isfinite(value):
        return None
    if value.is_integer():
        return int(value) if abs(value) <= EXACT else str(int(value))
    return value


def canonical(value: object) -> bytes:
    """Canonical JSON of what `plain` gives: sorted keys, no spaces, one form for every number and text.

    Raises:
        LakeError: it holds something that canonical JSON has no form for, such as a text that is no Unicode.
    """
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]  # checked there
    except (ValueError, RecursionError) as error:
        raise LakeError(f"this can't be written as canonical JSON: {error}", state="nothing was written") from error
