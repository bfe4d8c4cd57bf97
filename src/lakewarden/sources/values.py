"""Columns of any source as values of the contract. What can't be read stays as its text, so that decode rejects it with a reason."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import orjson
import polars as pl

from lakewarden.errors import LakewardenError

EPOCHS: Final = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1, "epoch_ns": -1_000}
"""Formats for times counted from 1970: microseconds a unit (negative: units a microsecond)."""

_EARLIEST: Final = -62_135_596_800_000_000
_LATEST: Final = 253_402_300_799_999_999
_ZONELESS: Final = r"^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d+)?)$"
_JSON_NUMBER: Final = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$"
_EXACT_FLOAT: Final = 2.0**53
_TRUE: Final = ("1", "true", "yes")
_FALSE: Final = ("0", "false", "no")


def text(values: pl.Series) -> pl.Series:
    """Values as text: whole numbers without a fraction ("596", never "596.0"), times in RFC 3339, NaN as null, nested ones as JSON."""
    dtype = values.dtype
    if dtype.is_float():
        return _number_text(values)
    if isinstance(dtype, pl.Datetime):
        return instant(values)
    if isinstance(dtype, pl.Duration):
        return values.dt.to_string()
    if dtype == pl.Binary:
        return decoded(values)
    return json_text(values) if dtype.is_nested() else values.cast(pl.String)


def number(values: pl.Series, scale: float | None = None) -> pl.Series:
    """Values as numbers, times `scale`. Text keeps its own digits unless it's scaled; text that is no number stays text."""
    if values.dtype.is_numeric() and scale is None:
        return values
    if values.dtype.is_numeric():
        return _scaled(values.cast(pl.Float64), scale or 1.0)
    texts = text(values).str.strip_chars()
    read = texts.cast(pl.Float64, strict=False)
    read = read.set(~read.is_finite().fill_null(False), None)
    if scale is not None:
        texts = pl.select(pl.coalesce(_scaled(read, scale).cast(pl.String), texts)).to_series()
        return texts.rename(values.name)
    spelled = texts.str.contains(_JSON_NUMBER).fill_null(False)
    return texts.zip_with(spelled | read.is_null(), read.cast(pl.String)).rename(values.name)


def number_json(values: pl.Series) -> pl.Series:
    """The JSON of what `number` gave as text: a number where it is one, a string elsewhere."""
    return values.zip_with(values.str.contains(_JSON_NUMBER).fill_null(False), string_json(values))


def string_json(values: pl.Series) -> pl.Series:
    """Text as JSON strings, null where null."""
    encoded = pl.DataFrame({"": values}).select(pl.struct("").struct.json_encode()).to_series()
    return encoded.str.strip_prefix('{"":').str.strip_suffix("}").set(values.is_null(), None).rename(values.name)


def instant(values: pl.Series, format: str | None = None, timezone: str = "UTC") -> pl.Series:
    """Times as RFC 3339 text in UTC; what can't be read, or isn't between the years 1 and 9999, stays as its own text.

    Args:
        values: Datetime or Date; numbers with an epoch `format`; or text.
        format: of text, in strftime's letters, or one of `EPOCHS`. Without it ISO 8601 is read.
        timezone: of times that don't name one. A local time that was skipped (summer time) can't be read, of a doubled one the
            earlier counts.
    """
    if format in EPOCHS:
        micros = _epoch(values, EPOCHS[format])
        return _rfc3339(micros, fallback=text(values))
    if values.dtype == pl.Date or isinstance(values.dtype, pl.Datetime):
        times = values.cast(pl.Datetime("us")) if values.dtype == pl.Date else values.dt.cast_time_unit("us")
        zone = times.dtype.time_zone if isinstance(times.dtype, pl.Datetime) else None
        spelled = times.to_physical().cast(pl.String)
        safe = times.set(~times.to_physical().is_between(_EARLIEST, _LATEST).fill_null(False), None)
        fallback = safe.dt.to_string("%Y-%m-%dT%H:%M:%S%.f")
        fallback = fallback.zip_with(fallback.is_not_null(), spelled)
        return _rfc3339(_utc(safe, timezone) if zone is None else safe, fallback)
    texts = text(values)
    if format is not None:
        read = texts.str.to_datetime(format, time_unit="us", strict=False)
        zoned = isinstance(read.dtype, pl.Datetime) and read.dtype.time_zone is not None
        return _rfc3339(read if zoned else _utc(read, timezone), fallback=texts)
    if timezone == "UTC":
        return texts.str.replace(_ZONELESS, "${1}T${2}Z")
    local = texts.str.replace(_ZONELESS, "${1}T${2}").set(~texts.str.contains(_ZONELESS).fill_null(False), None)
    return _rfc3339(_utc(local.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False), timezone), fallback=texts)


