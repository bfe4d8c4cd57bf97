"""What the values of reference data must be: casts from text, and the range of every column."""

from __future__ import annotations

from typing import Final

import polars as pl

EXAMPLES: Final = 5
"""How many offending values an error shows."""

MAX_RATE: Final = 10_000.0
"""A rate is base units for 1 unit; with amounts below 1e12 units, minor units stay within 64 bits."""

Check = tuple[str, str, pl.Expr]
"""(column, the rule in words, the condition); a null value is not checked."""


def _in(name: str, *values: object) -> Check:
    return name, "one of " + ", ".join(map(str, values)), pl.col(name).is_null() | pl.col(name).is_in(list(values))


def _pattern(name: str, rule: str, pattern: str) -> Check:
    return name, rule, pl.col(name).is_null() | pl.col(name).str.contains(pattern)


_COUNTRY = _pattern("country", "two capital letters (ISO 3166-1 alpha-2)", r"\A[A-Z]{2}\z")
_CURRENCY = _pattern("currency", "three capital letters (ISO 4217)", r"\A[A-Z]{3}\z")

CHECKS: Final[dict[str, tuple[Check, ...]]] = {
    "kyc": (_in("customer_risk", "LOW", "MEDIUM", "HIGH"), _COUNTRY),
    "limits": (
        ("single_limit_minor", "0 or more", pl.col("single_limit_minor").fill_null(0) >= 0),
        ("daily_limit_minor", "0 or more", pl.col("daily_limit_minor").fill_null(0) >= 0),
    ),
    "counterparties": (_COUNTRY,),
    "watchlist": (),
    "watchlist_hits": (
        _in("kind", "account", "counterparty"),
        ("score", "between 0 and 1", pl.col("score").is_between(0.0, 1.0)),
    ),
    "fx": (
        _CURRENCY,
        ("rate", f"above 0 and at most {MAX_RATE:,.0f}", pl.col("rate").is_finite() & (pl.col("rate") > 0) & (pl.col("rate") <= MAX_RATE)),
    ),
    "countries": (_COUNTRY, _pattern("region", "capital letters, digits or _", r"\A[A-Z][A-Z0-9_]*\z"), _in("risk", 0, 1, 2)),
    "currencies": (_CURRENCY, _in("exponent", 0, 1, 2, 3, 4)),
    "mcc": (_pattern("mcc_code", "four digits", r"\A[0-9]{4}\z"), _in("risk", 0, 1, 2)),
}
"""Checks by kind."""

_TRUE: Final = ("true", "t", "yes", "y", "1")
_FALSE: Final = ("false", "f", "no", "n", "0")


def cast_column(series: pl.Series, dtype: pl.DataType, pad: int = 0) -> tuple[pl.Series, pl.Series]:
    """`series` as `dtype`, and which values held something that couldn't be read (same length, Boolean).

    Text is trimmed and an empty text is null. Lists come from text split at "|". Whole numbers that stand for a code are
    padded with zeros to `pad` digits.
    """
    if series.dtype == pl.String:
        text = series.str.strip_chars()
        series = text.set(text == "", None)
    elif series.dtype.is_integer() and dtype == pl.String and pad:
        series = series.cast(pl.String).str.zfill(pad)
    had_value = series.is_not_null()
    out = _cast(series, dtype)
    return out.alias(series.name), had_value & out.is_null()


def _cast(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    """`series` as `dtype`, null where a value can't be read."""
    nothing = pl.Series(series.name, [None] * series.len(), dtype=dtype)
    if isinstance(dtype, pl.List):
        lists = series.str.split("|") if series.dtype == pl.String else series.cast(dtype, strict=False)
        return _list_of_text(lists)
    if series.dtype in (dtype, pl.Null):
        return series if series.dtype == dtype else nothing
    if series.dtype.is_nested() or (series.dtype.is_temporal() and dtype.is_numeric()):
        return nothing
    if series.dtype == pl.String and dtype in (pl.Boolean, pl.Date):
        return _truth(series) if dtype == pl.Boolean else series.str.to_date("%Y-%m-%d", strict=False)
    if dtype == pl.Date and not series.dtype.is_temporal():
        return nothing
    if dtype.is_integer() and series.dtype.is_float():
        series = series.set(series != series.floor(), None)
    return series.cast(dtype, strict=False)


def _truth(text: pl.Series) -> pl.Series:
    """True and false as people write them."""
    lower = text.str.to_lowercase()
    return pl.select(pl.when(lower.is_in(_TRUE)).then(True).when(lower.is_in(_FALSE)).then(False).otherwise(None)).to_series()


def _list_of_text(series: pl.Series) -> pl.Series:
    """Each element trimmed, empty ones left out; an empty list for null."""
    trimmed = series.fill_null([]).list.eval(pl.element().str.strip_chars())
    return trimmed.list.eval(pl.element().filter(pl.element() != ""))
