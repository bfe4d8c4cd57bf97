from __future__ import annotations

import polars as pl
import pytest

from lakewarden.rules.row_sql import calls_beyond_a_row, condition


@pytest.mark.parametrize(
    ("sql", "beyond"),
    [
        ("amount > 1 AND NOT (country IN ('DE', 'FR'))", []),
        ("channel = 'SELECT -- :: sum(x) /*' AND \"amount\" > 1", []),
        ("LENGTH(transaction_id) <= 256 OR ROUND(ABS(amount)) = 1", []),
        ("amount > SUM(amount)", ["SUM"]),
        ("amount > sum (amount)", ["SUM"]),
        ('"SUM"(amount) > 1', ['"SUM"(']),
        ("amount > SUM/**/(amount)", ["/*"]),
        ("amount > 1 -- that's all", ["--"]),
        ("event_time > CURRENT_TIMESTAMP", ["CURRENT_TIMESTAMP"]),
        ("amount > (SELECT 1)", ["SELECT"]),
        ("amount::bigint > 1", ["::"]),
        ("CAST(amount AS BIGINT) > 1", ["CAST"]),
        ("'it''s' = channel AND now() > event_time", ["NOW"]),
    ],
)
def test_whatever_looks_beyond_its_row_is_found(sql: str, beyond: list[str]) -> None:
    assert calls_beyond_a_row(sql) == beyond


def test_a_condition_is_an_expression_over_a_row() -> None:
    rows = pl.DataFrame({"a": [1, 5, None]})
    assert rows.select(condition("a > 2").alias("it"))["it"].to_list() == [False, True, None]


def test_what_cannot_be_a_condition_says_why() -> None:
    with pytest.raises(ValueError, match="uses AVG; a rule sees one row and may call ABS"):
        condition("a > AVG(a)")
    with pytest.raises(ValueError, match="can't be parsed"):
        condition("a >> > 2")
