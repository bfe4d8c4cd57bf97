"""A lake: its format marker, its tables, and reads at the published point."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from lakewarden.errors import LakeError
from lakewarden.lake import published
from lakewarden.lake.store import Store
from lakewarden.lake.table import LakeTable, StaleVersionError, scan
from lakewarden.settings import LakeSettings
from lakewarden.tables import BRONZE, TABLES

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from lakewarden.lake.published import PublishedPoint

FORMAT: Final = 1
MARKER: Final = "lake.json"
READ_ATTEMPTS: Final = 8


@dataclass(frozen=True)
class Snapshot:
    """All tables opened at one published point."""

    point: PublishedPoint
    tables: dict[str, DeltaTable]

    def scan(self, name: str) -> pl.LazyFrame:
        """A lazy scan of one table at this point.

        Bronze runs ahead of the rest while a stream works: what is behind the point is left out, so that all tables agree.
        """
        rows = scan(self.tables[name], TABLES[name])
        return rows.filter(pl.col("batch") <= self.point.batch) if name == BRONZE.name else rows


class Lakehouse:
    """Every table of the facts below one root, with the published point that all readers go through."""

    def __init__(self, store: Store, settings: LakeSettings) -> None:
        self.store = store
        self.settings = settings
        self.tables = {name: LakeTable(store, spec) for name, spec in TABLES.items()}

    @classmethod
    def create(cls, root: str | Path, now: datetime, settings: LakeSettings | None = None) -> Lakehouse:
        """Create a lake, or finish one whose creation was cut short; an existing one is opened as it is.

        Raises:
            LakeError: the root holds a lake of another format.
            StorageError: the root can't be written.
        """
        store = Store(root, create=True)
        if store.exists(MARKER):
            return cls.open(root, settings)
        lake = cls(store, settings or LakeSettings())
        for table in lake.tables.values():
            table.create(lake.settings)
        lake.publish(-1, now, "")
        store.put(MARKER, json.dumps({"format": FORMAT, "created": now.isoformat()}).encode())
        return lake

    @classmethod
    def open(cls, root: str | Path, settings: LakeSettings | None = None) -> Lakehouse:
        """Open an existing lake.

        Raises:
            LakeError: there is no lake at the root, or it is of a format that this version doesn't know.
        """
        missing = LakeError(f"There is no lake at {root}.", next=f"lakewarden init --lake {root}")
        if "://" not in str(root) and not Path(root).expanduser().is_dir():
            raise missing
        store = Store(root)
        data = store.get(MARKER)
        if data is None:
            raise missing
        try:
            found = json.loads(data)["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise LakeError(
                f"{root}/{MARKER} is damaged: {error}", state="the tables were not touched", next=f"restore {MARKER}"
            ) from error
        if found != FORMAT:
            raise LakeError(
                f"The lake at {root} has format {found}; this version of Lakewarden reads format {FORMAT}.",
                state="nothing was read or written",
                next="use the version of Lakewarden that wrote it",
            )
        return cls(store, settings or LakeSettings())

    def published(self) -> PublishedPoint:
        """The present published point."""
        return published.read(self.store)

    def publish(self, batch: int, now: datetime, notice: str) -> PublishedPoint:
        """Move the published point to the newest version of every table."""
        versions = {name: table.version for name, table in self.tables.items()}
        before = published.read(self.store).point if self.store.exists(published.PATH) else -1
        point = published.PublishedPoint(before + 1, batch, versions, now.isoformat(), notice)
        published.publish(self.store, point)
        return point

    def snapshot(self, names: tuple[str, ...] | None = None) -> Snapshot:
        """Open tables (None: all) at the published point; retried while the stream cleans its log behind us.

        Raises:
            LakeError: there is no published point.
            StaleVersionError: the point moved faster than the tables could be opened, several times over.
        """
        for attempt in range(READ_ATTEMPTS):
            point = self.published()
            try:
                return Snapshot(point, {name: self.tables[name].at(point.versions[name]) for name in names or tuple(self.tables)})
            except StaleVersionError:
                if attempt == READ_ATTEMPTS - 1:
                    raise
                time.sleep(0.05)
        raise AssertionError("unreachable")  # pragma: no cover

    def table(self, name: str) -> pl.LazyFrame:
        """One table at the published point, as a Polars LazyFrame.

        Raises:
            LakeError: there is no table of that name; the message lists those that there are.
        """
        if name not in self.tables:
            raise LakeError(f"There is no table {name!r}.", state=f"tables: {', '.join(sorted(self.tables))}", next="lakewarden tables")
        return self.snapshot((name,)).scan(name)
