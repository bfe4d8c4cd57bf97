"""Gold and alerts: the columns of their tables, ids from the transaction, reasons that a person can read, an owner."""

import datetime as dt
from dataclasses import dataclass

import polars as pl
import pytest

from lakewarden.flow import alerts as alerts_stage
from lakewarden.flow import gold as gold_stage
from lakewarden.flow.alerts import alerts
from lakewarden.flow.gold import gold
from lakewarden.flow.release import Release
from lakewarden.rules.compliance import default_rules, load_rules
from lakewarden.rules.references import defaults
from lakewarden.settings import FlowSettings
from lakewarden.tables import ALERTS, GOLD, SILVER

RULES = load_rules(default_rules())
WATCHLIST = pl.DataFrame({"entry_id": ["OFAC-7", "OWN-1"], "list": ["OFAC SDN", None], "name": ["DOE, John", "ROE"]})
REFERENCES = defaults().with_table("watchlist", WATCHLIST)

SCORED = {
    "risk_score": pl.Float64(),
    "model_band": pl.String(),
    "risk_band": pl.String(),
    "is_anomaly": pl.Boolean(),
    "anomaly_score": pl.Float64(),
    "rules": pl.List(pl.String()),
    "explanations": GOLD.columns["explanations"],
}
SCHEMA = {**SILVER.columns, **SCORED}


@dataclass(frozen=True)
class Model:
    """What gold reads of a model."""

    name: str = "risk"
    version: str = "3"
    run_id: str = "run"


def release(model=None, **changed):
    return Release("0123456789abcdef", None, (), RULES, REFERENCES, FlowSettings(**changed), model, "1", "c")


def rows(*cases):
    start = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    usual = {
        "risk_score": 0.1,
        "model_band": "LOW",
        "risk_band": "LOW",
        "is_anomaly": False,
        "rules": [],
        "account_id": "A1",
        "dq_status": "PASSED",
    }
    return pl.DataFrame(
        [
            {
                **dict.fromkeys(SCHEMA),
                **usual,
                "seq": seq,
                "transaction_id": f"T{seq}",
                "event_time": start,
                "event_date": start.date(),
                "amount_base_minor": 2_500,
                **case,
            }
            for seq, case in enumerate(cases)
        ],
        schema=SCHEMA,
    )


HIGH = {"risk_score": 0.93, "model_band": "HIGH", "risk_band": "HIGH"}
WHY = [
    {"feature": "a_ratio_mean_30d", "value": 14.2, "contribution": 2.0},
    {"feature": "weekend", "value": 0.0, "contribution": -1.0},
    {"feature": "other", "value": None, "contribution": 0.5},
    {"feature": "baseline", "value": None, "contribution": 1.0},
]


def test_the_columns_are_the_tables_but_run_and_clock():
    table = rows({}, HIGH)
    left_out = {"batch", "run_id", "release_id", "scored_time", "created_time", "pipeline_run_id", "dq_run_id", "latency_ms"}
    scored, raised = gold(table, release()), alerts(table, release())
    assert dict(scored.schema.items()) == {name: dtype for name, dtype in GOLD.columns.items() if name not in left_out}
    assert dict(raised.schema.items()) == {name: dtype for name, dtype in ALERTS.columns.items() if name not in left_out}
    assert gold(table.clear(), release()).schema == scored.schema == gold_stage.COLUMNS
    assert alerts(table.head(1), release()).schema == raised.schema == alerts_stage.COLUMNS


def test_one_score_a_transaction_with_an_id_of_its_own():
    scored = gold(rows({}, HIGH, {"risk_band": "MEDIUM"}), release())
    assert scored["seq"].to_list() == [0, 1, 2]
    assert scored["score_id"].to_list() == ["S-T0", "S-T1", "S-T2"]
    assert scored["risk_band"].to_list() == ["LOW", "HIGH", "MEDIUM"]


@pytest.mark.parametrize(
    ("model", "named"), [(Model(), ("risk", "3", "run")), (None, ("scorecard", "0123456789ab", None))], ids=["a model", "the scorecard"]
)
def test_who_scored_is_named(model, named):
    scored = gold(rows({}), release(model))
    assert scored.select("model_name", "model_version", "model_run_id", "features_version").row(0) == (*named, "1")


def test_only_high_transactions_are_alerts():
    raised = alerts(rows({}, HIGH, {"risk_band": "MEDIUM"}, HIGH), release(Model()))
    assert raised["alert_id"].to_list() == ["A-T1", "A-T3"]


def test_an_alert_of_the_model_alone():
    raised = alerts(rows({**HIGH, "explanations": WHY, "is_anomaly": True}), release(Model()))
    assert raised["reasons"][0].to_list() == [
        "The model scores it 0.93; HIGH begins at 0.80",
        "The amount is 14.2 times the account's 30-day mean",
        "It is unlike the transactions that the anomaly detector knows",
    ]
    assert raised["owner"].to_list() == ["compliance-analysts"]


def test_an_alert_of_rules_tells_numbers_names_and_goes_to_the_owner():
    case = {
        "risk_score": 0.2,
        "risk_band": "HIGH",
        "rules": ["watchlist_hit", "velocity"],
        "watchlist_entry": "OFAC-7",
        "watchlist_score": 0.95,
        "a_count_1h": 11,
        "a_sum_1h": 100_000,
    }
    raised = alerts(rows(case, {**case, "watchlist_entry": "OWN-1"}, {**case, "watchlist_entry": "GONE"}), release(Model()))
    assert raised["reasons"][0].to_list() == [
        "The account or the other side matches the watchlist entry OFAC-7 by 95 %",
        "12 payments within an hour, 1,025.00 EUR together",
        "OFAC-7 is DOE, John on the list OFAC SDN",
    ]
    assert raised["reasons"][1].to_list()[-1] == "OWN-1 is ROE"
    assert len(raised["reasons"][2]) == 2
    assert raised["owner"].unique().to_list() == ["sanctions-desk"]


def test_the_scorecard_does_not_tell_its_rules_twice():
    told = [{"feature": "velocity", "value": 1.0, "contribution": 2.0}, {"feature": "baseline", "value": None, "contribution": -4.6}]
    raised = alerts(rows({**HIGH, "rules": ["velocity"], "a_count_1h": 11, "a_sum_1h": 0, "explanations": told}), release())
    assert raised["reasons"][0].to_list() == [
        "12 payments within an hour, 25.00 EUR together",
        "The scorecard scores it 0.93; HIGH begins at 0.80",
    ]


def test_an_alert_never_lacks_a_reason():
    raised = alerts(rows({"risk_band": "HIGH", "rules": ["a rule of another release"]}), release(Model()))
    assert raised["reasons"].list.len().to_list() == [1]


def test_amounts_are_written_in_the_base_currency():
    case = {"risk_band": "HIGH", "rules": ["velocity"], "a_count_1h": 11, "a_sum_1h": 100_000}
    (said,) = alerts(rows(case), release(base_currency="JPY"))["reasons"].to_list()
    assert said[0].endswith("102,500 JPY together")


def test_the_cut_does_not_matter():
    table = rows(*([{}, HIGH, {**HIGH, "explanations": WHY}] * 4))
    for stage in (gold, alerts):
        parts = [stage(table.slice(start, 5), release(Model())) for start in range(0, table.height, 5)]
        assert pl.concat(parts).equals(stage(table, release(Model())))
