"""CSV with a header (RFC 4180): a compiled scanner that keeps every record, the malformed ones as their raw text."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from lakewarden.compiled import compiled
from lakewarden.sources.blocks import Block, shorter
from lakewarden.sources.mapping import EventMapping
from lakewarden.sources.streams import ByteStream, Feed, damaged
from lakewarden.sources.views import Bytes, cut

LONGEST_QUOTED: Final = 1 << 20
"""A quoted field must close within so many bytes of its record's start; else its quote is a stray one."""

_QUOTE: Final = 34
_COMMA: Final = 44
_LF: Final = 10
_CR: Final = 13
_MORE: Final = -1
_BROKEN: Final = -2

Cells = npt.NDArray[np.int64]


@compiled
def _quoted(data: Bytes, at: int, limit: int, final: bool) -> tuple[int, int, int, int]:
    """Scan the quoted field at `at`, as `_plain`; its closing quote stands before `limit`, or its opening one is a stray one."""
    n = len(data)
    doubled = 0
    i = at + 1
    while i < n and i < limit:
        if data[i] == _QUOTE:
            if i + 1 >= n or data[i + 1] != _QUOTE:
                break
            doubled += 1
            i += 1
        i += 1
    if i >= limit:
        return at, i, _BROKEN, 0
    if i >= n:
        return at, i, _BROKEN if final else _MORE, 0
    end = i + 1
    if end >= n or (end + 1 >= n and data[end] == _CR):
        return at + 1, i, n if final else _MORE, doubled
    if data[end] == _CR and data[end + 1] == _LF:
        end += 1
    return at + 1, i, end if data[end] in (_COMMA, _LF) else _BROKEN, doubled


@compiled
def _plain(data: Bytes, at: int, final: bool) -> tuple[int, int, int, int]:
    """Scan the field at `at`: (content start, content end, place of what ends it, doubled quotes in it).

    The third is the length of the data at its end, _MORE if more data is needed, _BROKEN where a quote stands as it must not.
    """
    n = len(data)
    i = at
    while i < n and data[i] != _COMMA and data[i] != _LF:
        if data[i] == _QUOTE:
            return at, i, _BROKEN, 0
        i += 1
    if i >= n and not final:
        return at, i, _MORE, 0
    return at, _without_cr(data, at, i), i, 0


@compiled
def _without_cr(data: Bytes, at: int, stop: int) -> int:
    """The end of a piece that starts at `at` and is ended by what is at `stop`: a carriage return before a line end isn't in it."""
    ends_line = stop >= len(data) or data[stop] == _LF
    return stop - 1 if ends_line and stop > at and data[stop - 1] == _CR else stop


@compiled
def _scan(data: Bytes, final: bool, records: Cells, cells: Cells) -> tuple[int, int]:
    """Cut records; returns (records found, bytes consumed). Empty lines are no records.

    A record that breaks the rules of quotes is its first line alone.

    Args:
        data: bytes from a record's start on.
        final: they end with the file.
        records: to fill: a record's start, its end without line end, and 1 where it's well formed; its height is the most to find.
        cells: to fill: a field's start, end and number of doubled quotes; (records, columns, 3). Those of malformed records are empty.
    """
    n = len(data)
    columns = cells.shape[1]
    found = 0
    at = 0
    while at < n and found < len(records):
        field = 0
        stop = at - 1
        while stop < at or (stop >= 0 and stop < n and data[stop] != _LF):
            here = stop + 1
            if here < n and data[here] == _QUOTE:
                start, end, stop, doubled = _quoted(data, here, at + LONGEST_QUOTED, final)
            else:
                start, end, stop, doubled = _plain(data, here, final)
            if stop < 0:
                break
            if field < columns:
                cells[found, field, 0], cells[found, field, 1], cells[found, field, 2] = start, end, doubled
            field += 1
        if stop == _BROKEN:
            field = -1
            stop = at
            while stop < n and data[stop] != _LF:
                stop += 1
            stop = _MORE if stop >= n and not final else stop
        if stop == _MORE:
            return found, at
        last = _without_cr(data, at, stop)
        if last > at:
            records[found, 0], records[found, 1], records[found, 2] = at, last, field == columns
            if field != columns:
                cells[found, :, 0], cells[found, :, 1], cells[found, :, 2] = at, at, 0
            found += 1
        at = stop + 1
    return found, min(at, n)


