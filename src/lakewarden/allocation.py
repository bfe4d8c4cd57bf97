"""How memory is given back to the system by a process that streams for days.

Measured on two cores with a million accounts: the C library keeps what numpy frees (its threshold for doing otherwise grows with use),
some 400 MB; Polars' allocator gives back so eagerly that a tenth of the stream's CPU went into faulting the same pages in again.
The bound on the first has its price, up to 2 of some 12 microseconds an event; without it the memory goal is missed (3.2 GB for 2.9).
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Final

_M_MMAP_THRESHOLD: Final = -3  # of <malloc.h>
_LARGE: Final = 4 << 20


def keep_for_the_next_batch() -> None:
    """Let Polars keep freed pages for two seconds, so that the next micro-batch finds them; only before Polars is imported."""
    os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:2000,muzzy_decay_ms:0")


def give_back_large_arrays() -> None:
    """Let the C library give arrays beyond four megabytes back as soon as they are freed. Where there is no glibc, nothing happens."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _LARGE)
