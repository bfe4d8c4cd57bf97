"""Dead letters: what the flow rejects, each with every reason it was rejected for."""

from __future__ import annotations

from typing import Final

import polars as pl

from lakewarden.tables import DLQ, LINEAGE

EXCERPT: Final = 2000
"""Characters of the body that a dead letter keeps; bronze keeps all of it."""

COLUMNS: Final = pl.Schema({name: dtype for name, dtype in DLQ.columns.items() if name not in LINEAGE})
"""Columns of a dead letter, less lineage."""


def split(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part rows from dead letters.

    Args:
        rows: what the quality stage gave, with `body`.

    Returns:
        the rows without a reason, as they are, and the dead letters of the others (:data:`COLUMNS`).
    """
    rejected = rows["codes"].list.len() > 0
    if not rejected.any():
        return rows, _letters(rows.clear(), _stage())
    return rows.filter(~rejected), _letters(rows.filter(rejected), _stage())


def conflicts(rows: pl.DataFrame) -> pl.DataFrame:
    """Dead letters of rows whose transaction id came before with other content.

    Args:
        rows: decoded rows with `first_seq`, the `seq` of the first with the id.
    """
    first = pl.col("first_seq").cast(pl.Int64)
    reason = pl.format("transaction_id '{}' came before, as seq {}, with other content", pl.col("transaction_id").str.slice(0, 40), first)
    marked = rows.with_columns(
        first,
        pl.concat_list(pl.lit("conflicting_duplicate")).alias("codes"),
        pl.concat_list(reason).alias("reasons"),
    )
    return _letters(marked, pl.lit("deduplicate"))


def _stage() -> pl.Expr:
    """The first stage that found a reason, told by its code."""
    first = pl.col("codes").list.first()
    contract = first.str.starts_with("missing:") | first.str.starts_with("contract:")
    return pl.when(first.str.starts_with("dq:")).then(pl.lit("quality")).when(contract).then(pl.lit("contract")).otherwise(pl.lit("decode"))


def _letters(rows: pl.DataFrame, stage: pl.Expr) -> pl.DataFrame:
    size = pl.col("body").bin.size().cast(pl.Int64).fill_null(0).alias("body_bytes")
    missing = [pl.lit(None, dtype=COLUMNS[name]).alias(name) for name in ("first_seq",) if name not in rows.columns]
    out = rows.with_columns(stage.alias("stage"), size, *missing, _excerpts(rows["body"]))
    return out.select(pl.col(name).cast(dtype) for name, dtype in COLUMNS.items())


def _excerpts(bodies: pl.Series) -> pl.Series:
    """The first characters of each body; bytes that are no UTF-8 become U+FFFD."""
    # No character takes more than four bytes, so these hold every character of the excerpt.
    heads = bodies.fill_null(b"").bin.slice(0, 4 * EXCERPT)
    texts = pl.Series("body_excerpt", [head.decode(errors="replace") for head in heads.to_list()], dtype=pl.String)
    return texts.str.slice(0, EXCERPT)
