"""Enrichment: amounts to the minor unit, lookups, and nothing invented where a reference is absent."""

import datetime as dt
from decimal import ROUND_HALF_EVEN, Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakewarden.errors import ConfigurationError
from lakewarden.flow.enrich import enrich
from lakewarden.flow.release import Release
from lakewarden.rules.references import References, defaults
from lakewarden.settings import FlowSettings
from lakewarden.tables import ENRICHMENT, EVENT_PROPERTIES

DEFAULTS = defaults()
KYC = pl.DataFrame(
    {
        "account_id": ["A1", "A2", "A3"],
        "customer_risk": ["LOW", "HIGH", None],
        "kyc_status": ["VERIFIED", "PENDING", None],
        "is_pep": [False, True, None],
        "opened_date": [dt.date(2024, 1, 1), dt.date(2024, 3, 2), None],
    }
)
LIMITS = pl.DataFrame({"account_id": ["A1", "A9"], "single_limit_minor": [500, 900], "daily_limit_minor": [None, 1_000]})
COUNTERPARTIES = pl.DataFrame({"counterparty_id": ["C1", "C2"], "name": ["x", "y"], "country": ["IR", "DE"]})
HITS = pl.DataFrame(
    {
        "kind": ["account", "account", "account", "counterparty", "counterparty"],
        "id": ["A1", "A1", "A2", "C1", "C3"],
        "entry_id": ["E1", "E2", "E3", "E4", "E5"],
        "score": [0.93, 0.99, 0.95, 0.95, 1.0],
    }
)
FULL = (
    DEFAULTS.with_table("kyc", KYC)
    .with_table("limits", LIMITS)
    .with_table("counterparties", COUNTERPARTIES)
    .with_table("watchlist_hits", HITS)
)


def release(references=FULL, **changed):
    return Release("r", None, (), (), references, FlowSettings(**changed), None, "f", "c")


def rows(*events):
    filled = [
        {**dict.fromkeys(EVENT_PROPERTIES), "account_id": "A1", "amount": 1.0, "currency": "EUR", "country": "DE", **event}
        for event in events
    ]
    table = pl.DataFrame(filled, schema=EVENT_PROPERTIES)
    dates = pl.Series("event_date", [dt.date(2024, 3, 1)] * table.height, dtype=pl.Date)
    return table.with_columns(pl.int_range(table.height, dtype=pl.Int64).alias("seq"), dates)


def enriched(event, references=FULL, **changed):
    return enrich(rows(event), release(references, **changed)).row(0, named=True)


def test_the_columns_are_those_of_the_table_and_rows_stay_as_they_were():
    given_rows = rows({}, {"account_id": "nobody"}, {"counterparty_id": "C1"})
    got = enrich(given_rows, release())
    assert got.select(given_rows.columns).equals(given_rows)
    assert dict(got.schema.items()) == {**given_rows.schema, **ENRICHMENT}
    assert enrich(given_rows.clear(), release()).schema == got.schema


def test_what_is_known_of_an_account():
    first = enriched({"account_id": "A1"})
    assert (first["known_account"], first["kyc_status"], first["customer_risk"], first["is_pep"]) == (True, "VERIFIED", 0, False)
    assert (first["account_age_days"], first["limit_single_minor"], first["limit_daily_minor"]) == (60, 500, None)
    second = enriched({"account_id": "A2"})
    assert (second["customer_risk"], second["is_pep"], second["account_age_days"], second["limit_single_minor"]) == (2, True, -1, None)


def test_an_unknown_account_is_no_loss():
    got = enriched({"account_id": "nobody"})
    assert got["known_account"] is False
    assert [
        got[name] for name in ("kyc_status", "customer_risk", "is_pep", "account_age_days", "limit_single_minor", "watchlist_entry")
    ] == [None] * 6
    assert got["amount_minor"] == 100
    limited = enriched({"account_id": "A9"})
    assert (limited["known_account"], limited["limit_single_minor"]) == (False, 900)


@pytest.mark.parametrize(
    ("event", "party"),
    [({"merchant_id": "M", "counterparty_id": "C"}, "m:M"), ({"counterparty_id": "C"}, "c:C"), ({"merchant_id": "M"}, "m:M"), ({}, None)],
)
def test_the_other_side(event, party):
    assert enriched(event)["party_id"] == party


@pytest.mark.parametrize(
    ("event", "entry", "score"),
    [
        ({"account_id": "A1"}, "E2", 0.99),
        ({"account_id": "A2"}, "E3", 0.95),
        ({"account_id": "A2", "counterparty_id": "C1"}, "E3", 0.95),
        ({"account_id": "A2", "counterparty_id": "C3"}, "E5", 1.0),
        ({"account_id": "A3", "counterparty_id": "C1"}, "E4", 0.95),
        ({"account_id": "A3", "counterparty_id": "A1"}, "E2", 0.99),
        ({"account_id": "A3", "counterparty_id": "C2"}, None, None),
    ],
)
def test_the_best_watchlist_hit_of_either_side(event, entry, score):
    got = enriched(event)
    assert (got["watchlist_entry"], got["watchlist_score"]) == (entry, score)


def test_regions_and_risks():
    got = enriched({"country": "NA", "counterparty_country": "KP", "mcc_code": "7995"})
    assert (got["region"], got["country_risk"], got["counterparty_country_risk"], got["mcc_risk"]) == ("AFRICA", 0, 2, 2)
    got = enriched({"country": "ZZ", "mcc_code": "0001"})
    assert (got["region"], got["country_risk"], got["mcc_risk"]) == ("UNKNOWN", None, None)
    assert enriched({"country": None})["region"] == "UNKNOWN"


