"""Parcels: frames as single values, so that Spark moves a few large rows instead of many small ones, and never looks inside.

A parcel is a Polars frame as an Arrow IPC stream, or a stage's state as a pickle, both compressed. It travels in a row of `SCHEMA`: what
it is, where it is worked on, how many rows it holds. Spark's own cost is by the row and by the column (decision 0020).
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import pyarrow as pa

if TYPE_CHECKING:
    from pyspark.sql.types import StructType

ARROW: Final = pa.schema([("kind", pa.string()), ("shard", pa.int32()), ("rows", pa.int64()), ("parcel", pa.binary())])
"""The columns of a frame of parcels, as Arrow has them."""

LARGEST_ROWS: Final = 250_000
"""Rows of a frame that are put into one parcel: a value may not be larger than 2 GB."""

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
    """Parcels as rows; frames without rows aren't sent, and large ones in several pieces."""
    columns: tuple[list[str], list[int], list[int], list[bytes]] = ([], [], [], [])
    for parcel in parcels:
        for rows, data in _pieces(parcel.content):
            for column, value in zip(columns, (parcel.kind, parcel.shard, rows, data), strict=True):
                column.append(value)  # type: ignore[attr-defined]  # each column has its own type
    return pa.table([pa.array(values, field.type) for values, field in zip(columns, ARROW, strict=True)], schema=ARROW)


def unpacked(table: pa.Table) -> Iterator[Parcel]:
    """The parcels of rows that `packed` made."""
    for kind, shard, data in zip(*(table.column(name).to_pylist() for name in ("kind", "shard", "parcel")), strict=True):
        yield Parcel(kind, shard, frame_of(data) if data[:1] == b"F" else state_of(data))


def of_kind(parcels: Sequence[Parcel], kind: str) -> list[Any]:
    """What the parcels of a kind hold."""
    return [parcel.content for parcel in parcels if parcel.kind == kind]


def frame_of(data: bytes) -> pl.DataFrame:
    """The frame in a parcel."""
    return pl.read_ipc_stream(io.BytesIO(memoryview(data)[1:]))


def state_of(data: bytes) -> Any:  # noqa: ANN401  # whichever stage's state it is
    """The state in a parcel."""
    size = int.from_bytes(data[1:9], "big")
    return pickle.loads(pa.decompress(memoryview(data)[9:], size, codec=_CODEC))


def _pieces(content: object) -> Iterator[tuple[int, bytes]]:
    if isinstance(content, pl.DataFrame):
        for piece in content.iter_slices(LARGEST_ROWS) if content.height else ():
            out = io.BytesIO(b"F")
            out.seek(1)
            piece.write_ipc_stream(out, compression=_CODEC)
            yield piece.height, out.getvalue()
        return
    plain = pickle.dumps(content, protocol=4)  # of 5, each array would hold on to the whole
    yield 0, b"S" + len(plain).to_bytes(8, "big") + pa.compress(plain, codec=_CODEC, asbytes=True)
