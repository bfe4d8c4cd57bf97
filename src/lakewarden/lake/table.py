"""One Delta table: appends that are recognised when repeated, versions, file lists, scans.

Parquet is written by Polars and committed as add actions (see docs/adr): several times faster for wide tables than
letting delta-rs write the rows, and the same code for a local folder and Azure.
"""

from __future__ import annotations

import io
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from lakewarden.errors import LakeError, StorageError
from lakewarden.lake.store import storage_error

if TYPE_CHECKING:
    import pyarrow as pa

    from lakewarden.lake.store import Store
    from lakewarden.settings import LakeSettings
    from lakewarden.tables import TableSpec

APPLICATION: Final = "lakewarden"
"""The Delta transaction application id under which micro-batch numbers are recorded."""

QUIET: Final = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
"""No checkpoint or clean-up inside a commit: maintenance does both between micro-batches."""


class StaleVersionError(StorageError):
    """A version's log entries are gone: read the published point again and open what it names now."""


@dataclass(frozen=True)
class DataFile:
    """One active file of a table: path below the table, bytes, partition values, rows."""

    path: str
    size: int
    partition: Mapping[str, str | None]
    rows: int


class LakeTable:
    """A handle on one table of the lake; one writer thread at a time.

    Raises (all methods): StorageError when the storage refuses; LakeError when the table isn't there.
    """

    def __init__(self, store: Store, spec: TableSpec) -> None:
        self.spec = spec
        self.uri = store.uri(spec.name)
        self._store = store
        self._schema = Schema.from_arrow(spec_arrow(spec))
        self._handle: DeltaTable | None = None

    def create(self, settings: LakeSettings) -> None:
        """Create the table, empty, unless it exists."""
        retention = f"interval {settings.log_retention_seconds} seconds"
        try:
            self._handle = DeltaTable.create(
                self.uri,
                schema=self._schema,
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
    def handle(self) -> DeltaTable:
        """The delta-rs table, opened once; `refresh` moves it to the newest version."""
        if self._handle is None:
            self._handle = self._open(None)
        return self._handle

    def refresh(self) -> int:
        """Move to the newest version and give it."""
        try:
            self.handle.update_incremental()
        except (DeltaError, OSError) as error:
            raise storage_error(f"read the log of {self.spec.name}", error) from error
        return self.handle.version()

    def last_batch(self) -> int:
        """The newest micro-batch committed to this table; -1 before the first."""
        number = self.handle.transaction_version(APPLICATION)
        return -1 if number is None else int(number)

    def append(self, rows: pl.DataFrame, *, batch: int, application: str = APPLICATION) -> int:
        """Commit rows under a micro-batch number, once: a number that is already there is skipped; gives the version.

        Args:
            rows: the table's columns, any order.
            batch: the micro-batch number, recorded as a Delta transaction identifier.
        """
        number = self.handle.transaction_version(application)
        if number is not None and int(number) >= batch:
            return self.handle.version()
        actions: list[AddAction | RemoveAction] = self._write_files(
            rows.select(pl.col(name).cast(dtype) for name, dtype in self.spec.columns.items()), batch
        )
        try:
            self.handle.create_write_transaction(
                actions,
                "append",
                self._schema,
                partition_by=list(self.spec.partition_by),
                commit_properties=CommitProperties(app_transactions=[Transaction(application, batch)]),
                post_commithook_properties=QUIET,
            )
        except CommitFailedError as error:
            raise LakeError(
                f"Micro-batch {batch} was not committed to {self.spec.name}: another writer committed it.",
                state="nothing was written twice",
                next="lakewarden status",
            ) from error
        except (DeltaError, OSError) as error:
            raise storage_error(f"commit micro-batch {batch} to {self.spec.name}", error) from error
        return self.refresh()

    def _write_files(self, rows: pl.DataFrame, batch: int) -> list[AddAction | RemoveAction]:
        keys = list(self.spec.partition_by)
        if not keys:
            parts: list[tuple[dict[str, str | None], pl.DataFrame]] = [({}, rows)]
        else:
            groups = rows.partition_by(keys, as_dict=True, include_key=False, maintain_order=True)
            parts = [
                ({k: None if v is None else str(v) for k, v in zip(keys, values, strict=True)}, part) for values, part in groups.items()
            ]
        if len(parts) == 1:
            return [self._write_file(parts[0][0], parts[0][1], batch)]
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda part: self._write_file(part[0], part[1], batch), parts))

    def _write_file(self, partition: dict[str, str | None], part: pl.DataFrame, batch: int) -> AddAction:
        buffer = io.BytesIO()
        part.write_parquet(buffer, compression="zstd", compression_level=1, statistics=False)
        folder = "".join(f"{k}={'__HIVE_DEFAULT_PARTITION__' if v is None else v}/" for k, v in partition.items())
        path = f"{folder}b{batch:010d}-{uuid.uuid4().hex[:16]}.parquet"
        data = buffer.getvalue()
        self._store.put(f"{self.spec.name}/{path}", data)
        return AddAction(path, len(data), partition, int(time.time() * 1000), True, self._statistics(part))

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

    def files(self, version: int | None = None) -> list[DataFile]:
        """The active files of a version (None: the newest)."""
        return active_files(self.handle if version is None else self.at(version), self.spec.partition_by)


def scan(table: DeltaTable, spec: TableSpec) -> pl.LazyFrame:
    """A lazy scan of an opened table with the specified column order."""
    return pl.scan_delta(table).select(list(spec.columns))


def active_files(table: DeltaTable, partition_by: Sequence[str]) -> list[DataFile]:
    """The active files of an opened table."""
    actions = pl.DataFrame(table.get_add_actions(flatten=True))
    if actions.height == 0:
        return []
    return [
        DataFile(
            row["path"],
            row["size_bytes"],
            {k: None if row[f"partition.{k}"] is None else str(row[f"partition.{k}"]) for k in partition_by},
            row["num_records"] or 0,
        )
        for row in actions.iter_rows(named=True)
    ]


def spec_arrow(spec: TableSpec) -> pa.Schema:
    """The specified columns as an Arrow schema."""
    return pl.DataFrame(schema=spec.columns).to_arrow().schema
