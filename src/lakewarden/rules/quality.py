"""Quality rules as data: YAML in the shape of Databricks DQX checks, with dimension, owner, and what a failure means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import polars as pl
import yaml

from lakewarden.errors import ConfigurationError
from lakewarden.rules.checks import Context, build
from lakewarden.rules.references import References
from lakewarden.rules.row_sql import condition
from lakewarden.settings import FlowSettings

DIMENSIONS: Final = ("completeness", "validity", "accuracy", "consistency", "timeliness")
"""What a rule may be about."""

_CRITICALITY: Final = {"critical": "critical", "warning": "warning", "error": "critical", "warn": "warning"}
_KEYS: Final = ("name", "dimension", "criticality", "hard", "enabled", "relaxed", "owner", "description", "check", "expression", "filter")
_BARE_SETTINGS: Final = FlowSettings.model_construct(**{name: field.default for name, field in FlowSettings.model_fields.items()})


@dataclass(frozen=True)
class QualityRule:
    """One quality rule.

    A failure of a critical rule rejects the row (dead letter); of a warning, marks it. A hard rule is critical and can't be
    relaxed; a relaxed rule is evaluated and reported, and marks instead of rejecting. A disabled one isn't evaluated.
    """

    name: str
    dimension: str
    criticality: str
    function: str
    arguments: tuple[tuple[str, Any], ...]
    hard: bool = False
    enabled: bool = True
    relaxed: bool = False
    owner: str = ""
    description: str = ""
    filter: str | None = None

    @property
    def rejects(self) -> bool:
        """Whether a failing row becomes a dead letter."""
        return self.criticality == "critical" and not self.relaxed


@dataclass(frozen=True)
class BoundRule:
    """A rule ready to run: where a row fails (None: its reference data is absent, or it is disabled), what it reads, says and shows."""

    rule: QualityRule
    fails: pl.Expr | None
    reads: frozenset[str]
    text: str
    shows: str | None


def load_rules(yaml_text: str) -> tuple[QualityRule, ...]:
    """The rules of a YAML text: a list, or `rules:` with a list, in its order.

    Raises:
        ConfigurationError: names the rule, the line and the key, and says what there is instead.
    """
    rules: dict[str, QualityRule] = {}
    for number, (item, lines) in enumerate(_items(yaml_text), start=1):
        named = item.get("name", f"number {number}") if isinstance(item, dict) else f"number {number}"
        try:
            rule = _rule(item)
            if rule.name in rules:
                raise _Wrong("name", "stands there twice")
        except _Wrong as wrong:
            raise _refused(f"quality rule {named} (line {lines.get(wrong.key, lines[''])})", str(wrong)) from wrong.__cause__
        rules[rule.name] = rule
    return tuple(rules.values())


def _items(yaml_text: str) -> list[tuple[Any, dict[str, int]]]:
    """Each rule of a YAML text as it stands there, with the line of each of its keys; '' is its first line."""
    loader = yaml.SafeLoader(yaml_text)
    try:
        node = loader.get_single_node()
        data = loader.construct_document(node) if node is not None else None
    except yaml.YAMLError as error:
        raise _refused("the quality rules", f"can't be read as YAML: {' '.join(str(error).split())}") from error
    finally:
        loader.dispose()
    if isinstance(node, yaml.MappingNode) and isinstance(data, dict):
        node = next((value for key, value in node.value if key.value == "rules"), None)
        data = data.get("rules")
    if not isinstance(node, yaml.SequenceNode) or not isinstance(data, list):
        raise _refused("the quality rules", "must be a list of rules, or have a list `rules`")
    out = []
    for item, place in zip(data, node.value, strict=True):
        keys = place.value if isinstance(place, yaml.MappingNode) else []
        out.append((item, {"": place.start_mark.line + 1} | {str(key.value): key.start_mark.line + 1 for key, _ in keys}))
    return out


def default_rules() -> str:
    """The text of the rules that come with the package."""
    return (resources.files("lakewarden") / "conf" / "dq_rules.yaml").read_text(encoding="utf-8")


def bind(rules: tuple[QualityRule, ...], references: References, settings: FlowSettings) -> tuple[BoundRule, ...]:
    """The rules ready to run under these references and settings; prepared once and remembered with the references."""
    return references.derive(("quality rules", rules, settings), lambda refs: tuple(_bind(rule, Context(refs, settings)) for rule in rules))


def check_columns(bound: Sequence[BoundRule], schema: Mapping[str, pl.DataType]) -> None:
    """Refuse rules that would fail once rows come: a column that isn't there, or one of a type that the check can't read.

    Raises:
        ConfigurationError: names the rule and the columns.
    """
    nothing = pl.DataFrame(schema=dict(schema))
    for each in bound:
        unknown = sorted(each.reads - set(schema))
        if unknown:
            raise _refused(f"quality rule {each.rule.name}", f"reads {', '.join(unknown)}, which events don't have")
        if each.fails is None:
            continue
        try:
            dtype = nothing.select(each.fails.alias("it")).schema["it"]
        except pl.exceptions.PolarsError as error:
            raise _refused(f"quality rule {each.rule.name}", f"can't be evaluated: {' '.join(str(error).split())[:300]}") from error
        if dtype != pl.Boolean:
            raise _refused(f"quality rule {each.rule.name}", f"gives {dtype}, not true or false")


class _Wrong(Exception):
    """Something is wrong at a key of a rule."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"{key}: {why}")
        self.key = key


