"""Reasons against rows: two list columns, `codes` (stable, for machines) and `reasons` (plain English), of equal length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from lakewarden.flow.arrow import as_arrow

FOUND: Final = pl.Schema({"row": pl.Int64(), "code": pl.String(), "reason": pl.String()})
"""Reasons found against rows of a frame, by row number; a row's reasons stand in the order in which they were found."""

SHOWN: Final = 40
"""Characters of an offending value that a reason shows."""


def lists(name: str, height: int, rows: NDArray[np.int64], values: pl.Series) -> pl.Series:
    """A List(String) series: for each of `height` rows its values, in order; an empty list where it has none.

    Args:
        name: name of the series.
        height: number of rows.
        rows: for each value its row, ascending.
        values: texts, one for each entry of `rows`.
    """
    offsets = np.zeros(height + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=height), out=offsets[1:])
    array = pa.LargeListArray.from_arrays(as_arrow(offsets), values.rechunk().to_arrow())
    return pl.Series(name, pl.from_arrow(array), dtype=pl.List(pl.String))


def append(rows: pl.DataFrame, found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """`rows` with further reasons behind those that they have; the order of `found` is the order of a row's reasons.

    Args:
        rows: has `codes` and `reasons`.
        found: frames of the schema :data:`FOUND`.
    """
    new = [frame for frame in found if frame.height]
    if not new:
        return rows
    merged = pl.concat([held(rows), *new]).sort("row", maintain_order=True)
    at = merged["row"].to_numpy()
    return rows.with_columns(
        lists("codes", rows.height, at, merged["code"]),
        lists("reasons", rows.height, at, merged["reason"]),
    )


def held(rows: pl.DataFrame) -> pl.DataFrame:
    """The reasons that `rows` carry, one a line (:data:`FOUND`)."""
    counts = counts_of(rows)
    if not counts.any():
        return FOUND.to_frame()
    return pl.DataFrame(
        {
            "row": np.repeat(np.arange(rows.height), counts),
            "code": rows["codes"].list.explode(empty_as_null=False, keep_nulls=False),
            "reason": rows["reasons"].list.explode(empty_as_null=False, keep_nulls=False),
        },
        schema=FOUND,
    )


def counts_of(rows: pl.DataFrame) -> NDArray[np.int64]:
    """How many reasons each row carries."""
    return rows["codes"].list.len().cast(pl.Int64).to_numpy()


def found(at: NDArray[np.int64], code: str, text: str, values: pl.Series | None) -> pl.DataFrame:
    """One reason against each of the rows `at` (:data:`FOUND`), with the value that gave rise to it.

    Args:
        at: row numbers, ascending.
        code: the reason's code.
        text: the reason in plain English.
        values: the rows' values that the reason shows: texts in quotes, of lists the size; None: nothing is shown.
    """
    reason = pl.lit(text)
    if values is not None:
        value = pl.lit(values)
        if values.dtype == pl.String:
            shown = pl.format("'{}'", value.str.slice(0, SHOWN))
        elif isinstance(values.dtype, pl.List):
            shown = pl.format("{} items", value.list.len())
        else:
            shown = value.cast(pl.String)
        reason = pl.format("{}, got {}", reason, pl.when(value.is_not_null()).then(shown).otherwise(pl.lit("nothing")))
    return pl.select(pl.lit(pl.Series(at, dtype=pl.Int64)).alias("row"), pl.lit(code).alias("code"), reason.alias("reason"))
