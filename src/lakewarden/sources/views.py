"""Series over pieces of one block of bytes, without copying them."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]

_INLINE: Final = 12
_VIEW: Final = np.dtype([("length", "<i4"), ("prefix", "<u4"), ("buffer", "<i4"), ("offset", "<i4")])


def cut(data: Bytes, starts: Positions, lengths: Positions) -> pl.Series:
    """Return a Binary series of the pieces `data[start:start+length]`.

    The series shares `data`, which must not be written to again. Layout: Arrow's BinaryView, 16 bytes a value: length, then
    either up to 12 bytes themselves or their first four, the buffer's number and the offset in it.
    """
    views = np.zeros(len(starts), _VIEW)
    if len(data) >= 4:
        words = np.ndarray((len(data) - 3,), "<u4", data, 0, (1,))
        views["prefix"] = words[np.minimum(starts, len(data) - 4)]
    views["length"] = lengths
    views["offset"] = starts
    short = np.flatnonzero(lengths <= _INLINE)
    if len(short):
        column = np.arange(_INLINE)
        places = np.minimum(starts[short, None] + column, max(len(data) - 1, 0))
        inline = np.where(column < lengths[short, None], data[places] if len(data) else 0, 0)
        views.view(np.uint8).reshape(-1, _VIEW.itemsize)[short, 4:] = inline
    array = pa.Array.from_buffers(pa.binary_view(), len(views), [None, pa.py_buffer(views), pa.py_buffer(data)])
    return pl.Series(array, dtype=pl.Binary)
