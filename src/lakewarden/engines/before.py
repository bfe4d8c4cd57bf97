"""Which rows of silver the state before a place in the order of arrival is made of, and where they stand now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from lakewarden.lake import history, past

if TYPE_CHECKING:
    from lakewarden.lake.log import DataFile
    from lakewarden.lake.store import Store


@dataclass(frozen=True)
class Part:
    """Rows of silver that count.

    Attributes:
        files: pinned files that they stand in; None: the table as it is.
        derived: they were derived just now, and stand nowhere.
        keep: which of the rows there count, over the columns that states are made of and `event_date`.
    """

    keep: pl.Expr
    files: tuple[DataFile, ...] | None = None
    derived: bool = False


def parts_before(store: Store, seq: int, instead: int | None = None) -> list[Part]:
    """What a row that arrives at `seq` sees of silver.

    Args:
        store: the lake's.
        instead: the place from which on derived rows count instead of the stored ones; None: none do.
    """
    known = past.turns(store)
    within = (pl.col("seq") < seq) & history.seen(history.blocks(store), seq)
    stored = [Part(source.keep & within, source.files) for source in past.as_seen(store, known, seq)]
    if instead is None:
        return stored
    swapped = past.exchanged(known, instead, seq)
    if swapped is None:
        return [*_narrowed(stored, pl.col("seq") < instead), Part(within, derived=True)]
    # what swaps brought in behind the first row was seen from then on, and not what is derived here in its place
    return [*_narrowed(stored, (pl.col("seq") < instead) | swapped), Part(within & ~swapped, derived=True)]


def _narrowed(parts: Sequence[Part], to: pl.Expr) -> list[Part]:
    return [Part(part.keep & to, part.files) for part in parts]
