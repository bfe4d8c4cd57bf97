"""Compaction when nobody streams: what a stream does beside its micro-batches, until there is nothing left to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lakewarden.errors import StorageError
from lakewarden.lake.maintenance import SPARE_BYTES, Maintenance
from lakewarden.progress import Progress

if TYPE_CHECKING:
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.lake.table import LakeTable
    from lakewarden.progress import OnProgress


def compact(lake: Lakehouse, now: Callable[[], datetime], *, fan: int | None = None, on_progress: OnProgress | None = None) -> int:
    """Merge what has gathered in each table, smallest tier first, until no table moves any more; gives the number of tables that moved.

    The caller holds the lease and has every micro-batch finished. No row changes; readers move when the published point does, and the
    files that were merged stay until a vacuum finds them unreferenced for the grace period.

    Args:
        fan: files of one tier in one partition that are merged; None: as the lake's settings say.

    Raises:
        FencedError: another one took the lake over.
        StorageError: there is no space to write merged files to.
    """
    moved = 0
    with closing(Maintenance(lake.store, lake.tables, lake.settings)) as maintenance:
        for number, (name, table) in enumerate(lake.tables.items()):
            if on_progress is not None:
                on_progress(Progress(number, len(lake.tables), f"compacting {name}"))
            table.refresh()
            before = table.version
            _until_still(lake, maintenance, table, now, fan)
            moved += table.version > before
    return moved


def _until_still(lake: Lakehouse, maintenance: Maintenance, table: LakeTable, now: Callable[[], datetime], fan: int | None) -> None:
    while True:
        free = lake.store.free_bytes()
        if free is not None and free < SPARE_BYTES:
            raise StorageError(
                f"There are {free:,} bytes left where the lake lies; a merge writes before anything is freed.",
                state="what was merged before is committed; no row changed",
                next="free some space, then: lakewarden compact",
            )
        lake.check()
        if not maintenance.tidy(table, now(), fan=fan):
            return


def layout(lake: Lakehouse) -> dict[str, dict[str, int]]:
    """Files and bytes of each table's newest version."""
    return {name: {"files": len(files), "bytes": sum(file.size for file in files)} for name, files in _files(lake).items()}


def compared(before: Mapping[str, Mapping[str, int]], after: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    """What `layout` gave before and after, a row a table."""
    return [
        {
            "table": name,
            "files_before": before[name]["files"],
            "files_after": told["files"],
            "bytes_before": before[name]["bytes"],
            "bytes_after": told["bytes"],
        }
        for name, told in after.items()
    ]


def _files(lake: Lakehouse) -> dict[str, Any]:
    for table in lake.tables.values():
        table.refresh()
    return {name: table.files() for name, table in lake.tables.items()}
