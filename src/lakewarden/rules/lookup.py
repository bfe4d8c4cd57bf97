"""A table prepared once for lookups by key, so that a micro-batch costs what it holds and not what the table holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lakewarden.compiled import compiled
from lakewarden.hashing import Int64s, hash64

_Rows = NDArray[np.int32]
_EMPTY: Final = np.int32(-1)


@compiled
def _fill(hashes: Int64s, slots: _Rows, clashes: _Rows) -> int:
    """Put every row into its slot; rows whose hash stands there already go to `clashes`. Returns how many did."""
    mask = slots.size - 1
    clashed = 0
    for row in range(hashes.size):
        at = hashes[row] & mask
        while slots[at] >= 0 and hashes[slots[at]] != hashes[row]:
            at = (at + 1) & mask
        if slots[at] >= 0:
            clashes[clashed] = row
            clashed += 1
        else:
            slots[at] = row
    return clashed


@compiled
def _find(wanted: Int64s, hashes: Int64s, slots: _Rows, out: _Rows) -> None:
    """The row of each wanted hash, -1 for none."""
    mask = slots.size - 1
    for i in range(wanted.size):
        at = wanted[i] & mask
        while slots[at] >= 0 and hashes[slots[at]] != wanted[i]:
            at = (at + 1) & mask
        out[i] = slots[at]


@dataclass(frozen=True, eq=False)
class Lookup:
    """Rows by a text key that is unique among them; found by 64-bit hash and then compared, so never mistaken.

    Build it with :meth:`build`. 12 to 24 bytes a row besides the table itself.
    """

    table: pl.DataFrame
    key: str
    _hashes: Int64s
    _slots: _Rows
    _clashes: dict[str, int]
    _hash: Callable[[pl.Series], Int64s]

    @classmethod
    def build(cls, table: pl.DataFrame, key: str, hash_of: Callable[[pl.Series], Int64s] = hash64) -> Lookup:
        """Prepare `table` (key distinct, String; rows with a null key are left out), in O(rows).

        Args:
            table: key and values.
            key: name of the key column.
            hash_of: int64 hashes of a String series; another one than the default is for tests.
        """
        rows = table.drop_nulls(key).rechunk()
        hashes = hash_of(rows[key])
        slots = np.full(max(16, 1 << (2 * rows.height).bit_length()), _EMPTY, dtype=np.int32)
        clashes = np.empty(rows.height, dtype=np.int32)
        clashed = clashes[: _fill(hashes, slots, clashes)]
        keys = rows[key].gather(clashed).to_list()
        return cls(rows, key, hashes, slots, dict(zip(keys, clashed.tolist(), strict=True)), hash_of)

    def rows(self, keys: pl.Series) -> pl.Series:
        """The row of the table of each key (UInt32, null where there is none or the key is null), in O(keys)."""
        found = np.empty(keys.len(), dtype=np.int32)
        _find(self._hash(keys), self._hashes, self._slots, found)
        rows = pl.Series("row", found).set(pl.Series(found < 0), None).cast(pl.UInt32)
        same = (self.table[self.key].gather(rows) == keys).fill_null(False)
        if not same.all():
            rows = rows.set(~same, None)
        if self._clashes:
            other = [self._clashes.get(key) for key in keys.to_list()]
            rows = pl.select(pl.coalesce(pl.Series(other, dtype=pl.UInt32), rows)).to_series()
        return rows.alias("row")

    def lacks(self, keys: pl.Series) -> pl.Series:
        """Whether each key is unknown (null for a null key), in O(keys)."""
        return self.rows(keys).is_null().set(keys.is_null(), None).alias(keys.name)

    def gather(self, keys: pl.Series) -> pl.DataFrame:
        """The values of each key, in the order of `keys`: the table's columns but the key; null where the key is unknown."""
        at = self.rows(keys)
        return self.table.drop(self.key).select(pl.all().gather(at))
