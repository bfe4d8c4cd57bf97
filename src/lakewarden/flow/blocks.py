"""Blocks of entries that keys own: rings of recent rows and of days, in sizes that grow by half.

All blocks of a kind lie in one array; a block that its key has outgrown is kept in a list of free ones of its size.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lakewarden.compiled import inlined, lean

Int64s: TypeAlias = NDArray[np.int64]
Structs: TypeAlias = NDArray[Any]

CLASSES: Final = 64
"""Size classes of blocks: far more than memory allows."""


@inlined
def block_size(size_class: int) -> int:
    """Entries in a block of a class: 2, 3, 4, 6, 8, 12, 16, 24, ...; none in class -1."""
    if size_class < 0:
        return 0
    return (2 + (size_class & 1)) << (size_class >> 1)


@lean
def larger_block(blocks: Structs, meta: Int64s, kind: tuple[int, int, int], block: tuple[int, int], ring: tuple[int, int]) -> int:
    """Move a ring into a block of the next class, its oldest entry first.

    Args:
        blocks: all blocks of one kind.
        meta: numbers about all kinds.
        kind: where in `meta` stand the entries used, the first free block of each class, and the entries that are missing.
        block: start and size class of the ring's block (class -1: it has none).
        ring: place of the oldest entry in it, and the number of entries.

    Returns:
        Start of the new block, -1 if there is no room.
    """
    used, free, space = kind
    start, size_class = block
    head, count = ring
    size = block_size(size_class + 1)
    moved = meta[free + size_class + 1] - 1
    if moved >= 0:
        meta[free + size_class + 1] = blocks[moved].when
    elif meta[used] + size <= blocks.size:
        moved = meta[used]
        meta[used] += size
    else:
        meta[space] = size
        return -1
    old_size = block_size(size_class)
    for k in range(count):
        at = head + k
        if at >= old_size:
            at -= old_size
        blocks[moved + k] = blocks[start + at]
    if size_class >= 0:
        blocks[start].when = meta[free + size_class]
        meta[free + size_class] = start + 1
    return int(moved)
