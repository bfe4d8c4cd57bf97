"""The bytes of one file that may still grow, decompressed on the way, cut into blocks that start where a record starts."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import zstandard

from lakewarden.errors import SourceError
from lakewarden.sources.views import Bytes

BLOCK: Final = 4 << 20
"""Bytes read at a time."""

LONGEST_RECORD: Final = 256 << 20
"""A longer line stops the source: it can't be an event, and memory is bounded."""

_TAIL: Final = 64
_PIECE: Final = 16 << 10
_BOM: Final = b"\xef\xbb\xbf"


class _Decompressor(Protocol):
    @property
    def inside(self) -> bool:
        """In the middle of a frame: the end of the file would be an early one."""

    def feed(self, data: bytes) -> None:
        """Take compressed bytes."""

    def pull(self, limit: int) -> bytes:
        """Give decompressed bytes, empty when more input is needed."""


class _Gzip:
    """Any number of gzip members; zero bytes between and behind them are padding."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(31)
        self._input = b""
        self._first = True
        self.inside = False

    def feed(self, data: bytes) -> None:
        self._input += data

    def pull(self, limit: int) -> bytes:
        while True:
            if not self.inside:
                self._input = self._input if self._first else self._input.lstrip(b"\0")
                if not self._input:
                    return b""
                self._member, self.inside, self._first = zlib.decompressobj(31), True, False
            out = self._member.decompress(self._input, limit)
            if self._member.eof:
                self._input, self.inside = self._member.unused_data, False
            else:
                self._input = self._member.unconsumed_tail
            if out or (self.inside and not self._input):
                return out


class _Zstandard:
    """Any number of Zstandard frames; windows up to 128 MB."""

    def __init__(self) -> None:
        self._context = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        self._frame = self._context.decompressobj()
        self._input = b""
        self.inside = False

    def feed(self, data: bytes) -> None:
        self._input += data

    def pull(self, limit: int) -> bytes:
        while self._input:
            if not self.inside:
                self._frame, self.inside = self._context.decompressobj(), True
            out = self._frame.decompress(self._input)
            self._input = b""
            if self._frame.eof:
                self._input, self.inside = self._frame.unused_data, False
            if out:
                return out
        return b""


_DECOMPRESSORS: Final[dict[str, Callable[[], _Decompressor]]] = {".gz": _Gzip, ".zst": _Zstandard}


class _GrowingFile:
    """Raw bytes of a file that may be closed, grow, and be opened again; a change behind what was read is refused."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.position = 0
        self._tail = b""
        self._handle: io.FileIO | None = None

    def readinto(self, view: memoryview) -> int:
        handle = self._handle or self._open()
        count = handle.readinto(view) or 0
        if count:
            self.position += count
            self._tail = (self._tail + bytes(view[max(0, count - _TAIL) : count]))[-_TAIL:]
        return count

    def remaining(self) -> int:
        handle = self._handle or self._open()
        return max(0, os.fstat(handle.fileno()).st_size - self.position)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def _open(self) -> io.FileIO:
        handle = io.FileIO(self.path)
        try:
            handle.seek(self.position - len(self._tail))
            found = handle.read(len(self._tail)) if self._tail else b""
        except BaseException:
            handle.close()
            raise
        if found != self._tail:
            handle.close()
            raise SourceError(
                f"{self.path} changed behind byte {self.position:,}, up to which it was read: it was cut or written anew",
                next="give new events a new file name; restore this file, or remove it if all of it was streamed",
            )
        self._handle = handle
        return handle


