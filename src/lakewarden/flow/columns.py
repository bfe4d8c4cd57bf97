"""Puts decoded columns together: what the scanner wrote for most rows, what the exact reader gave for the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from lakewarden.contracts.rfc3339 import UNREADABLE
from lakewarden.flow.arrow import as_arrow, bits
from lakewarden.flow.plan import DecodePlan, Field
from lakewarden.flow.scanner import (
    ABSENT,
    BOOLEAN,
    DOUBT,
    FAR,
    HELD,
    NUMBER,
    OTHER,
    TEXT,
    TEXTS,
    TIME,
    WORDS,
    Columns,
    Flags,
    put_lists,
)
from lakewarden.flow.tokens import Bytes, Ints, put_texts

_ARROW: Final = {TIME: pa.timestamp("us", "UTC")}


class Assembly:
    """The columns of one decode under way.

    Args:
        plan: the properties.
        height: number of rows.
        buffers: what the bodies' views point into; text columns share them.
    """

    def __init__(self, plan: DecodePlan, height: int, buffers: Sequence[pa.Buffer]) -> None:
        self.plan = plan
        self.height = height
        self._buffers = list(buffers)
        self._texts: dict[str, pa.Buffer] = {}
        self._lists: dict[str, tuple[Ints, pl.Series]] = {}
        self._other: dict[str, pl.Series] = {}
        ends = np.cumsum([0, *(WORDS[field.kind] * height for field in plan.fields)], dtype=np.int64)
        numbers = sum(field.kind == NUMBER for field in plan.fields)
        self.out = Columns(
            bases=ends[:-1],
            words=np.zeros(int(ends[-1]), dtype=np.int64),
            numbers=np.zeros(numbers * height, dtype=np.float64),
            present=np.zeros(len(plan.fields) * height, dtype=np.uint8),
        )

    def _words(self, k: int) -> Ints:
        """The words of property k, shape (rows, words a row)."""
        count = WORDS[self.plan.fields[k].kind]
        return self.out.words[self.out.bases[k] :][: count * self.height].reshape(self.height, count)

    def _numbers(self, field: Field) -> NDArray[np.float64]:
        return self.out.numbers[field.slot * self.height : (field.slot + 1) * self.height]

    def _present(self, k: int) -> Bytes:
        return self.out.present[k * self.height : (k + 1) * self.height]

    def read_far_numbers(self, judged: Bytes) -> None:
        """Read the numbers that the scanner left as text, correctly rounded; a row with one beyond a double is in doubt."""
        for k, field in enumerate(self.plan.fields):
            if field.kind != NUMBER:
                continue
            at = np.flatnonzero(self._present(k) == FAR)
            if len(at) == 0:
                continue
            texts = _view_series(np.ascontiguousarray(self._words(k)[at]), self._buffers, None)
            values = texts.cast(pl.Float64, strict=False).fill_null(float("inf")).to_numpy() + 0.0
            self._numbers(field)[at] = values
            judged[at[~np.isfinite(values)]] = DOUBT

    def put(self, rows: Ints, columns: Mapping[str, pl.Series]) -> None:
        """Replace what was written for `rows` by what the exact reader gave for them (one entry of each column a row)."""
        for k, field in enumerate(self.plan.fields):
            values = columns[field.name + "_text" if field.kind == TIME else field.name]
            held = values.is_not_null().to_numpy()
            self._present(k)[rows] = np.where(held, HELD, ABSENT)
            if field.kind == TEXTS:
                self._words(k)[rows, 1] = 0
            if field.kind == OTHER:
                self._other[field.name] = self._spread(rows, values)
            elif held.any():
                self._put(k, field, rows[held], values.drop_nulls())
            if field.kind == TIME:
                self._words(k)[rows, 2] = columns[field.name].to_physical().fill_null(UNREADABLE).to_numpy()

    def _put(self, k: int, field: Field, at: Ints, values: pl.Series) -> None:
        if field.kind in (TEXT, TIME):
            held, data, offsets = _plain(values)
            self._texts[field.name] = held
            put_texts(self.out.words, self.out.bases[k] + at * WORDS[field.kind], data, offsets, len(self._buffers))
        elif field.kind == TEXTS:
            self._words(k)[at, 1] = values.list.len().to_numpy()
            self._lists[field.name] = (at, values)
        elif field.kind == NUMBER:
            self._numbers(field)[at] = values.to_numpy()
        else:
            self._words(k)[at, 0] = values.to_numpy()

    def _spread(self, rows: Ints, values: pl.Series) -> pl.Series:
        """`values` at `rows`, null elsewhere."""
        at = np.full(self.height, -1, dtype=np.int64)
        at[rows] = np.arange(len(rows))
        numbers = pl.Series(at)
        return values.gather(numbers.set(numbers < 0, None))

    def series(self, bodies: Ints) -> list[pl.Series]:
        """The columns: each property, the text of each time, and nulls for what the contract has no property for.

        Args:
            bodies: Arrow binary views of the bodies, two words each.
        """
        out: list[pl.Series] = []
        for k, field in enumerate(self.plan.fields):
            present = self._present(k) != ABSENT
            if field.kind in (TEXT, TIME):
                words = self._words(k)
                buffers = [*self._buffers, self._texts[field.name]] if field.name in self._texts else self._buffers
                texts = _view_series(np.ascontiguousarray(words[:, :2]), buffers, present)
                out.append(texts.alias(field.name if field.kind == TEXT else field.name + "_text"))
                if field.kind == TIME:
                    micros = np.ascontiguousarray(words[:, 2])
                    out.append(_masked(field, micros, present & (micros != UNREADABLE)))
            elif field.kind == TEXTS:
                out.append(self._list(k, field, present, bodies))
            elif field.kind == OTHER:
                out.append(self._other.get(field.name, _nulls(field.name, field.dtype, self.height)))
            elif field.kind == NUMBER:
                out.append(_masked(field, self._numbers(field), present))
            else:
                values = self._words(k)[:, 0]
                out.append(_masked(field, values != 0 if field.kind == BOOLEAN else values, present))
        return [*out, *(_nulls(name, dtype, self.height) for name, dtype in self.plan.absent)]

    def _list(self, k: int, field: Field, present: Flags, bodies: Ints) -> pl.Series:
        """A column of text lists: the items of scanned rows, and those that the exact reader gave."""
        spans = self._words(k)
        sizes = np.where(present, spans[:, 1], 0)
        offsets = np.concatenate(([0], np.cumsum(sizes)))
        items = np.zeros(2 * int(offsets[-1]), dtype=np.int64)
        buffers, scanned = self._buffers, sizes > 0
        if field.name in self._lists:
            rows, values = self._lists[field.name]
            held, data, ends = _plain(values.list.explode(empty_as_null=False, keep_nulls=False))
            counts = sizes[rows]
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            put_texts(items, 2 * (np.repeat(offsets[rows], counts) + within), data, ends, len(self._buffers))
            buffers = [*buffers, held]
            scanned[rows] = False
        at = np.flatnonzero(scanned)
        numbers = bodies[2 * at + 1] & 0xFFFFFFFF
        for number in np.unique(numbers):
            data = np.frombuffer(self._buffers[number], dtype=np.uint8)
            put_lists(items, offsets, at[numbers == number], data, spans.reshape(-1), int(number))
        texts = _view_series(items.reshape(-1, 2), buffers, None).to_arrow()
        array = pa.LargeListArray.from_arrays(as_arrow(offsets), texts, mask=as_arrow(~present))
        return pl.Series(field.name, pl.from_arrow(array), dtype=pl.List(pl.String))


def _view_series(views: Ints, buffers: Sequence[pa.Buffer], present: Flags | None) -> pl.Series:
    """Arrow string views (rows, 2), of bytes already known to be UTF-8, as a String series."""
    valid = None if present is None else bits(present)
    array = pa.Array.from_buffers(pa.string_view(), len(views), [valid, pa.py_buffer(views), *buffers])
    return pl.Series(pl.from_arrow(array), dtype=pl.String)


def _plain(texts: pl.Series) -> tuple[pa.Buffer, Bytes, Ints]:
    """The bytes of a String series without nulls and where each text ends."""
    array = texts.rechunk().to_arrow()
    _, ends, held = array.buffers()
    held = held if held is not None else pa.py_buffer(b"")
    offsets = np.frombuffer(ends, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    return held, np.frombuffer(held, dtype=np.uint8), offsets


def _masked(field: Field, values: NDArray[Any], present: Flags) -> pl.Series:
    """A column of numbers, booleans or instants, null where not present."""
    array = as_arrow(values, present)
    array = array.view(_ARROW[field.kind]) if field.kind in _ARROW else array
    return pl.Series(field.name, pl.from_arrow(array), dtype=field.dtype)


def _nulls(name: str, dtype: pl.DataType, height: int) -> pl.Series:
    return pl.Series(name, [None], dtype=dtype).new_from_index(0, height)