def flags(values: pl.Series, separator: str = ";") -> pl.Series:
    """Lists of text: a list column as it is, text split at `separator` (or, where it starts with `[`, read as a JSON list)."""
    if isinstance(values.dtype, pl.List):
        return values.list.eval(pl.element().cast(pl.String))
    texts = text(values)
    listed = texts.str.starts_with("[").fill_null(False)
    split = texts.str.split(separator).list.eval(pl.element().str.strip_chars()).list.eval(pl.element().filter(pl.element() != ""))
    if not listed.any():
        return split.rename(values.name)
    rows = [_listed(value) if is_json else parts for value, is_json, parts in zip(texts, listed, split.to_list(), strict=True)]
    return pl.Series(values.name, rows, dtype=pl.List(pl.String))


def truth(values: pl.Series) -> pl.Series:
    """Yes and no: booleans, 0 and 1, true and false, yes and no in any case; null where it's none of them."""
    if values.dtype == pl.Boolean:
        return values
    spelled = text(values).str.strip_chars().str.to_lowercase()
    known = spelled.is_in([*_TRUE, *_FALSE]).fill_null(False)
    return spelled.is_in(list(_TRUE)).set(~known, None).rename(values.name)


def decoded(values: pl.Series) -> pl.Series:
    """Bytes as text where they are UTF-8, else `hex:` and their digits."""
    try:
        return values.cast(pl.String)
    except pl.exceptions.PolarsError:
        return pl.Series(values.name, [None if value is None else _spelled(value) for value in values], dtype=pl.String)


def json_text(values: pl.Series) -> pl.Series:
    """Nested values as JSON text, null where null."""
    options = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
    rows = [None if row is None else orjson.dumps(row, default=_plain, option=options).decode() for row in values.to_list()]
    return pl.Series(values.name, rows, dtype=pl.String)


def timezone_known(name: str) -> bool:
    """Say whether a time zone's name can be used."""
    try:
        pl.Series([datetime(2020, 1, 1)]).dt.replace_time_zone(name)
    except (pl.exceptions.PolarsError, LakewardenError, ValueError):
        return False
    return True


def _number_text(values: pl.Series) -> pl.Series:
    whole = ((values == values.floor()) & (values.abs() < _EXACT_FLOAT)).fill_null(False)
    integers = values.set(~whole, None).cast(pl.Int64).cast(pl.String)
    return integers.zip_with(whole, values.fill_nan(None).cast(pl.String))


def _scaled(values: pl.Series, scale: float) -> pl.Series:
    """Divide where the scale is one over a whole number: 5716 x 0.01 is 57.16 then, not 57.160000000000004."""
    divisor = round(1 / scale) if abs(scale) < 1 else 0
    if not divisor or abs(1 / divisor - scale) > 1e-15:
        return values * scale
    quotients = values.to_numpy() / divisor  # NumPy divides; Polars multiplies with a rounded reciprocal
    return pl.Series(values.name, quotients).set(values.is_null(), None)


def _utc(times: pl.Series, timezone: str) -> pl.Series:
    return times.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")


def _rfc3339(times: pl.Series, fallback: pl.Series) -> pl.Series:
    safe = times.set(~times.to_physical().is_between(_EARLIEST, _LATEST).fill_null(False), None)
    utc = safe if safe.dtype.time_zone in (None, "UTC") else safe.dt.convert_time_zone("UTC")  # type: ignore[attr-defined]
    spelled = utc.dt.to_string("%Y-%m-%dT%H:%M:%S%.fZ")
    return spelled.zip_with(spelled.is_not_null(), fallback).rename(fallback.name)


def _epoch(values: pl.Series, unit: int) -> pl.Series:
    """Microseconds since 1970 as a Datetime; null where it's no number in range."""
    if values.dtype.is_integer() or values.dtype == pl.String:
        whole = values.cast(pl.Int64, strict=False)
        limit = _LATEST // unit if unit > 0 else 2**63 - 1
        whole = whole.set(~whole.is_between(-limit, limit).fill_null(False), None)
        micros = whole * unit if unit > 0 else whole // -unit
        if values.dtype != pl.String or micros.null_count() == values.null_count():
            return micros.cast(pl.Datetime("us"))
    else:
        micros = pl.Series(values.name, [None] * len(values), dtype=pl.Int64)
    broken = values.cast(pl.Float64, strict=False)
    broken = (broken * unit if unit > 0 else broken / -unit).round()
    broken = broken.set(~broken.is_between(_EARLIEST, _LATEST).fill_null(False), None).cast(pl.Int64)
    return micros.zip_with(micros.is_not_null(), broken).cast(pl.Datetime("us"))


def _listed(value: str) -> list[str] | None:
    try:
        parts = orjson.loads(value)
    except orjson.JSONDecodeError:
        return [value]
    return [part if isinstance(part, str) else orjson.dumps(part).decode() for part in parts]


def _spelled(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return "hex:" + value.hex()


def _plain(value: object) -> str:
    return _spelled(value) if isinstance(value, bytes) else str(value)
