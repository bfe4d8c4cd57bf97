"""Expressions over rows, with the same bits for a row whatever rows stand beside it."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl


def evaluated(rows: pl.DataFrame, expressions: Iterable[pl.Expr]) -> pl.DataFrame:
    """Row-wise expressions of `rows`.

    Polars divides a column by a constant as a product with its reciprocal, but truly where the column is one row, or one value over and
    over: the last bit of a row's value would depend on whether it is alone. So a row gets an empty one beside it.
    """
    if rows.height == 1:
        return pl.concat([rows, rows.clear(1)], rechunk=True).select(expressions)[:1]
    return rows.rechunk().select(expressions)
