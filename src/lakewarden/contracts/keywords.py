"""What each keyword of a JSON Schema asks of a value, as a Polars expression and in plain English."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import polars as pl

ANNOTATIONS: Final = frozenset(
    {"$schema", "$id", "$comment", "title", "description", "examples", "default", "deprecated", "readOnly", "writeOnly"}
)
"""Keywords that ask nothing of a value."""

_NUMBERS: Final = ("number", "integer")

APPLIES: Final[Mapping[str, tuple[str, ...]]] = {
    "enum": ("string", "number", "integer", "boolean"),
    "const": ("string", "number", "integer", "boolean"),
    "minimum": _NUMBERS,
    "maximum": _NUMBERS,
    "exclusiveMinimum": _NUMBERS,
    "exclusiveMaximum": _NUMBERS,
    "minLength": ("string",),
    "maxLength": ("string",),
    "pattern": ("string",),
    "format": ("string",),
    "minItems": ("array",),
    "maxItems": ("array",),
    "uniqueItems": ("array",),
}
"""The keywords that are compiled, with the types of value that they speak of."""

_EXACT: Final = 2**53
"""Bounds below this compare exactly with any number in a double."""


def compile_keyword(keyword: str, wanted: Any, value: pl.Expr, kind: str) -> tuple[str, pl.Expr]:  # noqa: ANN401
    """What `keyword` asks, in plain English, and an expression that is True where `value` violates it (null for a null).

    Args:
        keyword: one of :data:`APPLIES`.
        wanted: what the schema says for it.
        value: the value under check.
        kind: its JSON type.

    Raises:
        ValueError: `wanted` can't be compiled; the message continues the keyword's name.
    """
    return _COMPILERS[keyword](wanted, value, kind)


def _enum(wanted: Any, value: pl.Expr, kind: str) -> tuple[str, pl.Expr]:  # noqa: ANN401
    if not isinstance(wanted, list):
        raise ValueError("must be a list")
    allowed = [each for each in wanted if _is_of(each, kind)]
    # JSON Schema has 1 equal 1.0; a list of doubles compares so with whole numbers too.
    dtype = {"string": pl.String, "number": pl.Float64, "integer": pl.Float64, "boolean": pl.Boolean}[kind]
    compared = value.cast(pl.Float64) if kind == "integer" else value
    if any(isinstance(each, int) and abs(each) >= _EXACT for each in allowed):
        raise ValueError("holds a number too large to compare exactly")
    shown = ", ".join(map(str, allowed))
    return f"must be one of {shown}", ~compared.is_in(pl.Series(allowed, dtype=dtype).implode())


def _const(wanted: Any, value: pl.Expr, kind: str) -> tuple[str, pl.Expr]:  # noqa: ANN401
    return f"must be {wanted}", _enum([wanted], value, kind)[1]


def _is_of(each: Any, kind: str) -> bool:  # noqa: ANN401
    if kind == "string":
        return isinstance(each, str)
    if kind == "boolean":
        return isinstance(each, bool)
    return isinstance(each, int | float) and not isinstance(each, bool)


def _bound(wanted: Any) -> float:  # noqa: ANN401
    if isinstance(wanted, bool) or not isinstance(wanted, int | float):
        raise ValueError("must be a number")
    if abs(wanted) >= _EXACT:
        raise ValueError(f"must be below {_EXACT} in size, to be compared exactly")
    return wanted


def _count(wanted: Any) -> int:  # noqa: ANN401
    if isinstance(wanted, bool) or not isinstance(wanted, int | float) or wanted != int(wanted) or wanted < 0:
        raise ValueError("must be a whole number, 0 or more")
    return int(wanted)


def _pattern(wanted: Any, value: pl.Expr, kind: str) -> tuple[str, pl.Expr]:  # noqa: ANN401
    if not isinstance(wanted, str):
        raise ValueError("must be a text")
    try:
        pl.Series([""]).str.contains(wanted)
    except pl.exceptions.ComputeError:
        raise ValueError(f"{wanted!r} can't be compiled; look-around and back-references can't") from None
    return f"must match {wanted}", ~value.str.contains(wanted)


def _format(wanted: Any, value: pl.Expr, kind: str) -> tuple[str, pl.Expr]:  # noqa: ANN401
    return "must be an RFC 3339 instant such as 2024-05-31T23:59:59Z", value.is_null()


def _unique(wanted: Any, value: pl.Expr, kind: str) -> tuple[str, pl.Expr]:  # noqa: ANN401
    if not isinstance(wanted, bool):
        raise ValueError("must be true or false")
    return "must hold each item once", (value.list.n_unique() < value.list.len()) if wanted else pl.lit(False)


def _simple(text: str, read: Callable[[Any], float], violates: Callable[[pl.Expr, float], pl.Expr]) -> Callable[..., tuple[str, pl.Expr]]:
    """A keyword that compares the value, or its length, with one number."""

    def compiled(wanted: Any, value: pl.Expr, kind: str) -> tuple[str, pl.Expr]:  # noqa: ANN401
        limit = read(wanted)
        return text.format(limit), violates(value, limit)

    return compiled


_COMPILERS: Final[Mapping[str, Callable[[Any, pl.Expr, str], tuple[str, pl.Expr]]]] = {
    "enum": _enum,
    "const": _const,
    "minimum": _simple("must be at least {}", _bound, lambda value, limit: value < limit),
    "maximum": _simple("must be at most {}", _bound, lambda value, limit: value > limit),
    "exclusiveMinimum": _simple("must be more than {}", _bound, lambda value, limit: value <= limit),
    "exclusiveMaximum": _simple("must be less than {}", _bound, lambda value, limit: value >= limit),
    "minLength": _simple("must have at least {} characters", _count, lambda value, limit: value.str.len_chars() < limit),
    "maxLength": _simple("must have at most {} characters", _count, lambda value, limit: value.str.len_chars() > limit),
    "pattern": _pattern,
    "format": _format,
    "minItems": _simple("must have at least {} items", _count, lambda value, limit: value.list.len() < limit),
    "maxItems": _simple("must have at most {} items", _count, lambda value, limit: value.list.len() > limit),
    "uniqueItems": _unique,
}
