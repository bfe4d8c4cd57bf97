"""The sandbox of one replay: its `*_tmp` tables, in a store that reaches nothing else (runbook section 4.2 steps 3 and 7)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import polars as pl

from lakewarden.lake.store import Store
from lakewarden.lake.table import LakeTable
from lakewarden.settings import LakeSettings
from lakewarden.tables import DERIVED, TableSpec

REPLAYED: Final[dict[str, TableSpec]] = {spec.name: spec for spec in DERIVED}
"""The tables that a replay derives, by the name that they have in production."""

FOLDER: Final = "sandbox"
ARCHIVE: Final = "archive"
SUFFIX: Final = "_tmp"


class Sandbox:
    """The tables that one replay writes: the only handle that its writing side has.

    Args:
        journal: the store of the replay, rooted at `_replays/<id>`; the sandbox's own is rooted at `sandbox` below it.
        tables: those that it has, by the name that they have in production.

    Raises (all methods): StorageError when the storage refuses.
    """

    def __init__(self, journal: Store, tables: Mapping[str, TableSpec] = REPLAYED) -> None:
        self._journal = journal
        self.store = Store(journal.uri(FOLDER), create=True)
        self.tables = {name: LakeTable(self.store, replace(spec, name=name + SUFFIX)) for name, spec in tables.items()}

    def create(self) -> None:
        """Create the tables, empty; those that are there stay as they are."""
        for table in self.tables.values():
            table.create(LakeSettings())

    def done(self) -> int:
        """The newest chunk that every table has; -1 before the first."""
        for table in self.tables.values():
            table.refresh()
        return min(table.last_batch() for table in self.tables.values())

    def scan(self, name: str) -> pl.LazyFrame:
        """A lazy scan of a table, by the name that it has in production."""
        return self.tables[name].scan()

    def archive(self) -> int:
        """Keep every table as one compressed file below `archive/`; gives how many rows. Nothing where the tables are gone already."""
        rows = 0
        for name, table in self.tables.items():
            if next(self.store.entries(f"{name}{SUFFIX}/_delta_log"), None) is None:
                continue
            held = table.scan().collect()
            out = io.BytesIO()
            held.write_parquet(out, compression="zstd")
            self._journal.put(f"{ARCHIVE}/{name}{SUFFIX}.parquet", out.getbuffer())
            rows += held.height
        return rows

    def remove(self) -> tuple[int, int]:
        """Remove the tables; gives how many files went, and their bytes."""
        files = list(self._journal.entries(FOLDER))
        self._journal.delete([file.path for file in files])
        return len(files), sum(file.size for file in files)
