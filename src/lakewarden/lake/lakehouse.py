"""A lake: its format marker, its tables, and reads at the published point."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from lakewarden.errors import LakeError
from lakewarden.lake import published
from lakewarden.lake.lease import fenced
from lakewarden.lake.log import WRITER
from lakewarden.lake.store import Store
from lakewarden.lake.table import LakeTable, StaleVersionError, scan
from lakewarden.settings import LakeSettings
from lakewarden.tables import BRONZE, TABLES

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from lakewarden.lake.lease import Lease
    from lakewarden.lake.published import PublishedPoint

FORMAT: Final = 2
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
        self._lease: Lease | None = None
        self._newest: PublishedPoint | None = None

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
        lake.publish(-1, now)
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

    @property
    def leased(self) -> bool:
        """Whether the tables are claimed here, under the lake's lease."""
        return self._lease is not None

    def published(self) -> PublishedPoint:
        """The present published point."""
        return published.read(self.store)

    def publish(self, batch: int, now: datetime, *, order: int = -1, settled: str | None = None) -> PublishedPoint:
        """Move the published point to the newest version of every table, and never back.

        Args:
            order: an order whose content the tables have by now; -1: none.
            settled: whose notice is taken back with it.

        Raises:
            FencedError: the tables are claimed, and a later epoch has published.
        """

        def after(before: PublishedPoint | None) -> PublishedPoint:
            versions = {name: table.version for name, table in self.tables.items()}
            if before is None:
                return published.PublishedPoint(0, batch, versions, now.isoformat())
            return replace(
                before,
                point=before.point + 1,
                batch=max(batch, before.batch),
                versions={name: max(version, before.versions.get(name, 0)) for name, version in versions.items()},
                published_time=now.isoformat(),
                notices={name: text for name, text in before.notices.items() if name != settled},
                epoch=self._epoch(before),
                order=max(order, before.order),
            )

        return self._move_point(after)

    def announce(self, name: str, text: str | None, now: datetime) -> PublishedPoint:
        """Tell readers something from the next published point on (None: take it back); the tables stay at their versions.

        Whoever streams keeps what was announced, and nobody needs the lease for it.

        Raises:
            LakeError: nothing was published.
        """

        def after(before: PublishedPoint | None) -> PublishedPoint:
            others = {key: told for key, told in renewed(before, 0, now).notices.items() if key != name}
            assert before is not None
            notices = others if text is None else {**others, name: text}
            return replace(before, point=before.point + 1, published_time=now.isoformat(), notices=notices)

        return self._move_point(after)

    def _move_point(self, after: Callable[[PublishedPoint | None], PublishedPoint]) -> PublishedPoint:
        before = self._newest or published.newest(self.store)
        while True:
            if before is not None and before.epoch > self._epoch(before):
                raise fenced(self.store)
            point = after(before)
            if published.publish(self.store, point, before):
                break
            before = published.newest(self.store)
            if before == point:
                break  # it was written, and only the answer got lost
            for table in self.tables.values():
                table.refresh()
        self._newest = point if self._lease else None  # whoever holds the lease is first told by a taken number that another published
        return point

    def _epoch(self, before: PublishedPoint) -> int:
        return self._lease.epoch if self._lease else before.epoch

    def epoch(self) -> int:
        """The newest epoch that the tables know; 0 before the first."""
        for table in self.tables.values():
            table.refresh()
        return max(table.log.head.numbers.get(WRITER, 0) for table in self.tables.values())

    def claim(self, lease: Lease, now: datetime) -> None:
        """Make every table and the published point refuse the streams of earlier epochs; who writes without a lease isn't touched.

        Raises:
            FencedError: a later epoch has claimed them.
        """
        for table in self.tables.values():
            table.claim(lease.epoch)
        self._lease, self._newest = lease, None
        # What is published stays, under the new epoch: so the next number of a paused stream is taken before recovery begins.
        self._move_point(lambda before: renewed(before, lease.epoch, now))

    def unclaim(self) -> None:
        """Write without a lease again."""
        for table in self.tables.values():
            table.unclaim()
        self._lease = self._newest = None

    def check(self) -> None:
        """Costs nothing.

        Raises:
            FencedError: the lease that the tables were claimed under is known to be lost.
        """
        if self._lease is not None:
            self._lease.check()

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


def renewed(before: PublishedPoint | None, epoch: int, now: datetime) -> PublishedPoint:
    """The same tables at the same versions, published anew under another epoch.

    Raises:
        LakeError: nothing was published.
    """
    if before is None:
        raise LakeError("The lake has no published point.", state="nothing was written", next="lakewarden init")
    return replace(before, point=before.point + 1, published_time=now.isoformat(), epoch=epoch)
