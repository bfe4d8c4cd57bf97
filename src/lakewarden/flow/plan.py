"""What decode looks for in an event: the contract's properties by kind, and where their columns stand."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import polars as pl

from lakewarden.contracts.compiler import CompiledContract
from lakewarden.flow.scanner import BOOLEAN, INTEGER, NUMBER, OTHER, TEXT, TEXTS, TIME, Keys
from lakewarden.tables import EVENT_PROPERTIES, UTC_US

ENVELOPE: Final = "enqueued_time"
"""The reserved envelope property: when the event was enqueued. It is no part of the transaction, so it is never in `extra`."""

_KINDS: Final[dict[pl.DataType, int]] = {
    pl.String(): TEXT,
    UTC_US: TIME,
    pl.Float64(): NUMBER,
    pl.Int64(): INTEGER,
    pl.Boolean(): BOOLEAN,
    pl.List(pl.String()): TEXTS,
}


@dataclass(frozen=True)
class Field:
    """One property: its column type, its kind for the scanner, its slot among the properties of that kind."""

    name: str
    dtype: pl.DataType
    kind: int
    slot: int
    kept: bool
    """Whether its value also goes to `extra`, because no table has a column for it."""


@dataclass(frozen=True, eq=False)
class DecodePlan:
    """The fields of one contract and the scanner's form of them."""

    fields: tuple[Field, ...]
    keys: Keys
    absent: tuple[tuple[str, pl.DataType], ...]
    """Columns of the tables that this contract has no property for: null."""


@lru_cache(maxsize=8)
def plan(contract: CompiledContract) -> DecodePlan:
    """The decode plan of a contract (remembered by the contract's identity)."""
    fields: list[Field] = []
    used: dict[int, int] = {}
    for name, dtype in [*contract.properties.items(), (ENVELOPE, UTC_US)]:
        kind = _KINDS.get(dtype, OTHER)
        kept = name not in EVENT_PROPERTIES and name != ENVELOPE
        fields.append(Field(name, dtype, kind, used.get(kind, 0), kept))
        used[kind] = used.get(kind, 0) + 1
    encoded = [field.name.encode() for field in fields]
    keys = Keys(
        np.frombuffer(b"".join(encoded), dtype=np.uint8),
        np.cumsum([0, *map(len, encoded)], dtype=np.int64),
        np.array([field.kind for field in fields], dtype=np.int64),
        np.array([field.slot for field in fields], dtype=np.int64),
        np.array([field.kept for field in fields], dtype=np.bool_),
    )
    absent = tuple((name, dtype) for name, dtype in EVENT_PROPERTIES.items() if name not in contract.properties)
    return DecodePlan(tuple(fields), keys, absent)
