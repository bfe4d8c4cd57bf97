"""Readers of one file each, by what its name says: JSON lines and Parquet here, CSV in `delimited`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from lakewarden.sources.blocks import Block, Reader, shorter
from lakewarden.sources.delimited import DelimitedReader
from lakewarden.sources.mapping import EventMapping
from lakewarden.sources.streams import ByteStream, Feed, damaged
from lakewarden.sources.views import Positions, cut

Kind = Literal["lines", "delimited", "parquet"]

KINDS: Final[dict[str, Kind]] = {
    ".jsonl": "lines",
    ".ndjson": "lines",
    ".json": "lines",
    ".csv": "delimited",
    ".parquet": "parquet",
}
COMPRESSED: Final = (".gz", ".zst")
PARQUET_ROWS: Final = 32_768
"""Rows of a Parquet file decoded at a time."""


def kind_of(path: Path) -> Kind | None:
    """Say what the file's name says it is, None for a name that isn't one of events."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        kind = KINDS.get(suffixes[-2]) if len(suffixes) > 1 else None
        return None if kind == "parquet" else kind
    return KINDS.get(suffixes[-1]) if suffixes else None


def open_reader(path: Path, kind: Kind, mapping: EventMapping | None) -> Reader:
    """Return the reader of a file; it is opened with the first `skip` or `read`."""
    if kind == "parquet":
        return ParquetReader(path, mapping or EventMapping())
    if kind == "delimited":
        return DelimitedReader(path, mapping or EventMapping())
    return LineReader(path, mapping)


class LineReader:
    """JSON lines, each as it stands in the file (or mapped), CR LF and LF line ends; empty lines are no events.

    Nothing is parsed without a mapping: a line of any bytes is an event. With one, a line that isn't a JSON object stays as it is.
    """

    def __init__(self, path: Path, mapping: EventMapping | None) -> None:
        self.rows = 0
        self._feed = Feed(ByteStream(path))
        self._mapping = mapping

    @property
    def position(self) -> int:
        """Raw bytes taken."""
        return self._feed.stream.position

    def skip(self, rows: int) -> None:
        """Go on behind the first `rows` lines, counting line ends only."""
        while self.rows < rows:
            data, ended = self._feed.block()
            ends = np.flatnonzero(data == 10)
            wanted = rows - self.rows
            if len(ends) >= wanted:
                self.rows = rows
                self._feed.keep(data[ends[wanted - 1] + 1 :])
                return
            self.rows += len(ends)
            rest = data[ends[-1] + 1 :] if len(ends) else data
            if ended and len(rest) and self.rows + 1 == rows:
                self.rows = rows
                self._feed.keep(rest[:0])
                self._feed.end_open()
                return
            self._feed.keep(rest)
            if ended:
                raise shorter(self._feed.stream.path, rows, self.rows)

    def read(self, final: bool) -> Block | None:
        """Return the events of the next block of lines."""
        while True:
            data, ended = self._feed.block()
            ends = np.flatnonzero(data == 10)
            behind = int(ends[-1]) + 1 if len(ends) else 0
            if ended and final and self._feed.complete(anything=len(ends) > 0) and behind < len(data):
                ends, behind = np.append(ends, len(data)), len(data)
                self._feed.end_open()
            self._feed.keep(data[behind:])
            if not len(ends):
                if ended:
                    return None
                continue
            starts = np.empty_like(ends)
            starts[0] = 0
            starts[1:] = ends[:-1] + 1
            lengths = ends - starts
            lengths -= (lengths > 0) & (data[ends - 1] == 13)
            block = self._block(cut(data, starts, lengths), lengths)
            if len(block):
                return block

    def close(self) -> None:
        """Close the file."""
        self._feed.stream.close()

    def _block(self, bodies: pl.Series, lengths: Positions) -> Block:
        offsets = np.arange(self.rows, self.rows + len(lengths), dtype=np.int64)
        self.rows += len(lengths)
        full = lengths > 0
        if not full.all():
            bodies, offsets = bodies.filter(pl.Series(full)), offsets[full]
        if self._mapping is not None and len(bodies):
            bodies = self._mapping.map_lines(bodies)
        return Block(bodies, pl.Series(offsets), int(lengths.sum()))


class ParquetReader:
    """Rows of a Parquet file as JSON bodies, decoded a stretch at a time; the file must be complete."""

    def __init__(self, path: Path, mapping: EventMapping) -> None:
        self.rows = 0
        self._path = path
        self._mapping = mapping
        self._file: pq.ParquetFile | None = None
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._total = -1
        self._size = 0

    @property
    def position(self) -> int:
        """The share of the rows taken, in bytes of the file."""
        return self._size * self.rows // self._total if self._total > 0 else self._size

    def skip(self, rows: int) -> None:
        """Go on behind the first `rows` rows; row groups before it are not decoded."""
        file = self._open()
        if rows > self._total:
            raise shorter(self._path, rows, self._total)
        group = 0
        while group < file.num_row_groups and self.rows + file.metadata.row_group(group).num_rows <= rows:
            self.rows += file.metadata.row_group(group).num_rows
            group += 1
        self._batches = _batches(file, group)
        while self.rows < rows:
            batch = next(self._batches)
            step = min(rows - self.rows, len(batch))
            self.rows += step
            if step < len(batch):
                self._batches = _chain(batch.slice(step), self._batches)

    def read(self, final: bool) -> Block | None:
        """Return the next rows; a Parquet file has no unfinished ones, so `final` changes nothing."""
        if self._file is None and self._total < 0:
            self.skip(0)
        try:
            batch = next(self._batches, None)
        except (pa.ArrowException, OSError) as error:
            raise damaged(self._path, f"can't be decoded at row {self.rows:,}: {error}") from error
        if batch is None:
            self.close()
            return None
        try:
            frame = pl.DataFrame(pl.from_arrow(batch))
        except (pl.exceptions.PolarsError, pa.ArrowException) as error:
            raise damaged(self._path, f"has columns of a type that can't be read: {error}") from error
        bodies = self._mapping.to_bodies(frame, where=str(self._path))
        offsets = pl.int_range(self.rows, self.rows + len(bodies), dtype=pl.Int64, eager=True)
        self.rows += len(bodies)
        return Block(bodies, offsets, int(bodies.bin.size().sum()))

    def close(self) -> None:
        """Close the file."""
        self._batches = iter(())
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> pq.ParquetFile:
        try:
            self._file = pq.ParquetFile(self._path, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno:
                raise  # the system's, not a broken footer
            raise damaged(self._path, f"is no complete Parquet file: {error}") from error
        self._total = self._file.metadata.num_rows
        self._size = self._path.stat().st_size
        return self._file


def _batches(file: pq.ParquetFile, first_group: int) -> Iterator[pa.RecordBatch]:
    """Batches that don't reach across row groups, so that all before a broken group can be given."""
    for group in range(first_group, file.num_row_groups):
        yield from file.iter_batches(PARQUET_ROWS, row_groups=[group])


def _chain(first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield first
    yield from rest
