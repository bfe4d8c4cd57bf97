"""The head of one table's Delta log, held in memory: followed entry by entry, and committed right behind it or not at all.

delta-rs lists the log and reads it again for each commit, which costs 10 ms a table and grows with the log; this costs one small
object. The entry's name is the fence (Delta protocol, "Delta Log Entries"): only one writer can create version N, so a commit is
made against exactly the file list that it was planned on. Opening, checkpoints and reads stay with delta-rs (docs/adr/0013).

A writer that holds the lake's lease says so in the log with its epoch; behind that entry one of an older epoch commits nothing any more,
because its next name is taken and it meets the epoch on the way to the one after (docs/adr/0014).
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import polars as pl

from lakewarden.lake.lease import fenced

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from lakewarden.lake.store import Store

ENGINE: Final = "lakewarden"
WRITER: Final = "lakewarden-writer"
"""The Delta transaction application id under which the epoch of the lease is recorded."""

TRUST_SECONDS: Final = 5.0
"""How long the head is taken to be reachable entry by entry; after that the log may have been cleaned behind it."""


class BehindError(Exception):
    """Another commit stands where this one should have gone: follow the log and decide anew."""


@dataclass(frozen=True)
class DataFile:
    """One active file of a table: path below the table, bytes, partition values, rows, statistics (JSON), time written (ms)."""

    path: str
    size: int
    partition: Mapping[str, str | None]
    rows: int
    stats: str = ""
    modified: int = 0


@dataclass(frozen=True)
class Head:
    """A version of a table: its active files by path, in the order of their commits, and transaction numbers by application."""

    version: int
    files: Mapping[str, DataFile]
    numbers: Mapping[str, int]


class DeltaLog:
    """Follows and extends one table's log; any number of threads.

    Args:
        store: the lake's objects.
        name: the table's folder.
        open_table: opens the newest version with delta-rs.
        partition_by: partition columns.
        applications: whose transaction numbers are wanted, besides the writer's epoch.

    Attributes:
        epoch: that of this writer; None for one without the lease, which is not fenced.
    """

    epoch: int | None = None

    def __init__(
        self, store: Store, name: str, open_table: Callable[[], DeltaTable], partition_by: Sequence[str], applications: Sequence[str]
    ) -> None:
        self._store = store
        self._folder = f"{name}/_delta_log"
        self._open = open_table
        self._partition_by = tuple(partition_by)
        self._applications = (*applications, WRITER)
        self._lock = threading.RLock()
        self._head: Head | None = None
        self._seen = (0.0, 0.0)

    @property
    def head(self) -> Head:
        """The newest version known here; `follow` looks whether there is a newer one."""
        if self._head is None:
            self.follow()
        assert self._head is not None
        return self._head

    def follow(self) -> Head:
        """Move to the newest version and give it."""
        with self._lock:
            if self._head is None or self._cleaned_behind():
                self._head = self._load()
            while (entry := self._store.get(self._entry(self._head.version + 1))) is not None:
                self._head = applied(self._head, [json.loads(line) for line in entry.splitlines() if line])
            self._seen = clocks()
            return self._head

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else in this process commits meanwhile: for another writer of this process that doesn't create entries by name alone."""
        with self._lock:
            yield

    def check(self) -> None:
        """Look at the newest version known here.

        Raises:
            FencedError: it, or one before it, was claimed by a later epoch.
        """
        if self.epoch is not None and self.head.numbers.get(WRITER, -1) > self.epoch:
            raise fenced(self._store)

    def claim(self, epoch: int) -> int:
        """Commit that from here on nobody of an earlier epoch commits, and be of that epoch; gives the version.

        Raises:
            FencedError: a later epoch has it already.
        """
        with self._lock:
            self.epoch = epoch
            while self.follow().numbers.get(WRITER, -1) != epoch:
                with contextlib.suppress(BehindError):
                    self.commit("CLAIM", add=(), number=(WRITER, epoch))
            return self.head.version

    def commit(
        self,
        operation: str,
        *,
        add: Sequence[DataFile],
        remove: Sequence[DataFile] = (),
        number: tuple[str, int] | None = None,
        data_change: bool = True,
    ) -> int:
        """Write the next version; gives it.

        Args:
            operation: Delta's name for it, as `WRITE` or `OPTIMIZE`.
            remove: files that must still be active: whoever planned on them planned on what is there.
            number: application and transaction number, beyond the newest that is there.
            data_change: False when the same rows are only laid out anew.

        Raises:
            BehindError: another commit came first, or it has the number, or took a file that was to be removed; nothing was written.
            FencedError: a later epoch claimed the table; nothing was written.
        """
        with self._lock:
            head = self.head if elapsed(self._seen) < TRUST_SECONDS else self.follow()
            self.check()
            taken = number is not None and head.numbers.get(number[0], -1) >= number[1]
            if taken or any(file.path not in head.files for file in remove):
                raise BehindError
            actions = self._actions(operation, add, remove, number, data_change, head.version)
            body = "\n".join(json.dumps(action, separators=(",", ":")) for action in actions).encode()
            if not self._store.put_new(self._entry(head.version + 1), body):
                raise BehindError
            if elapsed(self._seen) < TRUST_SECONDS:
                self._head = applied(head, actions)
                self._seen = clocks()
            elif not self._landed(add, number):
                raise BehindError
            return head.version + 1

    def _landed(self, add: Sequence[DataFile], number: tuple[str, int] | None) -> bool:
        """Whether an entry is part of the table: paused before writing it, one may find a name free that was used and cleaned away."""
        self._head = None
        head = self.follow()
        if add:
            return all(file.path in head.files for file in add)
        return number is not None and head.numbers.get(number[0]) == number[1]

    def _load(self) -> Head:
        table = self._open()
        numbers = {name: table.transaction_version(name) for name in self._applications}
        known = {name: int(number) for name, number in numbers.items() if number is not None}
        return Head(table.version(), {file.path: file for file in active_files(table, self._partition_by)}, known)

    def _cleaned_behind(self) -> bool:
        """Whether entries that follow the head may be gone, because a later checkpoint holds them."""
        if self._head is None or elapsed(self._seen) < TRUST_SECONDS:
            return False
        found = self._store.get(f"{self._folder}/_last_checkpoint")
        return found is not None and int(json.loads(found)["version"]) > self._head.version

    def _entry(self, version: int) -> str:
        return f"{self._folder}/{version:020d}.json"

    def _actions(
        self,
        operation: str,
        add: Sequence[DataFile],
        remove: Sequence[DataFile],
        number: tuple[str, int] | None,
        data_change: bool,
        read_version: int,
    ) -> list[dict[str, Any]]:
        now = int(time.time() * 1000)
        told = {"timestamp": now, "operation": operation, "operationParameters": {}, "readVersion": read_version, "engineInfo": ENGINE}
        actions: list[dict[str, Any]] = [{"commitInfo": told}]
        if number is not None:
            actions.append({"txn": {"appId": number[0], "version": number[1], "lastUpdated": now}})
        actions += [
            {
                "remove": {
                    "path": file.path,
                    "deletionTimestamp": now,
                    "dataChange": data_change,
                    "extendedFileMetadata": True,
                    "partitionValues": dict(file.partition),
                    "size": file.size,
                }
            }
            for file in remove
        ]
        actions += [
            {
                "add": {
                    "path": file.path,
                    "partitionValues": dict(file.partition),
                    "size": file.size,
                    "modificationTime": file.modified,
                    "dataChange": data_change,
                    "stats": file.stats,
                }
            }
            for file in add
        ]
        return actions


