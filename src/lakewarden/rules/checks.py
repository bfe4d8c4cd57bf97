"""Check functions of quality rules, named and parametrised as in Databricks DQX where it has them.

Each gives an expression over one row: True where the row fails, False where it passes, null where there is nothing to evaluate
(a null value; only the `is_not_null*` functions speak of nulls). "Now" is the row's `arrival_time`: a check has no clock.
Functions of DQX that look at other rows (`is_unique`, aggregates) aren't here: a verdict may not depend on the cut.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import polars as pl

from lakewarden.rules.lookup import Lookup
from lakewarden.rules.references import KEYS, SCHEMAS, References
from lakewarden.rules.row_sql import condition
from lakewarden.settings import FlowSettings


class Context(NamedTuple):
    """What a check may read besides its arguments."""

    references: References
    settings: FlowSettings


class Condition(NamedTuple):
    """A check made ready: where a row fails, what a row must be (for its reason), the column that the reason shows, if one.

    `fails` is None where the check can't be evaluated because its reference data is absent.
    """

    fails: pl.Expr | None
    text: str
    shows: str | None = None


_NOW: Final = pl.col("arrival_time")
_FEW: Final = 1000
"""Up to this many reference keys are compared as a list; more are looked up in a prepared dictionary."""


def is_not_null(context: Context, column: str) -> Condition:
    """The value must be there."""
    return Condition(pl.col(column).is_null(), f"{column} must not be missing")


def is_not_empty(context: Context, column: str, trim_strings: bool = False) -> Condition:
    """The text must not be empty; it may be missing."""
    return Condition(_trimmed(column, trim_strings) == "", f"{column} must not be empty")


def is_not_null_and_not_empty(context: Context, column: str, trim_strings: bool = False) -> Condition:
    """The text must be there and not be empty."""
    fails = pl.col(column).is_null() | (_trimmed(column, trim_strings) == "")
    return Condition(fails, f"{column} must not be missing or empty")


def is_not_null_and_not_empty_array(context: Context, column: str) -> Condition:
    """The list must be there and hold an item."""
    fails = pl.col(column).is_null() | (pl.col(column).list.len() == 0)
    return Condition(fails, f"{column} must hold at least one item")


def is_in_list(context: Context, column: str, allowed: list[Any], case_sensitive: bool = True) -> Condition:
    """The value must be one of `allowed`."""
    return Condition(~_member(column, allowed, case_sensitive), f"{column} must be one of {_list(allowed)}", column)


def is_not_in_list(context: Context, column: str, forbidden: list[Any], case_sensitive: bool = True) -> Condition:
    """The value must not be one of `forbidden`."""
    return Condition(_member(column, forbidden, case_sensitive), f"{column} must not be one of {_list(forbidden)}", column)


def is_not_null_and_is_in_list(context: Context, column: str, allowed: list[Any], case_sensitive: bool = True) -> Condition:
    """The value must be there and be one of `allowed`."""
    fails = pl.col(column).is_null() | ~_member(column, allowed, case_sensitive)
    return Condition(fails, f"{column} must be there and one of {_list(allowed)}", column)


def is_in_range(context: Context, column: str, min_limit: float | str, max_limit: float | str) -> Condition:
    """The value must lie between two limits, both included; a limit is a number or an SQL expression."""
    value = pl.col(column)
    fails = (value < _limit(min_limit)) | (value > _limit(max_limit))
    return Condition(fails, f"{column} must be between {_said(min_limit)} and {_said(max_limit)}", column)


def is_not_in_range(context: Context, column: str, min_limit: float | str, max_limit: float | str) -> Condition:
    """The value must not lie between two limits, both included."""
    value = pl.col(column)
    fails = (value >= _limit(min_limit)) & (value <= _limit(max_limit))
    return Condition(fails, f"{column} must not be between {_said(min_limit)} and {_said(max_limit)}", column)


def is_not_less_than(context: Context, column: str, limit: float | str) -> Condition:
    """The value must be at least `limit`."""
    return Condition(pl.col(column) < _limit(limit), f"{column} must be at least {_said(limit)}", column)


def is_not_greater_than(context: Context, column: str, limit: float | str) -> Condition:
    """The value must be at most `limit`."""
    return Condition(pl.col(column) > _limit(limit), f"{column} must be at most {_said(limit)}", column)


def is_equal_to(context: Context, column: str, value: float | str) -> Condition:
    """The value must equal `value`: a number, or an SQL expression ('text' in single quotes)."""
    return Condition(pl.col(column) != _limit(value), f"{column} must be {_said(value)}", column)


def is_not_equal_to(context: Context, column: str, value: float | str) -> Condition:
    """The value must differ from `value`: a number, or an SQL expression ('text' in single quotes)."""
    return Condition(pl.col(column) == _limit(value), f"{column} must not be {_said(value)}", column)


def regex_match(context: Context, column: str, regex: str, negate: bool = False) -> Condition:
    """The text must match `regex` somewhere (use ^ and $ for all of it); with `negate`, must not."""
    try:
        pl.Series([""]).str.contains(regex)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"regex {regex!r} can't be used: look-around and back-references can't") from error
    matches = pl.col(column).str.contains(regex)
    return Condition(matches if negate else ~matches, f"{column} must {'not ' if negate else ''}match {regex}", column)


def is_in_reference(context: Context, column: str, reference: str, reference_column: str | None = None) -> Condition:
    """The value must stand in a reference table (in its key, unless `reference_column` says where)."""
    if reference not in SCHEMAS:
        raise ValueError(f"reference {reference!r} doesn't exist; there are {', '.join(SCHEMAS)}")
    key = reference_column or KEYS[reference][0]
    if key not in SCHEMAS[reference] or SCHEMAS[reference][key] != pl.String():
        raise ValueError(f"reference_column {key!r} is no text column of {reference}")
    text = f"{column} must be known in {reference}"
    if context.references.get(reference) is None:
        return Condition(None, text, column)
    absent = context.references.derive(("keys", reference, key, column), lambda references: _absence(references, reference, key, column))
    return Condition(absent, text, column)


def foreign_key(context: Context, columns: list[Any], ref_columns: list[Any], ref_df_name: str) -> Condition:
    """As in DQX, for one column: its value must stand in `ref_columns` of the reference table `ref_df_name`."""
    if len(columns) != 1 or len(ref_columns) != 1:
        raise ValueError("columns and ref_columns must name one column each")
    return is_in_reference(context, columns[0], ref_df_name, ref_columns[0])


def is_not_in_future(context: Context, column: str, offset: int | None = None) -> Condition:
    """The time must not lie later than arrival by more than `offset` seconds (else the release's `future_tolerance_seconds`)."""
    seconds = context.settings.future_tolerance_seconds if offset is None else offset
    fails = pl.col(column) > _NOW + pl.duration(seconds=seconds)
    return Condition(fails, f"{column} must not be later than its arrival by more than {seconds:,} s", column)


def is_data_fresh(context: Context, column: str, max_age_minutes: int | None = None) -> Condition:
    """The time must not lie before arrival by more than `max_age_minutes` (else the release's `late_after_seconds`)."""
    seconds = context.settings.late_after_seconds if max_age_minutes is None else max_age_minutes * 60
    fails = pl.col(column) < _NOW - pl.duration(seconds=seconds)
    return Condition(fails, f"{column} must not be older than {seconds:,} s at its arrival", column)


def is_older_than_n_days(context: Context, column: str, days: int, negate: bool = False) -> Condition:
    """The time's date must be at least `days` before the date of arrival; with `negate`, must not be."""
    younger = pl.col(column).dt.date() >= _NOW.dt.date() - pl.duration(days=days)
    text = f"{column} must {'not ' if negate else ''}be older than {days:,} days at its arrival"
    return Condition(~younger if negate else younger, text, column)


def is_older_than_col2_for_n_days(context: Context, column1: str, column2: str, days: int = 0, negate: bool = False) -> Condition:
    """The first time's date must be at least `days` before the second's; with `negate`, must not be."""
    younger = pl.col(column1).dt.date() >= pl.col(column2).dt.date() - pl.duration(days=days)
    text = f"{column1} must {'not ' if negate else ''}be older than {column2} by {days:,} days"
    return Condition(~younger if negate else younger, text)


def is_valid_timestamp(context: Context, column: str) -> Condition:
    """The text must be an RFC 3339 instant."""
    pattern = r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])[Tt]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$"
    value = pl.col(column)
    unreal = value.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False).is_null()
    fails = pl.when(value.is_not_null()).then(~value.str.contains(pattern) | unreal)
    return Condition(fails, f"{column} must be an RFC 3339 instant", column)


