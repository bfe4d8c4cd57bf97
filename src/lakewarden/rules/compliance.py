"""Compliance rules as data: what fires on a transaction, which band it raises it to, and how it is said to an analyst.

A rule is SQL over the columns of silver, row by row; a null means that it doesn't fire. Rules raise a band, never lower one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from typing import Final, Literal

import numpy as np
import polars as pl
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lakewarden.errors import ConfigurationError
from lakewarden.rules.evaluation import evaluated
from lakewarden.rules.row_sql import ROW_BY_ROW, calls_beyond_a_row
from lakewarden.rules.wording import Money, placeholders, say
from lakewarden.settings import FlowSettings
from lakewarden.tables import LINEAGE, SILVER

BANDS: Final = ("LOW", "MEDIUM", "HIGH")
"""Lowest first."""

COLUMNS: Final = pl.Schema({name: dtype for name, dtype in SILVER.columns.items() if name not in LINEAGE})
"""What a rule may speak of."""

MOST_RULES: Final = 62
"""Which rules fired on a row is one integer, a bit a rule."""


class ComplianceRule(BaseModel):
    """One rule. `{name}` in `when`, `values` and `reason` stands for a parameter or a setting of the flow, in `reason` also for a value."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="Short name; it stands in gold and in alerts.")
    version: int = Field(ge=1, description="Raised with every change of meaning.")
    description: str = Field(min_length=1, description="What it looks for and why, for the people who own it.")
    owner: str = Field(min_length=1, description="The team that gets its alerts.")
    band: Literal["MEDIUM", "HIGH"] = Field(description="The band that it raises a transaction to.")
    points: float = Field(ge=0, le=10, description="Log-odds that it adds to the scorecard, which scores while there is no model.")
    when: str = Field(min_length=1, description="SQL condition over the columns of silver.")
    parameters: dict[str, int | float | str] = Field(default_factory=dict, description="Numbers and texts that `when` and `reason` name.")
    values: dict[str, str] = Field(default_factory=dict, description="SQL expressions whose values `reason` shows.")
    reason: str = Field(
        min_length=1, description="What an analyst reads; {x:money}, {x:percent}, {x:times}, {x:days} and {x:count} format."
    )