def clocks() -> tuple[float, float]:
    """Two clocks, in seconds: a paused machine stops the one, a paused process neither."""
    return time.monotonic(), time.time()


def elapsed(since: tuple[float, float]) -> float:
    """Seconds by the clock that says more."""
    return max(now - then for now, then in zip(clocks(), since, strict=True))


def applied(head: Head, actions: Sequence[Mapping[str, Any]]) -> Head:
    """The version that a log entry makes of the one before it."""
    files, numbers = dict(head.files), dict(head.numbers)
    for action in actions:
        if "add" in action:
            file = _added(action["add"])
            files[file.path] = file
        elif "remove" in action:
            files.pop(unquote(action["remove"]["path"]), None)
        elif "txn" in action:
            numbers[action["txn"]["appId"]] = int(action["txn"]["version"])
    return replace(head, version=head.version + 1, files=files, numbers=numbers)


def _added(add: Mapping[str, Any]) -> DataFile:
    stats = add.get("stats") or ""
    rows = int(json.loads(stats).get("numRecords", 0)) if stats else 0
    return DataFile(unquote(add["path"]), int(add["size"]), add["partitionValues"], rows, stats, int(add["modificationTime"]))


def active_files(table: DeltaTable, partition_by: Sequence[str]) -> list[DataFile]:
    """The active files of an opened table, oldest first."""
    actions = pl.DataFrame(table.get_add_actions(flatten=True))
    if actions.height == 0:
        return []
    found = [
        DataFile(
            row["path"],
            row["size_bytes"],
            {k: None if row[f"partition.{k}"] is None else str(row[f"partition.{k}"]) for k in partition_by},
            row["num_records"] or 0,
            _statistics(row),
            int(row["modification_time"]),
        )
        for row in actions.iter_rows(named=True)
    ]
    return sorted(found, key=lambda file: (file.modified, file.path))


def _statistics(row: Mapping[str, Any]) -> str:
    """A file's statistics as the log writes them, from delta-rs's flattened columns."""
    kinds = {"null_count": "nullCount", "min": "minValues", "max": "maxValues"}
    stats: dict[str, Any] = {"numRecords": row["num_records"] or 0, "minValues": {}, "maxValues": {}, "nullCount": {}}
    for name, value in row.items():
        kind, _, column = name.partition(".")
        if kind in kinds and value is not None:
            stats[kinds[kind]][column] = value
    return json.dumps(stats, default=str)
