"""Compliance rules: what is refused, what fires, what is said. Each packaged rule fires on its case and not beside it."""

import datetime as dt

import polars as pl
import pytest

from lakewarden.errors import ConfigurationError
from lakewarden.rules import compliance
from lakewarden.rules.compliance import COLUMNS, default_rules, evaluate, load_rules, owner, reasons
from lakewarden.rules.wording import Money
from lakewarden.settings import FlowSettings

RULES = load_rules(default_rules())
BY_NAME = {rule.name: rule for rule in RULES}
SETTINGS = FlowSettings()
EUR = Money("EUR", 2)

QUIET = {
    "amount_base_minor": 2_000,
    "country": "DE",
    "country_risk": 0,
    "account_age_days": 900,
    "merchant_id": "M1",
    "party_id": "m:M1",
    "a_since_last_s": 86_400.0,
    "a_new_country": False,
    "a_new_device": False,
    "a_new_party": False,
    "limit_single_minor": 500_000,
    "limit_daily_minor": 900_000,
    **{
        name: 0 for name in COLUMNS if name.startswith(("a_count", "a_sum", "p_count", "p_sum", "in_", "a_near", "a_new_parties", "p_new_"))
    },
    "a_count_30d": 20,
}


def rows(*cases):
    return pl.DataFrame([{**dict.fromkeys(COLUMNS), **QUIET, **case} for case in cases], schema=COLUMNS)


def fired(**case):
    return evaluate(rows(case), RULES, SETTINGS)["rules"][0].to_list()


TRANSFER = {"merchant_id": None, "counterparty_id": "C1", "party_id": "c:C1"}
CASES = [
    ("watchlist_hit", {"watchlist_score": 0.95, "watchlist_entry": "E1"}, {"watchlist_score": 0.91}),
    ("structuring", {"amount_base_minor": 950_000, "a_near_threshold_24h": 2}, {"amount_base_minor": 950_000, "a_near_threshold_24h": 1}),
    ("structuring", {"amount_base_minor": 800_000, "a_near_threshold_7d": 3}, {"amount_base_minor": 799_999, "a_near_threshold_7d": 3}),
    ("structuring", {"amount_base_minor": 999_999, "a_near_threshold_24h": 2}, {"amount_base_minor": 1_000_000, "a_near_threshold_24h": 2}),
    (
        "high_risk_corridor",
        {"amount_base_minor": 50_000, "counterparty_country_risk": 2},
        {"amount_base_minor": 49_999, "counterparty_country_risk": 2},
    ),
    ("high_risk_corridor", {"amount_base_minor": 50_000, "country_risk": 2}, {"amount_base_minor": 50_000, "country_risk": 1}),
    (
        "monitored_corridor",
        {"amount_base_minor": 500_000, "counterparty_country_risk": 1, "counterparty_country": "VE"},
        {"amount_base_minor": 500_000, "counterparty_country_risk": 1, "counterparty_country": "DE"},
    ),
    (
        "pass_through",
        {**TRANSFER, "in_count_24h": 3, "in_sum_24h": 300_000, "a_sum_24h": 200_000, "amount_base_minor": 70_000},
        {**TRANSFER, "in_count_24h": 3, "in_sum_24h": 300_000, "a_sum_24h": 0, "amount_base_minor": 70_000},
    ),
    (
        "fan_in",
        {**TRANSFER, "p_new_accounts_24h": 5, "p_count_30d": 5, "a_new_party": True, "p_sum_24h": 248_000},
        {**TRANSFER, "p_new_accounts_24h": 5, "p_count_30d": 500, "a_new_party": True, "p_sum_24h": 248_000},
    ),
    (
        "fan_out",
        {**TRANSFER, "a_new_parties_24h": 5, "a_new_party": True, "a_sum_24h": 298_000, "a_count_30d": 40},
        {**TRANSFER, "a_new_parties_24h": 5, "a_new_party": True, "a_sum_24h": 298_000, "a_count_30d": 39},
    ),
    (
        "new_device_and_country",
        {**TRANSFER, "a_new_device": True, "a_new_country": True},
        {**TRANSFER, "a_new_device": True, "a_new_country": True, "a_count_30d": 1},
    ),
    (
        "new_device_and_country",
        {**TRANSFER, "a_new_device": True, "a_new_country": True},
        {"a_new_device": True, "a_new_country": True},
    ),
    ("card_testing", {"a_count_1h": 6, "a_sum_1h": 900}, {"a_count_1h": 6, "a_sum_1h": 9_000}),
    ("velocity", {"a_count_1h": 9, "a_sum_1h": 90_000}, {"a_count_1h": 8, "a_sum_1h": 90_000}),
    (
        "dormant_waking",
        {"a_since_last_s": None, "a_count_30d": 0, "amount_base_minor": 150_000},
        {"a_since_last_s": None, "a_count_30d": 0, "amount_base_minor": 150_000, "account_age_days": 30},
    ),
    ("limit_breach_single", {"amount_base_minor": 500_001}, {"amount_base_minor": 500_000}),
    ("limit_breach_daily", {"a_sum_24h": 898_001}, {"a_sum_24h": 898_000}),
]


