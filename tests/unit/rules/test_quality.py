from __future__ import annotations

import copy
from typing import Any

import polars as pl
import pytest
import yaml

from lakewarden.errors import ConfigurationError
from lakewarden.rules.quality import DIMENSIONS, QualityRule, bind, check_columns, default_rules, load_rules
from lakewarden.rules.references import References, defaults
from lakewarden.settings import FlowSettings

SETTINGS = FlowSettings()
RULE: dict[str, Any] = {
    "name": "amount_present",
    "dimension": "completeness",
    "criticality": "critical",
    "owner": "us",
    "check": {"function": "is_not_null", "arguments": {"column": "amount"}},
}


def text(*rules: dict[str, Any]) -> str:
    return yaml.safe_dump({"version": 1, "rules": list(rules)}, sort_keys=False)


def test_the_rules_that_come_with_the_package_cover_every_dimension() -> None:
    rules = load_rules(default_rules())
    assert 15 <= len(rules) <= 30
    assert {rule.dimension for rule in rules} == set(DIMENSIONS)
    assert all(rule.owner for rule in rules)
    assert {rule.name for rule in rules if rule.hard} >= {"transaction_id_present", "amount_in_range", "event_time_not_in_future"}
    unknown_account = next(rule for rule in rules if rule.name == "account_known")
    assert not unknown_account.rejects


def test_a_rule_is_read_as_it_stands() -> None:
    (rule,) = load_rules(text(RULE | {"hard": True, "filter": "channel = 'POS'", "description": "there\n  must be one"}))
    assert rule == QualityRule(
        "amount_present",
        "completeness",
        "critical",
        "is_not_null",
        (("column", "amount"),),
        hard=True,
        owner="us",
        description="there must be one",
        filter="channel = 'POS'",
    )


def test_a_list_of_dqx_checks_without_names_is_read_too() -> None:
    checks = [
        {
            "criticality": "warn",
            "dimension": "validity",
            "check": {"function": "is_in_list", "arguments": {"column": "channel", "allowed": ["A"]}},
        },
        {"dimension": "validity", "check": {"function": "is_not_null", "arguments": {"column": "country"}}},
    ]
    rules = load_rules(yaml.safe_dump(checks))
    assert [(rule.name, rule.criticality) for rule in rules] == [("channel_is_in_list", "warning"), ("country_is_not_null", "critical")]


def test_an_expression_is_a_check() -> None:
    (rule,) = load_rules(
        text({key: value for key, value in RULE.items() if key != "check"} | {"expression": "amount > 0", "description": "more"})
    )
    assert (rule.function, dict(rule.arguments)) == ("sql_expression", {"expression": "amount > 0", "msg": "more"})


def test_who_rejects() -> None:
    def rejects(**changes: Any) -> bool:
        return load_rules(text(RULE | changes))[0].rejects

    assert rejects()
    assert rejects(hard=True)
    assert not rejects(relaxed=True)
    assert not rejects(criticality="warning")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"criticality": "fatal"},
            "quality rule amount_present (line 5): criticality: must be critical (error) or warning (warn), not 'fatal'",
        ),
        ({"dimension": "beauty"}, "quality rule amount_present (line 4): dimension: must be one of completeness, validity"),
        ({"colour": "red"}, "(line 11): colour: isn't known; there are name, dimension"),
        ({"hard": True, "relaxed": True}, "(line 12): relaxed: a hard rule can't be relaxed or disabled"),
        ({"hard": True, "enabled": False}, "(line 12): enabled: a hard rule can't be relaxed or disabled"),
        ({"hard": True, "criticality": "warning"}, "(line 11): hard: a hard rule must be critical"),
        ({"hard": "yes please"}, "hard: must be true or false, not 'yes please'"),
        ({"name": "No Spaces"}, "quality rule No Spaces (line 3): name: must be lower-case"),
        ({"filter": "amount >"}, "filter: 'amount >' can't be parsed"),
        ({"filter": "MAX(amount) > 1"}, "filter: 'MAX(amount) > 1' uses MAX"),
        ({"check": {"function": "is_fine"}}, "check: function 'is_fine' isn't known; there are foreign_key"),
        ({"check": {"function": "is_not_null", "arguments": {"col": "a"}}}, "check: argument 'col' isn't known; is_not_null takes column"),
        ({"check": {"function": "is_not_null", "arguments": ["a"]}}, "check: arguments must have names and values"),
        ({"check": "is_not_null"}, "check: must have a function and its arguments"),
        ({"expression": "amount > 1"}, "check: a rule has a check or an expression, one of them"),
        ({"owner": 5}, "owner: must be a text, not 5"),
    ],
)
def test_what_is_wrong_is_said_with_rule_line_and_key(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_rules(text(RULE | changes))
    assert says in raised.value.what
    assert raised.value.next == "correct conf/dq_rules.yaml"


def test_a_name_that_comes_twice_is_refused_where_it_stands() -> None:
    with pytest.raises(ConfigurationError, match=r"quality rule amount_present \(line 11\): name: stands there twice"):
        load_rules(text(RULE, copy.deepcopy(RULE)))


@pytest.mark.parametrize("yaml_text", ["", "rules: 5", "just text", "rules: [", "- 5", "rules:\n- [a]\n"])
def test_what_is_no_list_of_rules_is_refused(yaml_text: str) -> None:
    with pytest.raises(ConfigurationError, match="quality rule"):
        load_rules(yaml_text)


def test_rules_are_bound_once_for_the_same_references_and_settings() -> None:
    references, rules = defaults(), load_rules(default_rules())
    assert bind(rules, references, SETTINGS) is bind(load_rules(default_rules()), references, SETTINGS)
    assert bind(rules, references, FlowSettings(late_after_seconds=5)) is not bind(rules, references, SETTINGS)


def test_disabled_rules_and_absent_references_have_nothing_to_evaluate() -> None:
    referential = RULE | {
        "name": "known",
        "check": {"function": "is_in_reference", "arguments": {"column": "account_id", "reference": "kyc"}},
    }
    bound = bind(load_rules(text(RULE | {"enabled": False}, referential)), References({}), SETTINGS)
    assert [each.fails for each in bound] == [None, None]


@pytest.mark.parametrize(
    ("check", "says"),
    [
        ({"function": "is_not_null", "arguments": {"column": "ghost"}}, "reads ghost, which events don't have"),
        ({"function": "is_in_range", "arguments": {"column": "country", "min_limit": 1, "max_limit": 2}}, "can't be evaluated"),
        ({"function": "sql_expression", "arguments": {"expression": "amount + 1"}}, "can't be evaluated"),
    ],
)
def test_rules_that_would_fail_on_any_row_are_refused_before_one_comes(check: dict[str, Any], says: str) -> None:
    bound = bind(load_rules(text(RULE | {"check": check})), References({}), SETTINGS)
    with pytest.raises(ConfigurationError) as raised:
        check_columns(bound, {"amount": pl.Float64(), "country": pl.String()})
    assert says in raised.value.what
    assert "amount_present" in raised.value.what
