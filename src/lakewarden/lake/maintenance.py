"""Keeping tail and log short: tiered compaction, checkpoints, log cleaning, and vacuum that honours pins.

A Delta commit costs more with every active file and every log entry; left alone, a continuous stream slows to a stop
within an hour. The stream calls `Maintenance.after_batch` between micro-batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from deltalake.exceptions import CommitFailedError, DeltaError

from lakewarden.lake.pins import pinned_files, pins
from lakewarden.lake.store import storage_error
from lakewarden.lake.table import QUIET

if TYPE_CHECKING:
    from lakewarden.lake.store import Store
    from lakewarden.lake.table import LakeTable
    from lakewarden.settings import LakeSettings


SPARE_BYTES: Final = 64 << 20
"""Space that must be left for tidying to begin."""


@dataclass(frozen=True)
class Tidied:
    """What one look at a table did: files before and after compaction."""

    table: str
    files_before: int
    files_after: int


class Maintenance:
    """Looks at the tables in turn, one or two a micro-batch, so that no micro-batch waits for all of them."""

    def __init__(self, store: Store, tables: Mapping[str, LakeTable], settings: LakeSettings) -> None:
        self._store = store
        self._tables = list(tables.values())
        self._settings = settings
        self._commits: dict[str, int] = {}
        self._doomed: dict[str, datetime] = {}
        self._last_vacuum: datetime | None = None

    def after_batch(self, now: datetime, written: Mapping[str, int]) -> list[Tidied]:
        """Compact the tables whose turn it is; vacuum when its interval has passed.

        Args:
            now: the wall clock.
            written: version by table after this micro-batch, the tables that it wrote.
        """
        done: list[Tidied] = []
        free = self._store.free_bytes()
        if free is not None and free < SPARE_BYTES:
            return done  # compaction writes before it frees; the next micro-batch says clearly that the disk is full
        for table in self._tables:
            name = table.spec.name
            if name not in written:
                continue
            self._commits[name] = self._commits.get(name, hash_offset(name, self._settings.compact_every)) + 1
            if self._commits[name] >= self._settings.compact_every:
                self._commits[name] = 0
                done.append(self.tidy(table))
        if self._last_vacuum is None:
            self._last_vacuum = now
        elif (now - self._last_vacuum).total_seconds() >= max(60, self._settings.vacuum_grace_seconds / 4):
            self._last_vacuum = now
            self.vacuum(now)
        return done

    def tidy(self, table: LakeTable) -> Tidied:
        """Compact one table by tiers, checkpoint it and clean its log.

        Small files are merged up to the first tier; only when many of that tier have gathered are they merged up to the next,
        so that a row is rewritten once a tier, not once a look.
        """
        before = len(table.files())
        try:
            for tier, target in enumerate(self._settings.tiers_bytes):
                small = [f for f in table.files() if f.size < target]
                if tier and len(small) < 2 * self._settings.compact_every:
                    break
                if len(small) > 1:
                    table.handle.optimize.compact(target_size=target, post_commithook_properties=QUIET)
                    table.refresh()
            table.handle.create_checkpoint()
            table.handle.cleanup_metadata()
        except CommitFailedError:
            table.refresh()  # someone else changed the same files: look again next time
        except (DeltaError, OSError) as error:
            raise storage_error(f"compact {table.spec.name}", error) from error
        return Tidied(table.spec.name, before, len(table.files()))

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
            keep = {f.path for f in table.files()} | pinned_files(held, name)
            for entry in self._store.entries(name):
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


def hash_offset(name: str, every: int) -> int:
    """A table's place in the round, so that tables take turns instead of being compacted all at once."""
    return sum(name.encode()) % every
