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
_NEVER: Final = frozenset({"CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "LOCALTIME", "LOCALTIMESTAMP", "OVER", "SELECT"})
"""Words that read a clock or look at other rows without parentheses."""

_TOKEN: Final = re.compile(
    r"""
    (?P<text>'(?:[^']|'')*')
    | (?P<beyond>--|/\*|::|"(?:[^"]|"")*"\s*\()
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<word>[A-Za-z_]\w*)(?P<call>\s*\()?
    """,
    re.VERBOSE,
)


def calls_beyond_a_row(sql: str) -> list[str]:
    """What stands in `sql` and may not, in upper case, sorted: functions that aren't :data:`ROW_BY_ROW`, the clock, other rows.

    Comments, casts by `::` (which can fail on a row) and quoted names that are called are among it.
    """
    found: set[str] = set()
    for token in _TOKEN.finditer(sql):
        word = (token["word"] or "").upper()
        if token["beyond"]:
            found.add(token["beyond"])
        elif word in _NEVER or (token["call"] and word not in ROW_BY_ROW | _WORDS_BEFORE_PARENTHESES):
            found.add(word)
    return sorted(found)


def condition(sql: str) -> pl.Expr:
    """`sql` as an expression over one row.

    Raises:
        ValueError: it can't be parsed, or calls a function that may look at other rows; the message says which.
    """
    called = calls_beyond_a_row(sql)
    if called:
        raise ValueError(f"{sql!r} uses {', '.join(called)}; a rule sees one row and may call {', '.join(sorted(ROW_BY_ROW))}")
    try:
        return pl.sql_expr(sql)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{sql!r} can't be parsed: {' '.join(str(error).split())[:200]}") from error
