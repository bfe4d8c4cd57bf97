"""Keeping tail and log short: tiered compaction, checkpoints, log cleaning, and vacuum that honours pins.

A Delta table costs more to read and to commit to with every active file and every log entry; left alone, a continuous stream slows
to a stop within an hour. The stream calls `Maintenance.look` beside its micro-batches.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from deltalake.exceptions import DeltaError

from lakewarden.errors import LakeError
from lakewarden.lake import published
from lakewarden.lake.compaction import compact, due
from lakewarden.lake.orders import awaited_files
from lakewarden.lake.pins import pinned_files, pins
from lakewarden.lake.store import storage_error

if TYPE_CHECKING:
    from lakewarden.lake.store import Store
    from lakewarden.lake.table import LakeTable
    from lakewarden.settings import LakeSettings


SPARE_BYTES: Final = 64 << 20
"""Space that must be left for tidying to begin."""

POINTS_EVERY: Final = timedelta(seconds=5)
"""How often old published points are removed: a few hundred small objects stand at the most."""


class Maintenance:
    """Looks after a lake's tables; the lists of files are known in memory, so a look that finds nothing to do is cheap."""

    def __init__(self, store: Store, tables: Mapping[str, LakeTable], settings: LakeSettings) -> None:
        self._store = store
        self._tables = list(tables.values())
        self._settings = settings
        self._checkpoints: dict[str, int] = {}
        self._doomed: dict[str, datetime] = {}
        self._last_vacuum: datetime | None = None
        self._last_clean: dict[str, datetime] = {}
        self._last_points: datetime | None = None
        self._merger = ThreadPoolExecutor(1, thread_name_prefix="merge")
        self._merging: Future[int] | None = None
        self._sweeper = ThreadPoolExecutor(1, thread_name_prefix="vacuum")
        self._sweeping: Future[int] | None = None

    def close(self) -> None:
        """Wait for a merge and a vacuum that are under way."""
        self._merger.shutdown(wait=True)
        self._sweeper.shutdown(wait=True)

    def look(self, now: datetime) -> bool:
        """Do what is due; says whether a table's version moved.

        Args:
            now: the wall clock.
        """
        if self._last_points is None or now - self._last_points >= POINTS_EVERY:
            self._last_points = now
            published.clean(self._store)
        free = self._store.free_bytes()
        if free is not None and free < SPARE_BYTES:
            return False  # compaction writes before it frees; the next micro-batch says clearly that the disk is full
        moved = self._merge()
        for table in self._tables:
            moved |= self.tidy(table, now, among=range(1))
        self._sweep(now)
        return moved

    def _sweep(self, now: datetime) -> None:
        """Vacuum now and then, beside the rest: it lists every file there is, and takes seconds where there are many.

        Raises:
            StorageError: the one before failed.
        """
        if self._sweeping is not None and not self._sweeping.done():
            return
        if self._sweeping is not None:
            ended, self._sweeping = self._sweeping, None
            with contextlib.suppress(LakeError):  # a pin or an order can't be read: nothing is removed, and the stream goes on
                ended.result()
        if self._last_vacuum is None:
            self._last_vacuum = now
        elif (now - self._last_vacuum).total_seconds() >= max(60, self._settings.vacuum_grace_seconds / 4):
            self._last_vacuum = now
            self._sweeping = self._sweeper.submit(self.vacuum, now)

    def _merge(self) -> bool:
        """One merge of larger files at a time, beside the small ones: these go on gathering while it takes its seconds. Says if one ended.

        Raises:
            FencedError: a later epoch claimed the table.
        """
        settings, larger = self._settings, range(1, len(self._settings.tiers_bytes))
        if self._merging is not None and not self._merging.done():
            return False
        moved = self._merging is not None and self._merging.result() > 0
        self._merging = None
        for table in self._tables:
            if next(due(table.files(), settings.tiers_bytes, settings.compact_every, larger), None) is not None:
                self._merging = self._merger.submit(
                    compact, self._store, table, settings.tiers_bytes, settings.compact_every, larger, most=1
                )
                break
        return moved

    def tidy(self, table: LakeTable, now: datetime, fan: int | None = None, among: range | None = None) -> bool:
        """Compact one table where enough has gathered, checkpoint it and clean its log where that is due; says whether it moved.

        Args:
            fan: files of one tier in one partition that are merged; None: as the settings say.
            among: the tiers that are looked at; None: all.
        """
        gone = compact(self._store, table, self._settings.tiers_bytes, fan or self._settings.compact_every, among)
        self._checkpoint(table, now)
        return gone > 0

    def _checkpoint(self, table: LakeTable, now: datetime) -> None:
        name = table.spec.name
        version = table.version
        if (
            version - self._checkpoints.setdefault(name, version - version % self._settings.checkpoint_every)
            < self._settings.checkpoint_every
        ):
            return
        self._checkpoints[name] = version
        try:
            opened = table.at(None)
            opened.create_checkpoint()
            if now - self._last_clean.get(name, now - timedelta(days=1)) >= timedelta(seconds=self._settings.log_retention_seconds / 2):
                self._last_clean[name] = now
                opened.cleanup_metadata()
        except (DeltaError, OSError) as error:
            raise storage_error(f"checkpoint {name}", error) from error

    def vacuum(self, now: datetime) -> int:
        """Delete files that no version in use and no pin names, once they have been so for the grace period; gives their number.

        A file must be found unreferenced at two looks a grace period apart, so a reader that has just opened an older
        published point, or a commit under way, keeps its files.
        """
        grace = timedelta(seconds=self._settings.vacuum_grace_seconds)
        held = pins(self._store)
        doomed: dict[str, datetime] = {}
        expired: list[str] = []
        for table in self._tables:
            name = table.spec.name
            table.refresh()
            entries = list(self._store.entries(name))
            keep = (
                {f.path for f in table.files()} | pinned_files(held, name, now) | awaited_files(self._store, name)
            )  # after the listing: a file may be committed meanwhile
            for entry in entries:
                path = entry.path.removeprefix(f"{name}/")
                if path.startswith("_delta_log/") or not path.endswith(".parquet") or path in keep:
                    continue
                since = self._doomed.get(entry.path, now)
                if now - since >= grace and now - entry.modified >= grace:
                    expired.append(entry.path)
                else:
                    doomed[entry.path] = since
        self._doomed = doomed
        self._store.delete(expired)
        return len(expired)
