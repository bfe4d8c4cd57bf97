"""SQL conditions that look at one row: what a rule may call, so that a verdict never depends on how rows were cut."""

from __future__ import annotations

import re
from typing import Final

import polars as pl

ROW_BY_ROW: Final = frozenset(
    {
        *("ABS", "CEIL", "COALESCE", "FLOOR", "GREATEST", "IF", "IFNULL", "LEAST", "NULLIF", "ROUND", "SIGN"),
        *("ENDS_WITH", "LEFT", "LENGTH", "LOWER", "REGEXP_LIKE", "RIGHT", "STARTS_WITH", "SUBSTR", "UPPER"),
    }
)
"""The SQL functions that a rule may call: each looks at one row. Aggregates and windows would make a verdict depend on the cut."""

_WORDS_BEFORE_PARENTHESES: Final = frozenset({"AND", "BETWEEN", "CASE", "ELSE", "IN", "IS", "LIKE", "NOT", "OR", "THEN", "WHEN"})
_CALL: Final = re.compile(r"([A-Za-z_]\w*)\s*\(")
_SQL_TEXT: Final = re.compile(r"'(?:[^']|'')*'")


def calls_beyond_a_row(sql: str) -> list[str]:
    """The functions that `sql` calls and that a rule may not, in upper case, sorted."""
    called = {call.upper() for call in _CALL.findall(_SQL_TEXT.sub("''", sql))}
    return sorted(called - ROW_BY_ROW - _WORDS_BEFORE_PARENTHESES)


def condition(sql: str) -> pl.Expr:
    """`sql` as an expression over one row.

    Raises:
        ValueError: it can't be parsed, or calls a function that may look at other rows; the message says which.
    """
    called = calls_beyond_a_row(sql)
    if called:
        raise ValueError(f"{sql!r} calls {', '.join(called)}; a rule sees one row and may call {', '.join(sorted(ROW_BY_ROW))}")
    try:
        return pl.sql_expr(sql)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{sql!r} can't be parsed: {' '.join(str(error).split())[:200]}") from error