def _refused(what: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"{what}: {why}", state="the rules in force stay in force", next="correct conf/dq_rules.yaml")


def _rule(item: Any) -> QualityRule:  # noqa: ANN401  # YAML may hold anything
    if not isinstance(item, dict):
        raise _Wrong("rule", "must have keys and values")
    for key in item:
        if key not in _KEYS:
            raise _Wrong(str(key), f"isn't known; there are {', '.join(_KEYS)}")
    function, arguments = _check(item)
    criticality = _CRITICALITY.get(str(item.get("criticality", "error")))
    if criticality is None:
        raise _Wrong("criticality", f"must be critical (error) or warning (warn), not {item['criticality']!r}")
    if item.get("dimension") not in DIMENSIONS:
        raise _Wrong("dimension", f"must be one of {', '.join(DIMENSIONS)}, not {item.get('dimension')!r}")
    hard, enabled, relaxed = _flag(item, "hard", False), _flag(item, "enabled", True), _flag(item, "relaxed", False)
    if hard and criticality != "critical":
        raise _Wrong("hard", "a hard rule must be critical")
    if hard and (relaxed or not enabled):
        raise _Wrong("relaxed" if relaxed else "enabled", "a hard rule can't be relaxed or disabled")
    if item.get("filter") is not None:
        _parsed(_text(item, "filter"), "filter")
    return QualityRule(
        name=_name(item, function, arguments),
        dimension=item["dimension"],
        criticality=criticality,
        function=function,
        arguments=tuple((key, tuple(value) if isinstance(value, list) else value) for key, value in arguments.items()),
        hard=hard,
        enabled=enabled,
        relaxed=relaxed,
        owner=_text(item, "owner"),
        description=_text(item, "description"),
        filter=item.get("filter"),
    )


def _check(item: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The function and its arguments: of `check`, or of `expression` as `sql_expression`."""
    if ("check" in item) == ("expression" in item):
        raise _Wrong("check", "a rule has a check or an expression, one of them")
    if "expression" in item:
        function, arguments = "sql_expression", {"expression": _text(item, "expression")}
        if item.get("description"):
            arguments["msg"] = _text(item, "description")
    else:
        check = item["check"]
        if not isinstance(check, dict) or not isinstance(check.get("function"), str) or set(check) - {"function", "arguments"}:
            raise _Wrong("check", "must have a function and its arguments")
        function, arguments = check["function"], check.get("arguments") or {}
        if not isinstance(arguments, dict):
            raise _Wrong("check", "arguments must have names and values")
    try:
        build(function, arguments, Context(References({}), _BARE_SETTINGS))
    except ValueError as error:
        raise _Wrong("expression" if "expression" in item else "check", str(error)) from error
    return function, arguments


def _name(item: dict[str, Any], function: str, arguments: Mapping[str, Any]) -> str:
    name = item.get("name", f"{arguments.get('column', 'row')}_{function}")
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise _Wrong("name", f"must be lower-case letters, digits and underscores, not {name!r}")
    return name


def _flag(item: dict[str, Any], key: str, default: bool) -> bool:
    value = item.get(key, default)
    if not isinstance(value, bool):
        raise _Wrong(key, f"must be true or false, not {value!r}")
    return value


def _text(item: dict[str, Any], key: str) -> str:
    value = item.get(key, "")
    if not isinstance(value, str):
        raise _Wrong(key, f"must be a text, not {value!r}")
    return " ".join(value.split())


def _parsed(sql: str, key: str) -> pl.Expr:
    try:
        return condition(sql)
    except ValueError as error:
        raise _Wrong(key, str(error)) from error


def _bind(rule: QualityRule, context: Context) -> BoundRule:
    made = build(rule.function, dict(rule.arguments), context)
    if made.fails is None or not rule.enabled:
        return BoundRule(rule, None, frozenset(), made.text, None)
    fails, reads = made.fails, set(made.fails.meta.root_names())
    if rule.filter:
        speaks = condition(rule.filter)
        reads |= set(speaks.meta.root_names())
        fails = pl.when(speaks).then(fails)
    return BoundRule(rule, fails, frozenset(reads), made.text, made.shows)
