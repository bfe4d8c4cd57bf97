"""Compiles the event contract, a JSON Schema, to column types and vectorised checks.

What a keyword means is the JSON Schema standard's business (draft 2020-12); a keyword that can't be compiled to the same verdict
is refused by name, never skipped. One convention is ours: an explicit null counts as a missing property.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import polars as pl

from lakewarden.contracts.catalog import load, load_scores
from lakewarden.contracts.keywords import ANNOTATIONS, APPLIES, compile_keyword
from lakewarden.errors import ContractError
from lakewarden.tables import BRONZE, EVENT_PROPERTIES, SILVER, UTC_US

__all__ = ["Check", "CompiledContract", "compile_contract", "load", "load_scores"]

_OURS: Final = {"enqueued_time", "enqueued_time_text", "event_time_text", "codes", "reasons", "decoded", "first_seq"}
RESERVED: Final = frozenset({*BRONZE.columns, *SILVER.columns, *_OURS} - set(EVENT_PROPERTIES))
"""Names of columns that a contract's property can't have."""

_SCALARS: Final[dict[str, pl.DataType]] = {
    "string": pl.String(),
    "number": pl.Float64(),
    "integer": pl.Int64(),
    "boolean": pl.Boolean(),
}


class Check(NamedTuple):
    """One check of the contract: a stable code, plain text, an expression that is True where a row violates it, its property."""

    code: str
    text: str
    violates: pl.Expr
    field: str


@dataclass(frozen=True, eq=False)
class CompiledContract:
    """An event contract ready to run.

    `properties` are column types by name, in the schema's order; a date-time property is also a text column `<name>_text`,
    which is what its checks read. `checks` run over the columns that :func:`lakewarden.flow.decode.decode` gives.
    """

    id: str
    version: int
    properties: Mapping[str, pl.DataType]
    required: tuple[str, ...]
    checks: tuple[Check, ...]
    schema: Mapping[str, Any]

    def __reduce__(self) -> tuple[Any, tuple[dict[str, Any]]]:
        return compile_contract, (dict(self.schema),)


def compile_contract(schema: Mapping[str, Any]) -> CompiledContract:
    """Compile a JSON Schema of events.

    Raises:
        ContractError: the schema is no schema of an object, uses a keyword that can't be compiled (named with its place), gives
            a property another type than the tables store, or names it like a column of ours.
    """
    _check_top(schema)
    properties: dict[str, pl.DataType] = {}
    checks: list[Check] = []
    required = tuple(dict.fromkeys(schema.get("required", ())))
    for name, described in schema["properties"].items():
        place = f"properties.{name}"
        dtype, nullable = _dtype(described, place, top=True)
        if nullable and name in required:
            raise _refusal(f"{place}.type", "a required property can't be null, because null counts as missing")
        _check_name(name, dtype)
        properties[name] = dtype
        column = pl.col(f"{name}_text" if dtype == UTC_US else name)
        if name in required:
            checks.append(Check(f"missing:{name}", f"{name}: is required and missing", column.is_null(), name))
        checks.extend(_checks(name, described, column, place))
    absent = [name for name in required if name not in properties]
    if absent:
        raise _refusal("required", f"names {', '.join(absent)}, which `properties` doesn't describe")
    return CompiledContract(
        id=schema["$id"],
        version=int(schema["$id"].rpartition(":")[2]),
        properties=MappingProxyType(properties),
        required=required,
        checks=tuple(checks),
        schema=MappingProxyType(dict(schema)),
    )


def _refusal(place: str, why: str) -> ContractError:
    return ContractError(
        f"the contract can't be compiled: `{place}` {why}",
        state="the contract in force is unchanged",
        next="change the schema and try again",
    )


def _check_top(schema: Mapping[str, Any]) -> None:
    if not re.fullmatch(r".+:[0-9]+", str(schema.get("$id", ""))):
        raise _refusal("$id", "must end in a colon and the version, such as urn:lakewarden:contract:transactions:3")
    if schema.get("type") != "object":
        raise _refusal("type", "must be object")
    if not isinstance(schema.get("properties"), Mapping):
        raise _refusal("properties", "must describe the properties")
    if schema.get("additionalProperties", True) not in (True, {}):
        raise _refusal("additionalProperties", "can't be restricted: further properties are kept")
    for keyword in schema:
        known = {"type", "properties", "required", "additionalProperties"}
        if keyword not in known | ANNOTATIONS and not keyword.startswith("x-"):
            raise _refusal(keyword, "is a keyword that isn't compiled")


def _check_name(name: str, dtype: pl.DataType) -> None:
    stored = EVENT_PROPERTIES.get(name)
    if stored is not None and stored != dtype:
        raise _refusal(f"properties.{name}.type", f"gives {dtype}, but the tables store {stored}")
    if name in RESERVED or name.endswith("_text"):
        raise _refusal(f"properties.{name}", "is a name that the tables use for something else")


def _dtype(described: Any, place: str, *, top: bool) -> tuple[pl.DataType, bool]:  # noqa: ANN401  # a schema may hold anything
    """The column type of a described value and whether it may be null."""
    if not isinstance(described, Mapping) or "type" not in described:
        raise _refusal(f"{place}.type", "is missing; say which type it has")
    kind = described["type"]
    nullable = False
    if isinstance(kind, list):
        nullable = "null" in kind
        kinds = [each for each in kind if each != "null"]
        kind = kinds[0] if len(kinds) == 1 else kind
    if nullable and not top:
        raise _refusal(f"{place}.type", "allows null inside an array, which isn't compiled")
    if kind == "array":
        if "items" not in described:
            raise _refusal(f"{place}.items", "is missing; say which type they have")
        return pl.List(_dtype(described["items"], f"{place}.items", top=False)[0]), nullable
    if not isinstance(kind, str) or kind not in _SCALARS:
        raise _refusal(f"{place}.type", f"{kind!r} isn't compiled; these are: {', '.join(_SCALARS)}, array")
    if kind == "string" and "format" in described:
        if described["format"] != "date-time" or not top:
            raise _refusal(f"{place}.format", f"{described['format']!r} isn't compiled here; date-time of a property is")
        return UTC_US, nullable
    return _SCALARS[kind], nullable


def _checks(name: str, described: Mapping[str, Any], value: pl.Expr, place: str) -> list[Check]:
    """The checks of one property, those of an array's items included."""
    checks = []
    for keyword, text, violates in _violations(described, value, place):
        violated = pl.col(name).is_null() & value.is_not_null() if keyword == "format" else violates
        checks.append(Check(f"contract:{name}:{keyword}", f"{name}: {text}", violated, name))
    return checks


def _violations(described: Mapping[str, Any], value: pl.Expr, place: str) -> list[tuple[str, str, pl.Expr]]:
    """Keyword, plain text and expression of everything that `described` asks of `value`."""
    kind = described["type"]
    if isinstance(kind, list):
        kind = next(each for each in kind if each != "null")
    found = []
    for keyword, wanted in described.items():
        if keyword == "type" or keyword in ANNOTATIONS or keyword.startswith("x-"):
            continue
        if keyword == "items":
            for inner, text, violates in _violations(wanted, pl.element(), f"{place}.items"):
                found.append((f"items.{inner}", f"an item {text}", value.list.eval(violates).list.any()))
            continue
        if keyword not in APPLIES:
            raise _refusal(f"{place}.{keyword}", "is a keyword that isn't compiled")
        if kind not in APPLIES[keyword]:
            raise _refusal(f"{place}.{keyword}", f"says nothing about a {kind}")
        try:
            text, violates = compile_keyword(keyword, wanted, value, kind)
        except ValueError as error:
            raise _refusal(f"{place}.{keyword}", str(error)) from None
        found.append((keyword, text, violates))
    return found
