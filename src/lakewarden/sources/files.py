"""A file or a folder of files as a source: read once, or watched for new and growing files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from lakewarden.errors import SourceError
from lakewarden.sources.blocks import Block, Reader
from lakewarden.sources.mapping import EventMapping
from lakewarden.sources.port import Chunk, Clock, Notices, SourceStanding, wall_clock
from lakewarden.sources.readers import COMPRESSED, KINDS, Kind, kind_of, open_reader

CHUNK_BYTES: Final = 64 << 20
"""A chunk is handed on when it holds so many bytes, however few rows that is."""

_TEMPORARY: Final = (".tmp", ".temp", ".part", ".partial", ".crdownload", ".swp", "~")
_SHORTEST_POLL: Final = 0.02
_PARQUET_MAGIC: Final = b"PAR1"
_GONE: Final = (-1, 0)


@dataclass
class _File:
    """One file: how far it was read, and what it looked like when there was nothing more in it."""

    path: Path
    partition: str
    kind: Kind
    reader: Reader | None = None
    size: int = 0
    drained: tuple[int, int] | None = None


@dataclass
class _Pending:
    """A block that is partly handed on."""

    partition: str
    block: Block


@dataclass
class _Gathered:
    """The chunk in the making."""

    parts: list[_Pending] = field(default_factory=list)
    rows: int = 0
    size: int = 0

    def add(self, partition: str, block: Block) -> None:
        self.parts.append(_Pending(partition, block))
        self.rows += len(block)
        self.size += block.size


class FileSource:
    """Events of a file, or of all files of a folder and its folders in the order of their names.

    JSON lines (`.jsonl`, `.ndjson`, `.json`) and CSV (`.csv`), plain or `.gz` or `.zst`, and Parquet (`.parquet`), mixed as they come.
    Names that start with `.` or `_` or end like `.tmp` are passed over, and so are names of other kinds. Empty lines are no events.

    Read once, it is exhausted when a new listing shows nothing new, and a last line without a line end is an event. Watched, new
    files are picked up in the order of their names, growing ones are followed, and only complete lines are taken. A file may be
    removed once it has been read. One that was cut or written anew behind what was read is refused.

    Args:
        root: a folder or a file; the source's name is the folder's path, a partition's name the file's below it.
        mapping: from other column names; None takes JSON lines as they are and CSV and Parquet columns under their own names.
        once: read what is there, then be exhausted; else watch.
        clock: wall clock for `received_time`.
    """

    def __init__(self, root: Path, *, mapping: EventMapping | None = None, once: bool = False, clock: Clock = wall_clock) -> None:
        root = root.resolve()
        self._single = root if root.is_file() else None
        self._folder = root.parent if self._single else root
        self._mapping = mapping
        self._once = once
        self._clock = clock
        self._positions: dict[str, int] = {}
        self._files: dict[str, _File] = {}
        self._visits: Iterator[_File] = iter(())
        self._current: _File | None = None
        self._pending: _Pending | None = None
        self._failure: SourceError | None = None
        self._exhausted = False
        self._poll = _SHORTEST_POLL

    @property
    def name(self) -> str:
        """The folder's absolute path."""
        return self._folder.as_posix()

    @property
    def exhausted(self) -> bool:
        """True when everything was read once."""
        return self._exhausted

    @property
    def fraction(self) -> float | None:
        """The share of the files' bytes that were read; None while watching."""
        if not self._once:
            return None
        total = sum(file.size for file in self._files.values())
        taken = sum(
            min(file.size, file.reader.position) if file.reader else (file.size if file.drained else 0) for file in self._files.values()
        )
        return 1.0 if self._exhausted else (taken / total if total else 0.0)

    def resume(self, positions: Mapping[str, Mapping[str, int]]) -> None:
        """Go on behind the last recorded offset of each file; files that are gone don't matter, new ones are read from their start."""
        self._positions = dict(positions.get(self.name, {}))

    def take_notices(self) -> Notices:
        """None: files begin at their start, and one that was cut stops the source."""
        return Notices()

    def acknowledge(self, offsets: Mapping[str, int]) -> None:
        """Nothing to tell anybody."""

    def standing(self) -> SourceStanding:
        """Nothing is known of files but the rows handed on."""
        return SourceStanding()

    def read(self, max_rows: int, max_seconds: float) -> Chunk | None:
        """Return up to `max_rows` events of one or more files; waits at most `max_seconds` for more while watching.

        A chunk also ends at `CHUNK_BYTES`, or when `max_seconds` have passed. None: nothing now (watching), or exhausted (once).

        Raises:
            SourceError: a file is damaged, changed or can't be read, or there is no file of events at all.
        """
        gathered = _Gathered()
        deadline = time.monotonic() + max_seconds
        while gathered.rows < max_rows and gathered.size < CHUNK_BYTES and not self._exhausted:
            try:
                pending = self._pending or self._next()
            except SourceError as failure:
                self._failure = failure
                self.close()
                if not gathered.rows:
                    raise
                break
            left = deadline - time.monotonic()
            if pending is not None:
                self._take(pending, gathered, max_rows)
            elif self._once:
                self._exhausted = True
            elif left > 0:
                time.sleep(min(self._poll, left))
            if left <= 0:
                break
        return self._chunk(gathered) if gathered.rows else None

    def close(self) -> None:
        """Close open files."""
        for file in self._files.values():
            if file.reader:
                file.reader.close()

    def _take(self, pending: _Pending, gathered: _Gathered, max_rows: int) -> None:
        wanted = max_rows - gathered.rows
        if len(pending.block) <= wanted:
            gathered.add(pending.partition, pending.block)
            self._pending = None
        else:
            gathered.add(pending.partition, pending.block.slice(0, wanted))
            self._pending = _Pending(pending.partition, pending.block.slice(wanted, len(pending.block) - wanted))

    def _chunk(self, gathered: _Gathered) -> Chunk:
        parts = gathered.parts
        partitions = [pl.Series([part.partition], dtype=pl.String).new_from_index(0, len(part.block)) for part in parts]
        return Chunk(
            bodies=pl.concat([part.block.bodies for part in parts], rechunk=True),
            source=self.name,
            partitions=pl.concat(partitions, rechunk=True),
            offsets=pl.concat([part.block.offsets for part in parts], rechunk=True),
            arrival=None,
            received_time=self._clock(),
        )

    def _next(self) -> _Pending | None:
        """The next block of the file at hand, of the next one that has something new, or of a new listing."""
        if self._failure is not None:
            raise self._failure
        for listing in (False, True):
            if listing:
                self._visits = self._list()
            while (file := self._current or next(self._visits, None)) is not None:
                self._current = file
                block = self._read(file)
                if block is not None:
                    return _Pending(file.partition, block)
                self._current = None
        return None

    def _read(self, file: _File) -> Block | None:
        try:
            looks = _looks(file.path) if file.path.exists() else _GONE  # an open file is read to its end though it's gone
            if not file.reader:
                file.reader = open_reader(file.path, file.kind, self._mapping)
                file.reader.skip(self._positions.get(file.partition, -1) + 1)
            block = file.reader.read(self._once)
        except FileNotFoundError:
            block, looks = None, _GONE
        except OSError as error:
            raise SourceError(
                f"{file.path} can't be read: {error.strerror or error}",
                state=self._state(file),
                next="make it readable, or remove it, and start the stream again",
            ) from error
        except SourceError as failure:
            failure.state = failure.state or self._state(file)
            raise
        if block is None:
            file.drained = looks
            if file.reader:
                file.reader.close()
        return block

    def _state(self, file: _File) -> str:
        return f"{file.reader.rows if file.reader else 0:,} rows of it were read and handed on; files before it were read to their ends"

    def _list(self) -> Iterator[_File]:
        """Look at the folder: the files that are new or changed since they were drained, in the order of their names."""
        began = time.monotonic()
        passed_over: list[str] = []
        visits = []
        for path in [self._single] if self._single else _walk(self._folder):
            kind = kind_of(path)
            partition = _readable(path.relative_to(self._folder))
            if kind is None:
                passed_over.append(partition)
                continue
            file = self._files.setdefault(partition, _File(path, partition, kind))
            try:
                looks = _looks(path)
            except OSError:
                continue
            file.size = looks[0]
            if looks != file.drained and (self._once or kind != "parquet" or _is_whole_parquet(path)):
                self._refuse_rewritten(file, looks)
                visits.append(file)
        if self._once and not self._files and not self._positions:
            raise nothing_to_read(self._folder, passed_over)
        self._poll = max(_SHORTEST_POLL, 5 * (time.monotonic() - began))
        return iter(visits)

    def _refuse_rewritten(self, file: _File, looks: tuple[int, int]) -> None:
        """Parquet doesn't grow: another size means other rows (`_GrowingFile` sees to the kinds that do)."""
        if file.kind == "parquet" and file.drained is not None and file.drained != _GONE and looks[0] != file.drained[0]:
            raise SourceError(
                f"{file.path} was written anew after it was read",
                state=self._state(file),
                next="give new events a new file name; restore this file, or remove it if all of it was streamed",
            )


