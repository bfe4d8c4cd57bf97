"""What a reader of one file gives: blocks of events with exact offsets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import polars as pl

from lakewarden.errors import SourceError


@dataclass(frozen=True)
class Block:
    """Events of one file: bodies (Binary), their offsets in it (Int64) and about how many bytes they hold."""

    bodies: pl.Series
    offsets: pl.Series
    size: int

    def __len__(self) -> int:
        return len(self.bodies)

    def slice(self, start: int, rows: int) -> Block:
        """Return `rows` events from `start` on."""
        return Block(self.bodies.slice(start, rows), self.offsets.slice(start, rows), self.size * rows // max(len(self), 1))


class Reader(Protocol):
    """Reads one file from its start; `rows` is the offset that the next event will have at least."""

    rows: int

    @property
    def position(self) -> int:
        """About how many bytes of the file have been taken."""

    def skip(self, rows: int) -> None:
        """Go on behind the first `rows` rows; before the first `read`.

        Raises:
            SourceError: the file holds fewer.
        """

    def read(self, final: bool) -> Block | None:
        """Return the next events; None if there are no more now. With `final`, a last line needs no line end.

        Raises:
            SourceError: the file is damaged; what came before has been given.
        """

    def close(self) -> None:
        """Close the file; reading on opens it again where it stood, as it may have grown."""


def shorter(path: Path, expected: int, found: int) -> SourceError:
    """The error for a file with fewer rows than bronze recorded of it."""
    return SourceError(
        f"{path} holds {found:,} rows, but {expected:,} were streamed from it: it was cut or written anew",
        next="give new events a new file name; restore this file, or remove it if all of it was streamed",
    )
