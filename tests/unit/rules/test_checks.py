from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from lakewarden.rules.checks import FUNCTIONS, Context, build
from lakewarden.rules.references import References
from lakewarden.settings import FlowSettings

ARRIVAL = datetime(2024, 6, 10, 12, tzinfo=UTC)
SETTINGS = FlowSettings(future_tolerance_seconds=60, late_after_seconds=3600)
CURRENCIES = pl.DataFrame({"currency": ["EUR", "USD"], "exponent": [2, 2]}, schema_overrides={"exponent": pl.Int8})
MANY = pl.DataFrame({"account_id": [f"A{i}" for i in range(5000)], "single_limit_minor": 1, "daily_limit_minor": 1})
CONTEXT = Context(References({"currencies": CURRENCIES, "limits": MANY}), SETTINGS)


def fails(function: str, values: list[Any], **arguments: Any) -> list[bool | None]:
    """Where a column `v` of `values` fails the check."""
    rows = pl.DataFrame({"v": values, "w": values[::-1]}).with_columns(pl.lit(ARRIVAL).alias("arrival_time"))
    condition = build(function, {"column": "v", **arguments} if "column1" not in arguments else arguments, CONTEXT)
    assert condition.fails is not None
    return rows.select(condition.fails.alias("fails"))["fails"].to_list()


def before(**span: float) -> datetime:
    return ARRIVAL - timedelta(**span)


@pytest.mark.parametrize(
    ("function", "arguments", "values", "expected"),
    [
        ("is_not_null", {}, ["x", "", None], [False, False, True]),
        ("is_not_empty", {}, ["x", "", " ", None], [False, True, False, None]),
        ("is_not_empty", {"trim_strings": True}, ["x", " ", None], [False, True, None]),
        ("is_not_null_and_not_empty", {}, ["x", "", None], [False, True, True]),
        ("is_not_null_and_not_empty", {"trim_strings": True}, ["x", " \t", None], [False, True, True]),
        ("is_not_null_and_not_empty_array", {}, [["x"], [], None], [False, True, True]),
        ("is_in_list", {"allowed": ["a", "b"]}, ["a", "B", None], [False, True, None]),
        ("is_in_list", {"allowed": ["a", "B"], "case_sensitive": False}, ["A", "b", "c"], [False, False, True]),
        ("is_not_in_list", {"forbidden": ["a"]}, ["a", "b", None], [True, False, None]),
        ("is_not_null_and_is_in_list", {"allowed": ["a"]}, ["a", "b", None], [False, True, True]),
        ("is_in_range", {"min_limit": 1, "max_limit": 2.5}, [1.0, 2.5, 0.9, 2.6, None], [False, False, True, True, None]),
        ("is_in_range", {"min_limit": 0, "max_limit": "w"}, [1.0, 2.0, 3.0], [False, False, True]),
        ("is_not_in_range", {"min_limit": 1, "max_limit": 2}, [0, 1, 2, 3, None], [False, True, True, False, None]),
        ("is_not_less_than", {"limit": 2}, [1, 2, None], [True, False, None]),
        ("is_not_greater_than", {"limit": 2}, [2, 3, None], [False, True, None]),
        ("is_equal_to", {"value": 0}, [0, 1, None], [False, True, None]),
        ("is_equal_to", {"value": "'a'"}, ["a", "b"], [False, True]),
        ("is_not_equal_to", {"value": 0}, [0, 1, None], [True, False, None]),
        ("regex_match", {"regex": "^[0-9]{4}$"}, ["1234", "12345", "1234\n", None], [False, True, True, None]),
        ("regex_match", {"regex": "x", "negate": True}, ["axb", "ab"], [True, False]),
        ("is_in_reference", {"reference": "currencies"}, ["EUR", "EUX", None], [False, True, None]),
        ("is_in_reference", {"reference": "limits"}, ["A4999", "A5000", "", None], [False, True, True, None]),
        ("is_in_reference", {"reference": "limits", "reference_column": "account_id"}, ["A0"], [False]),
        ("is_not_in_future", {}, [before(), before(seconds=-60), before(seconds=-61)], [False, False, True]),
        ("is_not_in_future", {"offset": 0}, [before(), before(seconds=-1)], [False, True]),
        ("is_data_fresh", {}, [before(seconds=3600), before(seconds=3601), None], [False, True, None]),
        ("is_data_fresh", {"max_age_minutes": 5}, [before(seconds=300), before(seconds=301)], [False, True]),
        ("is_older_than_n_days", {"days": 3}, [before(days=2), before(days=3), before(days=4)], [True, True, False]),
        ("is_older_than_n_days", {"days": 3, "negate": True}, [before(days=2), before(days=4)], [False, True]),
        ("is_valid_timestamp", {}, ["2024-02-29T10:00:00Z", "2023-02-29T10:00:00Z", "2024-01-01", None], [False, True, True, None]),
        ("is_valid_date", {}, ["2024-02-29", "2023-02-29", None], [False, True, None]),
        ("is_valid_date", {"date_format": "%d.%m.%Y"}, ["29.02.2024", "2024-02-29"], [False, True]),
    ],
)
def test_each_check_fails_what_it_should(function: str, arguments: dict[str, Any], values: list[Any], expected: list[bool | None]) -> None:
    assert fails(function, values, **arguments) == expected