def test_every_packaged_rule_has_a_case():
    assert {name for name, _, _ in CASES} == set(BY_NAME)


def test_nothing_fires_on_the_ordinary():
    verdict = evaluate(rows({}), RULES, SETTINGS)
    assert verdict.rows() == [([], "LOW", 0.0)]


@pytest.mark.parametrize(("name", "case", "beside"), CASES)
def test_a_packaged_rule_fires_on_its_case_and_not_beside_it(name, case, beside):
    assert name in fired(**case)
    assert name not in fired(**beside)


@pytest.mark.parametrize(("name", "case", "beside"), CASES)
def test_a_packaged_rule_says_why_with_numbers(name, case, beside):
    row = rows(case).with_columns(rules=pl.Series([[name]]))
    (said,) = reasons(row, RULES, SETTINGS, EUR)
    assert len(said) == 1
    assert any(letter.isdigit() for letter in said[0])
    assert "{" not in said[0]
    assert "unknown" not in said[0]


def test_a_limit_that_is_not_known_is_never_breached():
    assert fired(amount_base_minor=10**9, limit_single_minor=None, limit_daily_minor=None, country_risk=None) == []


def test_the_sentence_that_analysts_read():
    row = rows({"amount_base_minor": 950_000, "a_near_threshold_24h": 4, "a_near_threshold_7d": 6}).with_columns(
        rules=pl.Series([["structuring"]])
    )
    assert reasons(row, RULES, SETTINGS, EUR) == [
        ["5 payments of 80-100 % of the 10,000.00 EUR reporting threshold in 24 hours, 7 in 7 days"]
    ]


def test_a_setting_moves_a_rule():
    other = FlowSettings(reporting_threshold_minor=500_000)
    case = rows({"amount_base_minor": 450_000, "a_near_threshold_24h": 2})
    assert evaluate(case, RULES, SETTINGS)["rules"][0].to_list() == []
    assert evaluate(case, RULES, other)["rules"][0].to_list() == ["structuring"]


def test_bands_and_points_add_up_in_the_order_of_the_rules():
    case = {"a_count_1h": 9, "a_sum_1h": 90_000, "amount_base_minor": 600_000, "watchlist_score": 1.0}
    verdict = evaluate(rows({}, case), RULES, SETTINGS)
    assert verdict["rules"].to_list() == [[], ["watchlist_hit", "velocity", "limit_breach_single"]]
    assert verdict["rule_band"].to_list() == ["LOW", "HIGH"]
    assert verdict["rule_points"].to_list() == [0.0, 5.0 + 2.0 + 1.5]


def test_the_cut_does_not_matter():
    table = rows(*(case for _, case, _ in CASES), *(beside for _, _, beside in CASES))
    whole = evaluate(table, RULES, SETTINGS)
    parts = pl.concat([evaluate(table.slice(start, 5), RULES, SETTINGS) for start in range(0, table.height, 5)])
    assert parts.equals(whole)
    assert evaluate(table.clear(), RULES, SETTINGS).schema == whole.schema