def is_valid_date(context: Context, column: str, date_format: str = "%Y-%m-%d") -> Condition:
    """The text must be a date in `date_format` (strftime)."""
    value = pl.col(column)
    fails = pl.when(value.is_not_null()).then(value.str.to_date(date_format, strict=False).is_null())
    return Condition(fails, f"{column} must be a date such as {date_format}", column)


def sql_expression(context: Context, expression: str, msg: str | None = None, negate: bool = False) -> Condition:
    """The SQL condition must hold (with `negate`, must not); `msg` says so in plain English."""
    holds = condition(expression)
    if not holds.meta.root_names():
        raise ValueError(f"expression {expression!r} names no column")
    return Condition(holds if negate else ~holds, msg or f"{'not ' if negate else ''}{' '.join(expression.split())}")


FUNCTIONS: Final[Mapping[str, Callable[..., Condition]]] = {
    function.__name__: function
    for function in (
        is_not_null,
        is_not_empty,
        is_not_null_and_not_empty,
        is_not_null_and_not_empty_array,
        is_in_list,
        is_not_in_list,
        is_not_null_and_is_in_list,
        is_in_range,
        is_not_in_range,
        is_not_less_than,
        is_not_greater_than,
        is_equal_to,
        is_not_equal_to,
        regex_match,
        is_in_reference,
        foreign_key,
        is_not_in_future,
        is_data_fresh,
        is_older_than_n_days,
        is_older_than_col2_for_n_days,
        is_valid_timestamp,
        is_valid_date,
        sql_expression,
    )
}
"""Every check function by its name."""