def load_rules(text: str) -> tuple[ComplianceRule, ...]:
    """The rules of a YAML text (`version`, `rules`), in its order.

    Raises:
        ConfigurationError: names the rule and what is wrong: not YAML, a missing or unknown field, SQL that can't be parsed, names
            a column that silver doesn't have, looks at more than one row, or isn't a condition.
    """
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _refused("the compliance rules", f"can't be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict) or data.get("version") != 1 or not isinstance(data.get("rules"), list):
        raise _refused("the compliance rules", "must have `version: 1` and a list `rules`")
    rules: list[ComplianceRule] = []
    for number, item in enumerate(data["rules"], start=1):
        name = item.get("name", f"number {number}") if isinstance(item, dict) else f"number {number}"
        try:
            rule = ComplianceRule.model_validate(item)
        except ValidationError as error:
            first = error.errors()[0]
            raise _refused(f"compliance rule {name}", f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}") from error
        if any(rule.name == other.name for other in rules):
            raise _refused(f"compliance rule {name}", "stands there twice")
        _check(rule)
        rules.append(rule)
    if len(rules) > MOST_RULES:
        raise _refused("the compliance rules", f"are {len(rules)}; {MOST_RULES} is the most")
    return tuple(rules)


def default_rules() -> str:
    """The text of the rules that come with the package."""
    return (resources.files("lakewarden") / "conf" / "compliance_rules.yaml").read_text(encoding="utf-8")


def evaluate(rows: pl.DataFrame, rules: Sequence[ComplianceRule], settings: FlowSettings) -> pl.DataFrame:
    """Which rules fired on each row, in the order of `rows`.

    Args:
        rows: with the columns of silver that the rules name.
        rules: what :func:`load_rules` gave.
        settings: the thresholds that rules may name.

    Returns:
        Columns `rules` (List[String], in the order of `rules`, empty where none fired), `rule_band` (LOW where none fired) and
        `rule_points` (Float64, the sum of the points).
    """
    bits = [
        pl.when(_expression(_filled(rule.when, rule, settings)))
        .then(pl.lit(1 << bit, pl.Int64))
        .otherwise(pl.lit(0, pl.Int64))
        .alias(rule.name)
        for bit, rule in enumerate(rules)
    ]
    masks = evaluated(rows, [pl.sum_horizontal(bits).alias("mask")])["mask"].to_numpy() if bits else np.zeros(rows.height, dtype=np.int64)
    kinds = pl.Series(masks).unique().sort().to_numpy()  # few: found by hash, where numpy would sort every row
    which = np.searchsorted(kinds, masks)
    fired = [[rule for bit, rule in enumerate(rules) if int(mask) >> bit & 1] for mask in kinds]
    table = pl.DataFrame(
        {
            "rules": [[rule.name for rule in some] for some in fired],
            "rule_band": [BANDS[max((BANDS.index(rule.band) for rule in some), default=0)] for some in fired],
            "rule_points": [sum(rule.points for rule in some) for some in fired],
        },
        schema={"rules": pl.List(pl.String), "rule_band": pl.String, "rule_points": pl.Float64},
    )
    return table[which.astype(np.uint32)] if rows.height else table.clear()


def reasons(rows: pl.DataFrame, rules: Sequence[ComplianceRule], settings: FlowSettings, money: Money) -> list[list[str]]:
    """What each row's fired rules say, with its numbers, in plain English.

    Args:
        rows: as for :func:`evaluate`, with the column `rules`; few, since each is put in words.
        rules: the rules that may have fired.
        settings: the thresholds that rules may name.
        money: how amounts of the base currency are written.
    """
    said: list[list[str]] = [[] for _ in range(rows.height)]
    if not rows.height:
        return said
    fired = rows["rules"].to_list()
    for rule in rules:
        at = [row for row, names in enumerate(fired) if rule.name in names]
        if not at:
            continue
        values = evaluated(rows[at], [_expression(_filled(sql, rule, settings)).alias(name) for name, sql in rule.values.items()])
        shown = values.to_dicts() if rule.values else [{} for _ in at]
        for row, value in zip(at, shown, strict=True):
            said[row].append(say(rule.reason, {**settings.model_dump(), **rule.parameters, **value}, money))
    return said


def owner(fired: Sequence[str], rules: Sequence[ComplianceRule], otherwise: str) -> str:
    """Who owns an alert on which the rules named `fired` fired: the owner of the first with the highest band, or `otherwise`."""
    mine = [rule for rule in rules if rule.name in fired]
    return max(mine, key=lambda rule: BANDS.index(rule.band)).owner if mine else otherwise


@lru_cache(maxsize=1024)
def _expression(sql: str) -> pl.Expr:
    return pl.sql_expr(sql)


def _filled(sql: str, rule: ComplianceRule, settings: FlowSettings) -> str:
    """`sql` with parameters and settings put in, texts as SQL texts."""
    names = {**settings.model_dump(), **rule.parameters}
    return sql.format_map({name: _quoted(value) for name, value in names.items()})


def _quoted(value: object) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def _check(rule: ComplianceRule) -> None:
    """Refuse what would only fail, or mean something else, once rows come."""
    settings = FlowSettings.model_construct(**{name: field.default for name, field in FlowSettings.model_fields.items()})
    nothing = pl.DataFrame(schema=COLUMNS)
    for name, sql in {"when": rule.when, **rule.values}.items():
        try:
            expression = _expression(_filled(sql, rule, settings))
            unknown = sorted(set(expression.meta.root_names()) - set(COLUMNS))
            if unknown:
                raise _refused(f"compliance rule {rule.name}", f"{name} names {', '.join(unknown)}, which silver doesn't have")
            called = calls_beyond_a_row(sql)
            if called:
                calls = ", ".join(called)
                raise _refused(
                    f"compliance rule {rule.name}",
                    f"{name} calls {calls}; a rule sees one row and may call {', '.join(sorted(ROW_BY_ROW))}",
                )
            dtype = nothing.select(expression.alias("it")).schema["it"]
        except (pl.exceptions.PolarsError, KeyError, ValueError, IndexError) as error:
            raise _refused(f"compliance rule {rule.name}", f"{name} can't be used: {' '.join(str(error).split())[:300]}") from error
        if name == "when" and dtype != pl.Boolean:
            raise _refused(f"compliance rule {rule.name}", f"when gives {dtype}, not true or false")
    known: Mapping[str, object] = {**settings.model_dump(), **rule.parameters, **rule.values}
    for name in placeholders(rule.reason):
        if name not in known:
            raise _refused(f"compliance rule {rule.name}", f"reason shows {{{name}}}, which is no value, parameter or setting")


def _refused(what: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"{what}: {why}", state="the rules in force stay in force", next="correct conf/compliance_rules.yaml")