def test_no_rules_at_all():
    assert evaluate(rows({}), (), SETTINGS).rows() == [([], "LOW", 0.0)]


def test_the_owner_is_that_of_the_highest_band():
    assert owner(["velocity", "watchlist_hit"], RULES, "nobody") == "sanctions-desk"
    assert owner(["velocity"], RULES, "nobody") == "fraud-operations"
    assert owner([], RULES, "nobody") == "nobody"


RULE = """
  - name: {name}
    version: 1
    description: d
    owner: o
    band: {band}
    points: 1
    parameters: {{least: 5, who: "O'Hara"}}
    when: {when}
    values: {{amount: {value}}}
    reason: "{reason}"
"""


def text(name="a_rule", band="HIGH", when="amount_base_minor > {least}", value="amount_base_minor", reason="{amount:money}"):
    return "version: 1\nrules:" + RULE.format(name=name, band=band, when=when, value=value, reason=reason)


def test_a_text_parameter_is_quoted():
    (rule,) = load_rules(text(when="account_id = {who}"))
    assert evaluate(rows({"account_id": "O'Hara"}, {"account_id": "x"}), [rule], SETTINGS)["rules"].to_list() == [["a_rule"], []]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (text(when="amount > "), "when can't be used"),
        (text(when="no_such_column > 1"), "no_such_column, which silver doesn't have"),
        (text(when="amount_base_minor > {nothing}"), "when can't be used"),
        (text(when="amount_base_minor"), "not true or false"),
        (text(when="amount_base_minor > account_id + "), "when can't be used"),
        (text(when="SUM(amount_base_minor) > 1"), "calls SUM"),
        (text(when="SUM(amount_base_minor) OVER (PARTITION BY account_id) > 1"), "calls OVER, SUM"),
        (text(when="amount > AVG(amount)"), "calls AVG"),
        (text(when="seq IN (SELECT seq FROM x)"), "can't be used"),
        (text(value="nothing_there"), "amount names nothing_there"),
        (text(reason="{other}"), "reason shows {other}"),
        (text(reason="{amount"), "can't be used"),
        (text(band="LOW"), "band"),
        (text(name="Not A Name"), "name"),
        (text() + text().split("rules:")[1], "stands there twice"),
        (text() + "    colour: red\n", "colour"),
        ("version: 2\nrules: []", "version: 1"),
        ("- just\n- a list", "version: 1"),
        ("version: 1\nrules: [7]", "number 1"),
        ("rules: [", "YAML"),
    ],
)
def test_what_is_refused_and_how(given, said):
    with pytest.raises(ConfigurationError) as caught:
        load_rules(given)
    assert said in caught.value.what
    assert caught.value.next


def test_too_many_rules_are_refused():
    many = "version: 1\nrules:" + "".join(text(name=f"r{i}").split("rules:")[1] for i in range(compliance.MOST_RULES + 1))
    with pytest.raises(ConfigurationError, match="62 is the most"):
        load_rules(many)


def test_sixty_two_rules_each_keep_their_bit():
    most = load_rules(
        "version: 1\nrules:"
        + "".join(text(name=f"r{i}", when=f"amount_base_minor = {i}").split("rules:")[1] for i in range(compliance.MOST_RULES))
    )
    table = rows(*({"amount_base_minor": amount} for amount in range(compliance.MOST_RULES)))
    assert evaluate(table, most, SETTINGS)["rules"].to_list() == [[f"r{i}"] for i in range(compliance.MOST_RULES)]


def test_a_date_can_be_spoken_of():
    (rule,) = load_rules(text(when="event_date >= DATE '2024-03-01'"))
    table = rows({"event_date": dt.date(2024, 3, 1)}, {"event_date": dt.date(2024, 2, 29)})
    assert evaluate(table, [rule], SETTINGS)["rules"].to_list() == [["a_rule"], []]