class DelimitedReader:
    """Records of a CSV file as JSON bodies; the first record names the columns.

    Every field is text and an empty one is absent; the contract's own properties are fitted to their types by the mapping. A record
    with another number of fields, with stray quotes or with bytes that aren't UTF-8 becomes a body of its raw text, which decode
    rejects with its reason.
    """

    def __init__(self, path: Path, mapping: EventMapping) -> None:
        self.rows = 0
        self._path = path
        self._feed = Feed(ByteStream(path))
        self._mapping = mapping
        self._header: list[str] = []

    @property
    def position(self) -> int:
        """Raw bytes taken."""
        return self._feed.stream.position

    def skip(self, rows: int) -> None:
        """Go on behind the first `rows` records."""
        while self.rows < rows:
            found = self._records(final=True, limit=rows - self.rows)
            if found is None:
                raise shorter(self._path, rows, self.rows)
            self.rows += len(found[1])

    def read(self, final: bool) -> Block | None:
        """Return the events of the next block of records."""
        found = self._records(final, limit=None)
        if found is None:
            return None
        data, records, cells = found
        raw = cut(data, records[:, 0], records[:, 1] - records[:, 0])
        wrong = records[:, 2] == 0
        columns = []
        for index, name in enumerate(self._header):
            starts, lengths = cells[:, index, 0], cells[:, index, 1] - cells[:, index, 0]
            texts, unreadable = _texts(cut(data, starts, lengths))
            wrong |= unreadable
            if cells[:, index, 2].any():
                texts = texts.str.replace_all('""', '"', literal=True).zip_with(pl.Series(cells[:, index, 2] > 0), texts)
            columns.append(texts.set(pl.Series(lengths == 0), None).alias(name))
        bodies = self._mapping.to_bodies(pl.DataFrame(columns), where=str(self._path))
        if wrong.any():
            bodies = raw.zip_with(pl.Series(wrong), bodies)
        offsets = pl.int_range(self.rows, self.rows + len(bodies), dtype=pl.Int64, eager=True)
        self.rows += len(bodies)
        return Block(bodies, offsets, int(bodies.bin.size().sum()))

    def close(self) -> None:
        """Close the file."""
        self._feed.stream.close()

    def _records(self, final: bool, limit: int | None) -> tuple[Bytes, Cells, Cells] | None:
        """The next records, at most `limit`, with the bytes they are in; None when there are none now."""
        while True:
            data, ended = self._feed.block()
            if not self._header:
                data = self._take_header(data, ended and final)
            lines = int(np.count_nonzero(data == _LF)) + 1
            records = np.empty((lines if limit is None else min(lines, limit), 3), np.int64)
            cells = np.empty((len(records), len(self._header), 3), np.int64)
            found, behind = _scan(data, False, records, cells) if self._header else (0, 0)
            if ended and final and not found and self._header and self._feed.complete(anything=False):
                found, behind = _scan(data, True, records, cells)
                if found and data[behind - 1] != _LF:
                    self._feed.end_open()
            self._feed.keep(data[behind:])
            if found:
                return data, records[:found], cells[:found]
            if ended:
                return None

    def _take_header(self, data: Bytes, final: bool) -> Bytes:
        """Read the first record, which is not an event; give back what is behind it, or everything if it isn't complete yet."""
        records = np.empty((1, 3), np.int64)
        found, behind = _scan(data, final, records, np.empty((1, 0, 3), np.int64))
        if not found:
            return data
        try:
            header = next(csv.reader([data[records[0, 0] : records[0, 1]].tobytes().decode()], strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise damaged(self._path, f"has a first line that is no CSV header: {error}") from error
        names = [name.strip() for name in header]
        if "" in names or len(set(names)) < len(names):
            raise damaged(self._path, f"has a header with an empty or repeated column name: {', '.join(names)}")
        self._header = names
        return data[behind:]


def _texts(cells: pl.Series) -> tuple[pl.Series, npt.NDArray[np.bool_]]:
    """Fields as text, and which aren't UTF-8."""
    try:
        return cells.cast(pl.String), np.zeros(len(cells), np.bool_)
    except pl.exceptions.PolarsError:
        texts = [_utf8(value) for value in cells]
        return pl.Series(texts, dtype=pl.String), np.array([text is None for text in texts], np.bool_)


def _utf8(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
