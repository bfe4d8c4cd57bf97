"""One Delta table: appends that are recognised when repeated, versions, file lists, scans.

Rows are written as Parquet and committed as add actions (docs/adr/0008, 0013): several times faster than letting
delta-rs write rows and log, and the same code for a local folder and Azure.
"""

from __future__ import annotations

import io
import json
import re
import time
import uuid
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import polars as pl
from deltalake import DeltaTable, Schema
from deltalake.exceptions import DeltaError, TableNotFoundError

from lakewarden.errors import LakeError, StorageError
from lakewarden.lake.log import BehindError, DataFile, DeltaLog
from lakewarden.lake.store import storage_error

if TYPE_CHECKING:
    import pyarrow as pa

    from lakewarden.lake.store import Store
    from lakewarden.settings import LakeSettings
    from lakewarden.tables import TableSpec

APPLICATION: Final = "lakewarden"
"""The Delta transaction application id under which micro-batch numbers are recorded."""

ORDERS: Final = "lakewarden-orders"
"""The Delta transaction application id under which the numbers of orders (`lake.orders`) are recorded."""

UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")
"""What a folder's name doesn't show of a partition value: the log has the value, and paths in it need no escapes."""

T = TypeVar("T")


class StaleVersionError(StorageError):
    """A version's log entries are gone: read the published point again and open what it names now."""