_ACCEPTS: Final[Mapping[str, tuple[type, ...]]] = {
    "str": (str,),
    "str | None": (str,),
    "bool": (bool,),
    "int": (int,),
    "int | None": (int,),
    "float | str": (int, float, str),
    "list[Any]": (list, tuple),
}


def build(function: str, arguments: Mapping[str, Any], context: Context) -> Condition:
    """The check `function` with its arguments, ready to run.

    Raises:
        ValueError: no such function, an argument is unknown, missing or of another type, or a value can't be used; the message
            names it and lists what there is.
    """
    if function not in FUNCTIONS:
        raise ValueError(f"function {function!r} isn't known; there are {', '.join(sorted(FUNCTIONS))}")
    parameters = dict(list(inspect.signature(FUNCTIONS[function]).parameters.items())[1:])
    takes = f"{function} takes {', '.join(parameters)}"
    for name, value in arguments.items():
        if name not in parameters:
            raise ValueError(f"argument {name!r} isn't known; {takes}")
        accepted = _ACCEPTS[str(parameters[name].annotation)]
        if not isinstance(value, accepted) or (isinstance(value, bool) and bool not in accepted):
            raise ValueError(f"argument {name!r} must be {_types(accepted)}, not {value!r}")
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and name not in arguments:
            raise ValueError(f"argument {name!r} is missing; {takes}")
    try:
        return FUNCTIONS[function](context, **arguments)
    except (TypeError, OverflowError, pl.exceptions.PolarsError) as error:
        raise ValueError(f"{function} can't be used with these arguments: {' '.join(str(error).split())[:200]}") from error


def _types(accepted: tuple[type, ...]) -> str:
    words = {str: "a text", bool: "true or false", int: "a whole number", float: "a number", list: "a list"}
    return " or ".join(words[each] for each in accepted if each in words)


def _trimmed(column: str, trim: bool) -> pl.Expr:
    return pl.col(column).str.strip_chars() if trim else pl.col(column)


def _member(column: str, values: list[Any] | tuple[Any, ...], case_sensitive: bool) -> pl.Expr:
    if not values:
        raise ValueError("the list must not be empty")
    if not all(isinstance(each, str | int | float) for each in values):
        raise ValueError("the list must hold texts, numbers, or true and false")
    value = pl.col(column)
    if case_sensitive:
        return value.is_in(pl.Series(list(values)).implode())
    return value.str.to_lowercase().is_in(pl.Series([str(each).lower() for each in values]).implode())


def _absence(references: References, reference: str, key: str, column: str) -> pl.Expr:
    """Where the column's value stands in no row of the reference table; prepared once a release, whatever the table's size."""
    table = references.get(reference)
    known = pl.Series(key, dtype=pl.String) if table is None else table[key].drop_nulls()
    value = pl.col(column)
    if known.len() <= _FEW:
        return ~value.is_in(known.implode())
    lookup = Lookup.build((known if known.n_unique() == known.len() else known.unique()).to_frame(), key)
    return value.map_batches(lookup.lacks, return_dtype=pl.Boolean(), is_elementwise=True)


def _limit(limit: float | str) -> pl.Expr:
    return condition(limit) if isinstance(limit, str) else pl.lit(limit)


def _said(limit: float | str) -> str:
    return limit if isinstance(limit, str) else f"{limit:,}"


def _list(values: list[Any] | tuple[Any, ...]) -> str:
    shown = ", ".join(str(each) for each in values[:10])
    return f"{shown}, … ({len(values)} in all)" if len(values) > 10 else shown
