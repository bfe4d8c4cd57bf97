"""Keys of the stateful stages: 64-bit hashes that are the same on every machine and under every Polars version.

XXH3 (64 bits, seed 0) over the UTF-8 bytes of a value, as published with xxHash and frozen since 0.8; `polars-hash` computes
it column-wise and the `xxhash` package says the same. A null is 0 everywhere. Hashes travel as int64 (two's complement),
because that is what NumPy and compiled loops mix without surprises.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
import polars as pl
import polars_hash  # noqa: F401  (its import gives expressions the name `nchash`)
from numpy.typing import NDArray

from lakewarden.compiled import inlined, lean

Int64s: TypeAlias = NDArray[np.int64]

_FIRST: Final = -7046029288634856825  # 0x9E3779B185EBCA87, -4417276706812531889 = 0xC2B2AE3D27D4EB4F: xxHash's own primes
_SECOND: Final = -4417276706812531889
_LOW_33: Final = (1 << 31) - 1
_LOW_35: Final = (1 << 35) - 1


def hash_of(values: pl.Expr) -> pl.Expr:
    """As `hash64`, as an expression: to hash many columns at once."""
    return values.nchash.xxh3_64().fill_null(0).reinterpret(signed=True)  # type: ignore[attr-defined, no-any-return]  # a plugin's name


def hash64(values: pl.Series) -> Int64s:
    """XXH3-64 of each value of a String or Binary series; a null gives 0.

    Returns:
        int64 of the series' length, not to be written to.

    Raises:
        polars.exceptions.ComputeError: for any other dtype.
    """
    if values.null_count() == values.len():
        none = np.zeros(values.len(), dtype=np.int64)
        none.setflags(write=False)
        return none
    return values.to_frame("v").select(hash_of(pl.col("v"))).to_series().to_numpy()


@inlined
def mixed(value: int) -> int:
    """Spread every bit of an int64 over all 64 (the finaliser of xxHash); 0 stays 0."""
    value ^= (value >> 33) & _LOW_33
    value *= _SECOND
    value ^= (value >> 29) & _LOW_35
    value *= _FIRST
    return value ^ ((value >> 33) & _LOW_33)


@inlined
def paired(first: int, second: int) -> int:
    """The hash of an ordered pair of hashes, never 0."""
    value = mixed(first * _FIRST + mixed(second ^ _SECOND))
    return value if value != 0 else 1


@lean
def _combine(first: Int64s, second: Int64s, out: Int64s) -> None:
    for i in range(first.size):
        out[i] = paired(first[i], second[i])


@lean
def _accumulate(total: Int64s, values: Int64s, salt: int) -> None:
    for i in range(values.size):
        if values[i] != 0:
            total[i] += mixed(values[i] ^ salt)


def combine(first: Int64s, second: Int64s) -> Int64s:
    """The hashes of ordered pairs: `combine(a, b)` differs from `combine(b, a)`; never 0."""
    out = np.empty(first.size, dtype=np.int64)
    _combine(first, second, out)
    return out


@lean
def _chain(lengths: Int64s, elements: Int64s, out: Int64s) -> None:
    at = 0
    for i in range(lengths.size):
        value = paired(1, lengths[i])
        for _ in range(lengths[i]):
            value = paired(value, elements[at])
            at += 1
        out[i] = value


def content_hash(rows: pl.DataFrame, columns: tuple[str, ...]) -> Int64s:
    """One hash a row over the named columns, whatever their order; a null value counts as an absent one.

    Columns may be String, Binary, List[String], Float64, integers, Boolean, Datetime or Date; those that `rows` lacks count as null.
    A sum of mixed values, each salted with its column's name, so that a column of nulls costs nothing.
    """
    total = np.zeros(rows.height, dtype=np.int64)
    present = {c.name: c for c in rows.get_columns() if c.name in columns and c.null_count() < rows.height}
    texts = [name for name, column in present.items() if column.dtype in (pl.String, pl.Binary)]
    hashes = rows.select(hash_of(pl.col(name)) for name in texts)
    for name, column in present.items():
        values = hashes[name].to_numpy() if name in texts else _value_hash(column)
        _accumulate(total, values, _salt(name))
    return total


@lru_cache(maxsize=256)
def _salt(name: str) -> int:
    return int(hash64(pl.Series([name]))[0])


def _value_hash(values: pl.Series) -> Int64s:
    """A non-zero int64 for each value of a column that isn't text, 0 for null."""
    if isinstance(values.dtype, pl.List):
        lengths = values.list.len().fill_null(0).cast(pl.Int64).to_numpy()
        hashes = np.empty(lengths.size, dtype=np.int64)
        _chain(lengths, hash64(values.filter(lengths > 0).explode()), hashes)
    elif values.dtype == pl.Float64:
        hashes = (values.fill_null(0.0).to_numpy() + 0.0).view(np.int64)  # -0.0 + 0.0 is 0.0
        hashes = combine(hashes, np.ones_like(hashes))
    else:
        hashes = values.cast(pl.Int64).fill_null(0).to_numpy()
        hashes = combine(hashes, np.ones_like(hashes))
    return np.where(values.is_null().to_numpy(), 0, hashes) if values.null_count() else hashes


def shard_of(keys: Int64s, shards: int) -> Int64s:
    """Which of `shards` shards each key belongs to; the same on every machine."""
    return (keys.view(np.uint64) % np.uint64(shards)).astype(np.int64)