class LakeTable:
    """One table of the lake.

    Raises (all methods): StorageError when the storage refuses; LakeError when the table isn't there.
    """

    def __init__(self, store: Store, spec: TableSpec) -> None:
        self.spec = spec
        self.uri = store.uri(spec.name)
        self._store = store
        self.log = DeltaLog(store, spec.name, lambda: self._open(None), spec.partition_by, (APPLICATION, ORDERS))

    def create(self, settings: LakeSettings) -> None:
        """Create the table, empty, unless it exists."""
        retention = f"interval {settings.log_retention_seconds} seconds"
        try:
            DeltaTable.create(
                self.uri,
                schema=Schema.from_arrow(spec_arrow(self.spec)),
                mode="ignore",
                partition_by=list(self.spec.partition_by),
                configuration={
                    "delta.logRetentionDuration": retention,
                    "delta.deletedFileRetentionDuration": retention,
                    "delta.dataSkippingStatsColumns": ",".join(self.spec.statistics) or None,
                },
            )
        except (DeltaError, OSError) as error:
            raise storage_error(f"create table {self.spec.name}", error) from error

    @property
    def version(self) -> int:
        """The newest version known here."""
        return self._read(lambda: self.log.head.version)

    def refresh(self) -> int:
        """Move to the newest version and give it."""
        return self._read(lambda: self.log.follow().version)

    def last_batch(self) -> int:
        """The newest micro-batch committed to this table; -1 before the first."""
        return self._read(lambda: self.log.head.numbers.get(APPLICATION, -1))

    def last_order(self) -> int:
        """The newest order that was carried out in this table; -1 before the first."""
        return self._read(lambda: self.log.head.numbers.get(ORDERS, -1))

    def files(self) -> list[DataFile]:
        """The active files of the newest version known here, oldest first."""
        return self._read(lambda: list(self.log.head.files.values()))

    def _read(self, of: Callable[[], T]) -> T:
        try:
            return of()
        except (DeltaError, OSError, ValueError) as error:
            raise storage_error(f"read the log of {self.spec.name}", error) from error

    def claim(self, epoch: int) -> int:
        """Commit that from here on no stream of an earlier epoch commits, and write under that epoch; gives the version.

        Raises:
            FencedError: a later epoch has it already.
        """
        return self._read(lambda: self.log.claim(epoch))

    def unclaim(self) -> None:
        """Write without an epoch again, as a process without the lease does: unfenced."""
        self.log.epoch = None

    def append(self, rows: pl.DataFrame, *, batch: int) -> int:
        """Commit rows under a micro-batch number, once: a number that is already there is skipped; gives the version.

        Args:
            rows: the table's columns, any order.
            batch: the micro-batch number, recorded as a Delta transaction identifier.

        Raises:
            FencedError: the table was claimed by a later epoch; nothing was written.
        """
        self._read(self.log.check)
        if self.last_batch() >= batch:
            return self.version
        files = self._write_files(rows.select(pl.col(name).cast(dtype) for name, dtype in self.spec.columns.items()), batch)
        while True:
            try:
                return self.log.commit("WRITE", add=files, number=(APPLICATION, batch))
            except BehindError:
                self.refresh()
            self.log.check()
            if any(file.path in self.log.head.files for file in files):
                return self.version  # the entry in the way is this one: it was written, and only the answer got lost
            if self.last_batch() >= batch:
                raise LakeError(
                    f"Micro-batch {batch} was not committed to {self.spec.name}: another writer committed it.",
                    state="nothing was written twice",
                    next="lakewarden status",
                )

    def _write_files(self, rows: pl.DataFrame, batch: int) -> list[DataFile]:
        keys = list(self.spec.partition_by)
        if not keys:
            return [self.write_file({}, rows, batch)]
        groups = rows.partition_by(keys, as_dict=True, include_key=False, maintain_order=True)
        return [
            self.write_file({k: None if v is None else str(v) for k, v in zip(keys, values, strict=True)}, part, batch)
            for values, part in groups.items()
        ]

    def write_file(self, partition: Mapping[str, str | None], part: pl.DataFrame, batch: int) -> DataFile:
        """Write one data file; it belongs to no version until it is committed.

        Args:
            partition: values of the partition columns.
            part: the other columns.
            batch: goes into the file's name.
        """
        buffer = io.BytesIO()
        part.write_parquet(buffer, compression="snappy", statistics=False)  # quick; compaction writes zstd
        return self.put_file(partition, buffer.getbuffer(), part.height, self._statistics(part), batch)

    def put_file(self, partition: Mapping[str, str | None], data: bytes | memoryview, rows: int, stats: str, batch: int) -> DataFile:
        """Store the bytes of one data file under a name of its own."""
        folder = "".join(f"{k}={'__HIVE_DEFAULT_PARTITION__' if v is None else UNSAFE.sub('_', v)}/" for k, v in partition.items())
        path = f"{folder}b{batch:010d}-{uuid.uuid4().hex[:16]}.parquet"
        self._store.put(f"{self.spec.name}/{path}", data)
        return DataFile(path, len(data), partition, rows, stats, int(time.time() * 1000))

    def _statistics(self, part: pl.DataFrame) -> str:
        stats: dict[str, Any] = {"numRecords": part.height, "minValues": {}, "maxValues": {}, "nullCount": {}}
        for name in self.spec.statistics:
            low, high, nulls = part[name].min(), part[name].max(), part[name].null_count()
            if low is not None:
                stats["minValues"][name], stats["maxValues"][name] = low, high
            stats["nullCount"][name] = nulls
        return json.dumps(stats)

    def at(self, version: int | None) -> DeltaTable:
        """The table at a version (None: the newest), on a handle of its own.

        Raises:
            StaleVersionError: the version's log entries have been cleaned away.
        """
        return self._open(version)

    def _open(self, version: int | None) -> DeltaTable:
        try:
            return DeltaTable(self.uri, version=version)
        except TableNotFoundError as error:
            raise LakeError(f"Table {self.spec.name} isn't there.", next="lakewarden init") from error
        except DeltaError as error:
            if version is not None:
                raise StaleVersionError(
                    f"Version {version} of {self.spec.name} can't be opened any more.", next="run the command again"
                ) from error
            raise storage_error(f"open {self.spec.name}", error) from error

    def scan(self, version: int | None = None) -> pl.LazyFrame:
        """A lazy scan of the table at a version (None: the newest), columns as specified."""
        return scan(self.at(version), self.spec)


def scan(table: DeltaTable, spec: TableSpec) -> pl.LazyFrame:
    """A lazy scan of an opened table with the specified column order."""
    return pl.scan_delta(table).select(list(spec.columns))


def spec_arrow(spec: TableSpec) -> pa.Schema:
    """The specified columns as an Arrow schema."""
    return pl.DataFrame(schema=spec.columns).to_arrow().schema
