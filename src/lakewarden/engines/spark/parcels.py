"""Parcels: frames as single values, so that Spark moves a few large rows instead of many small ones, and never looks inside.

A parcel is a Polars frame as an Arrow IPC stream, or a stage's state as a pickle, both compressed. It travels in a row of `SCHEMA`: what
it is, where it is worked on, how many rows it holds. Spark's own cost is by the row and by the column (decision 0020).
"""

from __future__ import annotations

import io
import pickle
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pyarrow as pa

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

ARROW: Final = pa.schema([("kind", pa.string()), ("shard", pa.int32()), ("rows", pa.int64()), ("parcel", pa.binary())])
"""The columns of a frame of parcels, as Arrow has them."""

LARGEST_BYTES: Final = 4 << 20
"""Of a parcel, about; what is larger travels in several. Java copies a row whole, again and again, into arrays of up to twice its length:
with a shard's state of some 30 MB in one, a heap of 1 GB was too small (decision 0024)."""

_COMPRESSED: Final = 4
"""How many times smaller frames become, about."""

_CODEC: Final = "lz4"


@dataclass(frozen=True)
class Parcel:
    """A frame or a state on its way: what it is, and the shard in which it is worked on."""

    kind: str
    shard: int
    content: Any


def schema() -> StructType:
    """The columns of a frame of parcels, as Spark has them."""
    from pyspark.sql.types import StructType

    return StructType.fromDDL("kind string, shard int, rows bigint, parcel binary")


def packed(parcels: Iterable[Parcel]) -> pa.Table:
    """Parcels as rows; frames without rows aren't sent, and what is large in several pieces."""
    columns: tuple[list[str], list[int], list[int], list[bytes]] = ([], [], [], [])
    for parcel in parcels:
        for rows, data in _pieces(parcel.content):
            for column, value in zip(columns, (parcel.kind, parcel.shard, rows, data), strict=True):
                column.append(value)  # type: ignore[attr-defined]  # each column has its own type
    return pa.table([pa.array(values, field.type) for values, field in zip(columns, ARROW, strict=True)], schema=ARROW)


def unpacked(table: pa.Table) -> Iterator[Parcel]:
    """The parcels of rows that `packed` made, all of them and in any order."""
    states: dict[tuple[str, int, bytes], dict[int, bytes]] = {}
    for kind, shard, data in zip(*(table.column(name).to_pylist() for name in ("kind", "shard", "parcel")), strict=True):
        if data[:1] == b"F":
            yield Parcel(kind, shard, frame_of(data))
            continue
        of, number = data[1:17], int.from_bytes(data[17:21], "big")
        states.setdefault((kind, shard, of), {})[number] = data[21:]
    for (kind, shard, of), pieces in states.items():
        whole = b"".join(pieces[number] for number in range(len(pieces)))
        yield Parcel(kind, shard, pickle.loads(pa.decompress(whole, int.from_bytes(of[:8], "big"), codec=_CODEC)))


def of_kind(parcels: Sequence[Parcel], kind: str) -> list[Any]:
    """What the parcels of a kind hold."""
    return [parcel.content for parcel in parcels if parcel.kind == kind]


def frame_of(data: bytes) -> pl.DataFrame:
    """The frame in a parcel."""
    return pl.read_ipc_stream(io.BytesIO(memoryview(data)[1:]))


def _pieces(content: object) -> Iterator[tuple[int, bytes]]:
    if isinstance(content, pl.DataFrame):
        rows = max(1, LARGEST_BYTES * _COMPRESSED * content.height // max(1, int(content.estimated_size())))
        for piece in content.iter_slices(rows) if content.height else ():
            out = io.BytesIO(b"F")
            out.seek(1)
            piece.write_ipc_stream(out, compression=_CODEC)
            yield piece.height, out.getvalue()
        return
    plain = pickle.dumps(content, protocol=4)  # of 5, each array would hold on to the whole
    whole: bytes = pa.compress(plain, codec=_CODEC, asbytes=True)
    of = len(plain).to_bytes(8, "big") + zlib.crc32(whole).to_bytes(8, "big")
    for number, start in enumerate(range(0, len(whole), LARGEST_BYTES)):
        yield 0, b"S" + of + number.to_bytes(4, "big") + whole[start : start + LARGEST_BYTES]