def test_two_times_are_compared_by_their_days() -> None:
    arguments = {"column1": "v", "column2": "w", "days": 1}
    assert fails("is_older_than_col2_for_n_days", [before(days=3), before()], **arguments) == [False, True]


def test_an_expression_must_hold_and_a_null_is_not_evaluated() -> None:
    rows = pl.DataFrame({"a": [1, 2, None], "b": [2, 2, 2]})
    for negate, expected in ((False, [False, True, None]), (True, [True, False, None])):
        condition = build("sql_expression", {"expression": "a < b", "negate": negate}, CONTEXT)
        assert condition.fails is not None
        assert rows.select(condition.fails.alias("f"))["f"].to_list() == expected


def test_a_foreign_key_of_dqx_is_a_reference() -> None:
    arguments = {"columns": ["v"], "ref_columns": ["currency"], "ref_df_name": "currencies"}
    condition = build("foreign_key", arguments, CONTEXT)
    assert condition.fails is not None
    assert pl.DataFrame({"v": ["EUR", "X"]}).select(condition.fails.alias("f"))["f"].to_list() == [False, True]


def test_a_check_whose_reference_is_absent_is_not_evaluated() -> None:
    assert build("is_in_reference", {"column": "v", "reference": "kyc"}, CONTEXT).fails is None


def test_every_function_is_in_the_list_above() -> None:
    marks = test_each_check_fails_what_it_should.pytestmark
    tried = {case[0] for case in marks[0].args[1]} | {"is_older_than_col2_for_n_days", "sql_expression", "foreign_key"}
    assert tried == set(FUNCTIONS)


@pytest.mark.parametrize(
    ("function", "arguments", "says"),
    [
        ("is_unique", {"columns": ["a"]}, "function 'is_unique' isn't known; there are foreign_key, is_data_fresh"),
        ("is_not_null", {}, "argument 'column' is missing; is_not_null takes column"),
        ("is_not_null", {"col_name": "a"}, "argument 'col_name' isn't known; is_not_null takes column"),
        ("is_not_null", {"column": 5}, "argument 'column' must be a text, not 5"),
        ("is_in_list", {"column": "a", "allowed": "x"}, "argument 'allowed' must be a list, not 'x'"),
        ("is_in_list", {"column": "a", "allowed": []}, "the list must not be empty"),
        ("is_in_list", {"column": "a", "allowed": [{}]}, "the list must hold texts, numbers, or true and false"),
        ("is_in_list", {"column": "a", "allowed": [1, "x"]}, "can't be used with these arguments"),
        ("is_not_less_than", {"column": "a", "limit": True}, "argument 'limit' must be a whole number or a number or a text, not True"),
        ("is_not_less_than", {"column": "a", "limit": "SUM(a)"}, "uses SUM; a rule sees one row"),
        ("regex_match", {"column": "a", "regex": "(?=x)"}, "look-around"),
        ("is_in_reference", {"column": "a", "reference": "banks"}, "reference 'banks' doesn't exist; there are kyc"),
        ("is_in_reference", {"column": "a", "reference": "currencies", "reference_column": "exponent"}, "no text column of currencies"),
        ("foreign_key", {"columns": ["a", "b"], "ref_columns": ["x"], "ref_df_name": "fx"}, "one column each"),
        ("sql_expression", {"expression": "amount >"}, "can't be parsed"),
        ("sql_expression", {"expression": "1 = 1"}, "names no column"),
    ],
)
def test_what_is_wrong_with_a_check_is_said(function: str, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        build(function, arguments, CONTEXT)
    assert says in str(raised.value)