def test_the_country_of_the_other_side_comes_from_the_event_or_else_from_its_record():
    assert enriched({"counterparty_id": "C1"})["counterparty_country_risk"] == 2
    assert enriched({"counterparty_id": "C1", "counterparty_country": "DE"})["counterparty_country_risk"] == 0
    assert enriched({"counterparty_id": "C9"})["counterparty_country_risk"] is None


def test_with_no_reference_at_all_nothing_is_invented():
    got = enriched({"counterparty_id": "C1", "mcc_code": "7995"}, References({}))
    assert (got.pop("region"), got.pop("party_id")) == ("UNKNOWN", "c:C1")
    assert {name: got[name] for name in ENRICHMENT if name in got} == dict.fromkeys(set(ENRICHMENT) - {"region", "party_id"})


@pytest.mark.parametrize("kind", sorted(FULL.tables))
def test_each_reference_may_be_absent(kind):
    got = enrich(rows({"counterparty_id": "C1"}), release(FULL.without(kind)))
    assert dict(got.select(list(ENRICHMENT)).schema.items()) == ENRICHMENT
    assert got["known_account"][0] is (None if kind == "kyc" else True)


# --- amounts

EXPONENTS = dict(DEFAULTS.get("currencies").iter_rows())
RATES = {currency: Decimal(repr(rate)) for currency, rate in DEFAULTS.get("fx").iter_rows()}


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["EUR", "JPY", "KWD", "USD", "ISK"]), st.integers(0, 10**14 - 1)), min_size=1, max_size=40))
def test_amounts_with_the_decimals_of_their_currency_are_exact(drawn):
    """Below 1e12 units (1e11 with three decimals) the float nearest to a decimal amount gives that very amount in minor units."""
    events, wanted = [], []
    for currency, number in drawn:
        minor = number % 10 ** (12 + EXPONENTS[currency])
        events.append({"currency": currency, "amount": float(Decimal(minor).scaleb(-EXPONENTS[currency]))})
        wanted.append(minor)
    assert enrich(rows(*events), release())["amount_minor"].to_list() == wanted


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(RATES)), st.floats(0, 999_999_999_999.0)), min_size=1, max_size=40),
    st.sampled_from(["EUR", "USD", "JPY"]),
)
def test_base_amounts_against_decimals(drawn, base):
    """Within half a minor unit of the exact product, but for the last bits of a float: 2^-51 of the amount."""
    events = [{"currency": currency, "amount": amount} for currency, amount in drawn]
    got = enrich(rows(*events), release(DEFAULTS, base_currency=base)).select("currency", "amount_minor", "amount_base_minor")
    for currency, minor, in_base in got.iter_rows():
        exact = Decimal(minor) * RATES[currency] / RATES[base] * Decimal(10) ** (EXPONENTS[base] - EXPONENTS[currency])
        assert abs(Decimal(in_base) - exact) <= Decimal("0.5") + abs(exact) * Decimal(2) ** -51
        if currency == base:
            assert in_base == minor


@settings(deadline=None)
@given(st.integers(0, 10**9))
def test_everyday_amounts_are_rounded_like_decimals(minor):
    """For amounts below ten million the float product is rounded as the decimal one, save at exact halves."""
    got = enriched({"currency": "GBP", "amount": minor / 100})
    exact = Decimal(minor) * RATES["GBP"]
    if abs(exact % 1 - Decimal("0.5")) > Decimal("0.000001"):
        assert got["amount_base_minor"] == int(exact.quantize(Decimal(1), ROUND_HALF_EVEN))


def test_currencies_without_decimals_or_with_three():
    got = enrich(rows({"currency": "JPY", "amount": 1_000.0}, {"currency": "KWD", "amount": 1.5}), release())
    assert got["amount_minor"].to_list() == [1_000, 1_500]
    assert got["amount_base_minor"].to_list() == [613, 450]


def test_no_rate_no_base_amount_but_the_row_stays():
    few = DEFAULTS.with_table("fx", pl.DataFrame({"currency": ["EUR"], "rate": [1.0]}))
    got = enriched({"currency": "USD", "amount": 5.0}, few)
    assert (got["amount_minor"], got["amount_base_minor"]) == (500, None)
    without = DEFAULTS.without("fx")
    assert enriched({"currency": "EUR", "amount": 5.0}, without)["amount_base_minor"] == 500
    assert enriched({"currency": "USD", "amount": 5.0}, without)["amount_base_minor"] is None
    assert enriched({"currency": "XXQ", "amount": 5.0})["amount_minor"] is None


def test_no_rate_can_overflow():
    absurd = DEFAULTS.with_table("fx", pl.DataFrame({"currency": ["EUR", "CLF"], "rate": [1e-9, 10_000.0]}))
    got = enriched({"currency": "CLF", "amount": 999_999_999_999.0}, absurd)
    assert got["amount_base_minor"] == 4_000_000_000_000_000_000


def test_a_base_currency_that_does_not_exist_is_said_so():
    with pytest.raises(ConfigurationError, match="XXQ"):
        enriched({}, base_currency="XXQ")


def test_the_cut_does_not_matter():
    events = [
        {
            "account_id": f"A{i % 5}",
            "counterparty_id": f"C{i % 4}" if i % 2 else None,
            "currency": ["EUR", "USD", "JPY"][i % 3],
            "amount": i * 1.37,
        }
        for i in range(60)
    ]
    table = rows(*events)
    whole = enrich(table, release())
    assert pl.concat([enrich(table.slice(start, 7), release()) for start in range(0, 60, 7)]).equals(whole)
