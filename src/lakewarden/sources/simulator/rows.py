"""The simulator's rows before they are JSON: one frame of small numbers."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from lakewarden.sources.simulator.draws import Ints

SCHEMA: Final[dict[str, pl.DataType]] = {
    "when": pl.Int64(),
    "account": pl.Int32(),
    "minor": pl.Int64(),
    "currency": pl.Int8(),
    "family": pl.Int8(),
    "country": pl.Int8(),
    "party_kind": pl.Int8(),
    "party": pl.Int32(),
    "device": pl.Int64(),
    "flags": pl.Int8(),
    "typology": pl.Int8(),
    "fault": pl.Int8(),
    "variant": pl.Int8(),
}
"""`when`: event time, ms since 1970; `account`: rank; `currency`, `country`, `family`, `flags`, `typology`, `fault`: positions in their
tuples; `party`: merchant, account rank or outside counterparty by `party_kind`; `device`: its number, -1 for none.
A day is held in memory like this, 40 bytes a row."""

NOBODY, MERCHANT, ACCOUNT, OUTSIDE = 0, 1, 2, 3
"""Kinds of party."""

_DEFAULTS: Final = {"party_kind": NOBODY, "party": 0, "device": -1, "flags": 0, "typology": 0, "fault": 0, "variant": 0}


def rows(*, when: Ints, **columns: Ints | int) -> pl.DataFrame:
    """A frame of `SCHEMA`; a single number stands for a whole column, and what isn't given has its default."""
    given: dict[str, Ints | int] = {**_DEFAULTS, **columns, "when": when}
    return pl.DataFrame([pl.Series(name, np.broadcast_to(given[name], when.shape)).cast(dtype) for name, dtype in SCHEMA.items()])
