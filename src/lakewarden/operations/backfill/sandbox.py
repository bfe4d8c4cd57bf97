"""The sandbox of one backfill: a staging table, and `*_tmp` tables of everything that an event becomes (runbook section 5.2 steps 1, 2)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import polars as pl

from lakewarden.operations.replay.sandbox import Sandbox
from lakewarden.tables import BRONZE, DERIVED, PIPELINE_RUNS, TableSpec

if TYPE_CHECKING:
    from lakewarden.lake.store import Store

STAGING: Final = replace(BRONZE, name="transactions_staging")
"""Events as loaded, numbered from 0 in their own order; they get their places when it is known how many there are."""

BROUGHT_IN: Final[dict[str, TableSpec]] = {spec.name: spec for spec in (BRONZE, *DERIVED, PIPELINE_RUNS)}
"""The tables that a backfill brings rows into."""


class BackfillSandbox(Sandbox):
    """The tables that one backfill writes before it is swapped in.

    Args:
        journal: the store of the backfill, rooted at `_backfills/<id>`.
    """

    def __init__(self, journal: Store) -> None:
        super().__init__(journal, {STAGING.name: STAGING, **BROUGHT_IN})

    def loaded(self) -> int:
        """The newest chunk in the staging table; -1 before the first."""
        table = self.tables[STAGING.name]
        table.refresh()
        return table.last_batch()

    def done(self) -> int:
        """The newest chunk that every table behind staging has; -1 before the first."""
        behind = [self.tables[name] for name in BROUGHT_IN]
        for table in behind:
            table.refresh()
        return min(table.last_batch() for table in behind)

    def count(self, name: str) -> int:
        """Rows of a table."""
        table = self.tables[name]
        table.refresh()
        return sum(file.rows for file in table.files())

    def put(self, name: str, rows: pl.DataFrame, chunk: int) -> None:
        """Commit a chunk's rows of a table, once."""
        self.tables[name].append(rows, batch=chunk)