class ByteStream:
    """Decompressed bytes of a plain, gzip or Zstandard file, in order, also while the file grows.

    Args:
        path: the file; `.gz` and `.zst` names are decompressed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._raw = _GrowingFile(path)
        kind = _DECOMPRESSORS.get(path.suffix.lower())
        self._decompressor = kind() if kind else None
        self._ready = b""
        self._damage: SourceError | None = None

    @property
    def position(self) -> int:
        """Raw bytes of the file taken so far."""
        return self._raw.position

    @property
    def inside(self) -> bool:
        """True in the middle of a compressed frame: if the file is complete, it's damaged."""
        return self._decompressor is not None and self._decompressor.inside

    def expected(self) -> int:
        """A good size for the next read, bytes."""
        return min(BLOCK, self._raw.remaining() + 1) if self._decompressor is None else BLOCK

    def readinto(self, view: memoryview) -> int:
        """Fill `view` from its start as far as there are bytes now; return how many.

        Raises:
            SourceError: the file is damaged or changed behind what was read; what came before is given first.
        """
        filled = 0
        while filled < len(view):
            count = self._some(view[filled:])
            if not count:
                break
            filled += count
        if not filled and self._damage:
            raise self._damage
        return filled

    def close(self) -> None:
        """Close the file; reading on opens it again where it stood."""
        self._raw.close()

    def _some(self, view: memoryview) -> int:
        if self._decompressor is None:
            return self._raw.readinto(view)
        while not self._ready and self._damage is None:
            self._ready = self._pull(len(view))
            if self._ready or self._damage:
                break
            piece = bytearray(_PIECE)
            count = self._raw.readinto(memoryview(piece))
            if not count:
                return 0
            self._decompressor.feed(bytes(piece[:count]))
        count = min(len(view), len(self._ready))
        view[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _pull(self, limit: int) -> bytes:
        assert self._decompressor is not None
        try:
            return self._decompressor.pull(limit)
        except (zlib.error, zstandard.ZstdError) as error:
            self._damage = damaged(self.path, f"can't be decompressed near byte {self.position:,}: {error}")
            return b""


def damaged(path: Path, what: str) -> SourceError:
    """The error for a file whose content is broken, with what to do next."""
    return SourceError(
        f"{path} {what}",
        next="put an intact copy in its place, or remove it, and start the stream again: it goes on behind the last event",
    )


class Feed:
    """Blocks of a stream's bytes; what a reader doesn't consume of one comes first in the next.

    A byte order mark at the start of the file is taken off.
    """

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self._kept: Bytes = np.empty(0, np.uint8)
        self._started = False
        self._ended_open = False

    def block(self) -> tuple[Bytes, bool]:
        """Return what was kept plus new bytes, and whether that is all there is now. The array isn't written to again."""
        kept = len(self._kept)
        data = np.empty(kept + max(self.stream.expected(), kept), np.uint8)
        data[:kept] = self._kept
        count = self.stream.readinto(memoryview(data.data)[kept:])
        ended = kept + count < len(data)
        data = data[: kept + count] if (kept + count) * 2 > len(data) else data[: kept + count].copy()
        if not self._started and (len(data) >= len(_BOM) or ended):
            self._started = len(data) > 0
            data = data[len(_BOM) :] if data[:3].tobytes() == _BOM else data
        if self._ended_open:
            data = self._behind_open_end(data)
        return data, ended

    def keep(self, rest: Bytes) -> None:
        """Hold back bytes that don't make a whole record yet.

        Raises:
            SourceError: they are more than a record may have.
        """
        if len(rest) > LONGEST_RECORD:
            raise damaged(self.stream.path, f"holds a line of more than {LONGEST_RECORD >> 20} MB")
        self._kept = rest.copy()

    def complete(self, anything: bool) -> bool:
        """Say whether the file ends here as it should, and not in the middle of compressed data.

        Args:
            anything: there are records left to hand on; a damaged end is an error only behind the last of them.

        Raises:
            SourceError: it ends in the middle, and nothing is left.
        """
        if self.stream.inside and not anything:
            raise damaged(self.stream.path, "ends in the middle of its compressed data: it was cut short, or is still being written")
        return not self.stream.inside

    def end_open(self) -> None:
        """Remember that the last record was taken without its line end."""
        self._ended_open = True

    def _behind_open_end(self, data: Bytes) -> Bytes:
        head = data[:2].tobytes()
        if head in (b"", b"\r"):
            return data
        if not head.startswith((b"\n", b"\r\n")):
            raise SourceError(
                f"{self.stream.path}: its last line had no line end when it was taken as an event, and was written on since",
                next="read a file that is still being written without --once; check the last event that was read of this one",
            )
        self._ended_open = False
        return data[1 if head[:1] == b"\n" else 2 :]
