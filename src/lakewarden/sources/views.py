"""Series over pieces of one block of bytes, without copying them."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from lakewarden.compiled import compiled

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]

_INLINE: Final = 12
_VIEW_BYTES: Final = 16


def cut(data: Bytes, starts: Positions, lengths: Positions) -> pl.Series:
    """Return a Binary series of the pieces `data[start:start+length]`.

    The series shares `data`, which must not be written to again.
    """
    views = np.zeros((len(starts), _VIEW_BYTES), np.uint8)
    _fill(data, starts, lengths, views, views.view(np.int32))
    array = pa.Array.from_buffers(pa.binary_view(), len(views), [None, pa.py_buffer(views), pa.py_buffer(data)])
    return pl.Series(array, dtype=pl.Binary)


@compiled
def _fill(data: Bytes, starts: Positions, lengths: Positions, views: Bytes, words: npt.NDArray[np.int32]) -> None:
    """Write Arrow's BinaryView, 16 bytes a value: length, then up to 12 bytes themselves, or the first four, a buffer's number, an offset.

    Args:
        views: zeros, to fill; `words` is the same memory as 32-bit integers.
    """
    for i in range(len(starts)):
        start, length = starts[i], lengths[i]
        words[i, 0] = length
        held = length
        if length > _INLINE:
            held = 4
            words[i, 3] = start
        for j in range(held):
            views[i, 4 + j] = data[start + j]
