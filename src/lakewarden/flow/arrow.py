"""NumPy arrays as Arrow arrays, without a copy: `pyarrow.array` would load pandas, which takes longer than all else at a start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray


def as_arrow(values: NDArray[Any], present: NDArray[np.bool_] | None = None) -> pa.Array:
    """An Arrow array of the same numbers or booleans.

    Args:
        values: one dimension; numbers or booleans.
        present: where False, the value is null; None: all are there.
    """
    valid = None if present is None else bits(present)
    if values.dtype == np.bool_:
        return pa.Array.from_buffers(pa.bool_(), len(values), [valid, bits(values)])
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), len(values), [valid, pa.py_buffer(np.ascontiguousarray(values))])


def bits(flags: NDArray[np.bool_]) -> pa.Buffer:
    """Flags as Arrow keeps them: one bit each, the first lowest."""
    return pa.py_buffer(np.packbits(flags, bitorder="little"))