def nothing_to_read(folder: Path, passed_over: list[str]) -> SourceError:
    """The error for a folder without a file of events."""
    named = (
        f"; passed over: {', '.join(passed_over[:5])}" + (f" and {len(passed_over) - 5} more" if len(passed_over) > 5 else "")
        if passed_over
        else ""
    )
    return SourceError(
        f"{folder} holds no file of events{named}",
        state="nothing was read",
        next=f"give files that end in {', '.join(KINDS)}, all but .parquet also with {' or '.join(COMPRESSED)} behind it",
    )


def event_files(root: Path) -> list[Path]:
    """The files of events at `root`, a file or a folder, in the order in which they are read.

    Raises:
        SourceError: there are none.
    """
    found = [root] if root.is_file() else _walk(root)
    files = [path for path in found if kind_of(path) is not None]
    if not files:
        raise nothing_to_read(root, [path.name for path in found])
    return files


def _readable(path: Path) -> str:
    """A path as text that can be stored; bytes of its name that aren't UTF-8 are written as escapes."""
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _looks(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _is_whole_parquet(path: Path) -> bool:
    """A Parquet file ends with its footer: without it, it is still being written."""
    try:
        with path.open("rb") as handle:
            if handle.seek(0, os.SEEK_END) < 12:
                return False
            handle.seek(-4, os.SEEK_END)
            return handle.read(4) == _PARQUET_MAGIC
    except OSError:
        return False


def _walk(folder: Path) -> list[Path]:
    """All files below a folder, sorted by their path below it."""
    if not folder.is_dir():
        raise SourceError(
            f"{folder} is no folder any more", next="bring it back and start the stream again: it goes on behind the last event"
        )
    found: list[Path] = []
    for base, folders, names in os.walk(folder, onerror=_unreadable):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        found += [Path(base, name) for name in names if not name.startswith((".", "_")) and not name.lower().endswith(_TEMPORARY)]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _unreadable(error: OSError) -> None:
    raise SourceError(f"{error.filename} can't be listed: {error.strerror}", next="make it readable and start the stream again") from error
