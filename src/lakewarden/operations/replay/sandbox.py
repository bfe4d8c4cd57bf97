"""The sandbox of one replay: its `*_tmp` tables, in a store that reaches nothing else (runbook section 4.2 steps 3 and 7)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

import polars as pl

from lakewarden.engines.lineage import derived_tables
from lakewarden.engines.port import MicroBatch
from lakewarden.lake.store import Store
from lakewarden.lake.table import LakeTable
from lakewarden.settings import LakeSettings
from lakewarden.tables import DERIVED, GOLD, TableSpec

if TYPE_CHECKING:
    from lakewarden.operations.derivation import Chunk

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

    def write(self, chunk: Chunk, within: pl.DataFrame, run_id: str, now: datetime) -> None:
        """Commit what the events of a chunk became, under the chunk's number: a table that has it already skips it.

        Args:
            within: bronze rows (`seq`, `batch`) of the dates that are replayed; the chunk's other rows are left out.
            run_id: goes into the rows.
        """
        for name, rows in _rows(chunk, within, run_id, now).items():
            self.tables[name].append(rows, batch=chunk.number)

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


def _rows(chunk: Chunk, within: pl.DataFrame, run_id: str, now: datetime) -> dict[str, pl.DataFrame]:
    """A chunk's rows as the tables have them. Each event's row keeps the micro-batch in which it arrived; it has no latency."""
    derived = chunk.derived
    per_event = {
        part: getattr(derived, part).join(within.select("seq"), on="seq", how="semi", maintain_order="left")
        for part in ("silver", "gold", "alerts", "dead_letters", "duplicates")
    }
    labels = int(chunk.bronze["labels_version"][0])
    batch = MicroBatch(chunk.number, run_id, chunk.release, labels, chunk.bronze, chunk.bronze, "replay", 0.0)
    tables = derived_tables(batch, replace(derived, **per_event), now)
    for name, spec in REPLAYED.items():
        if spec.per_event:
            arrived = tables[name].drop("batch").join(within.select("seq", "batch"), on="seq", how="left", maintain_order="left")
            tables[name] = arrived.with_columns(pl.lit(None, pl.Float64).alias("latency_ms")) if name == GOLD.name else arrived
    return tables
