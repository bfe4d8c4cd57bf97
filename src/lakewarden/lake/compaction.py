"""Tiered compaction: small files of a partition become one, so that a row is rewritten once a tier and not once a look.

A log-structured merge by size (O'Neil et al., "The Log-Structured Merge-Tree", 1996): files that came from micro-batches gather
until there are `fan` of one tier in one partition; then they are merged, in order, into files of the next tier.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pyarrow.parquet as pq

from lakewarden.errors import StorageError
from lakewarden.lake.log import BehindError

if TYPE_CHECKING:
    from lakewarden.lake.log import DataFile
    from lakewarden.lake.store import Store
    from lakewarden.lake.table import LakeTable


def compact(store: Store, table: LakeTable, tiers: Sequence[int], fan: int, among: range | None = None, most: int | None = None) -> int:
    """Merge what has gathered; gives how many files went. One commit; a file that someone else took meanwhile is looked at next time.

    Args:
        tiers: bytes from which a file has left each tier, smallest first; files beyond the last are left alone.
        fan: files of one tier in one partition that make a merge worth its while.
        among: the tiers that are looked at; None: all.
        most: how many merges at the most; None: all that are due.

    Raises:
        FencedError: a later epoch claimed the table; nothing was changed.
    """
    merges = list(islice(due(table.files(), tiers, fan, among), most))
    if not merges:
        return 0
    made = [merged(store, table, group) for group in merges]
    gone = list(chain.from_iterable(merges))
    try:
        table.log.commit("OPTIMIZE", add=made, remove=gone, data_change=False)
    except BehindError:
        table.refresh()
        table.log.check()
        return 0
    return len(gone)


def due(files: Sequence[DataFile], tiers: Sequence[int], fan: int, among: range | None = None) -> Iterator[list[DataFile]]:
    """Groups of files to merge, each into one; none is larger than its next tier's bound."""
    gathered: dict[tuple[int, tuple[str | None, ...]], list[DataFile]] = {}
    for file in files:
        tier = next((number for number, bound in enumerate(tiers) if file.size < bound), None)
        if tier is not None and (among is None or tier in among):
            gathered.setdefault((tier, tuple(file.partition.values())), []).append(file)
    for (tier, _), some in gathered.items():
        if len(some) >= fan:
            yield from _cut(some, tiers[min(tier + 1, len(tiers) - 1)])


def _cut(files: list[DataFile], bound: int) -> Iterator[list[DataFile]]:
    group: list[DataFile] = []
    size = 0
    for file in files:
        if group and size + file.size > bound:
            if len(group) > 1:
                yield group
            group, size = [], 0
        group.append(file)
        size += file.size
    if len(group) > 1:
        yield group


def merged(store: Store, table: LakeTable, files: Sequence[DataFile]) -> DataFile:
    """One file with the rows of several, in their order; small files share a row group, so memory is bounded by the largest."""
    columns = [name for name in table.spec.columns if name not in table.spec.partition_by]
    out = io.BytesIO()
    writer: pq.ParquetWriter | None = None
    rows = 0
    for frame in _batches(store, table, files, columns):
        arrow = frame.to_arrow()
        writer = writer or pq.ParquetWriter(out, arrow.schema, compression="zstd", compression_level=1, write_statistics=False)
        writer.write_table(arrow)
        rows += frame.height
    assert writer is not None
    writer.close()
    stats = json.dumps(merged_statistics([file.stats for file in files], rows))
    return table.put_file(files[0].partition, out.getbuffer(), rows, stats, 0)


ROW_GROUP_BYTES: Final = 16 << 20
"""Compressed bytes that are read, held and written as one row group."""


def _batches(store: Store, table: LakeTable, files: Sequence[DataFile], columns: list[str]) -> Iterator[pl.DataFrame]:
    held: list[pl.DataFrame] = []
    size = 0
    for file in files:
        data = store.get(f"{table.spec.name}/{file.path}")
        if data is None:
            raise StorageError(
                f"A file of {table.spec.name} is gone: {file.path}.", state="nothing was changed", next="restore it from a copy of the lake"
            )
        held.append(pl.read_parquet(io.BytesIO(data), columns=columns))
        size += file.size
        if size >= ROW_GROUP_BYTES:
            yield pl.concat(held)
            held, size = [], 0
    if held:
        yield pl.concat(held)


def merged_statistics(stats: Sequence[str], rows: int) -> dict[str, Any]:
    """Statistics of several files as one; a column that some file says nothing of is left out."""
    parts: list[Mapping[str, Any]] = [json.loads(text) if text else {} for text in stats]
    found: dict[str, Any] = {"numRecords": rows}
    for kind, join in (("minValues", min), ("maxValues", max), ("nullCount", sum)):
        held = [part.get(kind, {}) for part in parts]
        told: dict[str, Any] = {}
        for name in dict.fromkeys(chain.from_iterable(held)):
            values = [some[name] for some in held if name in some]
            if len(values) == len(held) or (kind != "nullCount" and _others_are_null(parts, kind, name)):
                told[name] = join(values)
        found[kind] = told
    return found


def _others_are_null(parts: Sequence[Mapping[str, Any]], kind: str, name: str) -> bool:
    """Whether every file that gives no bound for a column holds only nulls in it."""
    return all(name in part.get(kind, {}) or part.get("nullCount", {}).get(name) == part.get("numRecords", -1) for part in parts)
