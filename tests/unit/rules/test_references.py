"""Reference data: validation, content hashes, the tables that come with the package."""

import datetime as dt
import hashlib
import pickle
import struct
import threading

import polars as pl
import pytest

from lakewarden.errors import ConfigurationError
from lakewarden.rules.references import KEYS, REQUIRED, SCHEMAS, References, defaults, fingerprint, validate


@pytest.fixture(scope="module")
def packaged():
    return defaults()


def test_every_kind_has_a_schema_a_key_and_required_columns():
    assert set(SCHEMAS) == set(KEYS) == set(REQUIRED)
    for kind, schema in SCHEMAS.items():
        assert set(KEYS[kind]) <= set(REQUIRED[kind]) <= set(schema)


def test_text_is_cast_trimmed_ordered_and_completed():
    table = validate(
        "kyc",
        pl.DataFrame(
            {
                "opened_date": ["2024-02-29", ""],
                "account_id": [" b ", "a"],
                "is_pep": ["Yes", "0"],
                "customer_risk": ["HIGH", " "],
                "not of this kind": ["x", "y"],
            }
        ),
    )
    assert table.schema == SCHEMAS["kyc"]
    assert table["account_id"].to_list() == ["a", "b"]
    assert table["opened_date"].to_list() == [None, dt.date(2024, 2, 29)]
    assert table["is_pep"].to_list() == [False, True]
    assert table["customer_risk"].to_list() == [None, "HIGH"]
    assert table["name"].to_list() == [None, None]


def test_aliases_are_split_at_bars_and_never_null():
    table = validate("watchlist", pl.DataFrame({"entry_id": ["1", "2"], "name": ["A", "B"], "aliases": ["x | y||", None]}))
    assert table["aliases"].to_list() == [["x", "y"], []]
    assert validate("watchlist", pl.DataFrame({"entry_id": ["1"], "name": ["A"]}))["aliases"].to_list() == [[]]


def test_codes_read_as_numbers_get_their_zeros_back():
    assert validate("mcc", pl.DataFrame({"mcc_code": [742], "risk": [1]}))["mcc_code"].to_list() == ["0742"]


@pytest.mark.parametrize(
    ("kind", "columns", "said"),
    [
        ("fx", {"currency": ["EUR"]}, "lacks the columns rate"),
        ("fx", {"currency": ["EUR", "USD"], "rate": ["1", "nan"]}, "rate must be above 0"),
        ("fx", {"currency": ["EUR"], "rate": ["0"]}, "rate must be above 0"),
        ("fx", {"currency": ["EUR"], "rate": ["ten"]}, "rate can't be read as a number (1 row; for example ten)"),
        ("fx", {"currency": ["eur"], "rate": ["1"]}, "three capital letters"),
        ("kyc", {"account_id": ["a", "a", "b"]}, "account_id must be unique (1 row; for example a)"),
        ("kyc", {"account_id": ["a", " "]}, "account_id is empty (1 row; in row 2)"),
        ("kyc", {"account_id": ["a"], "customer_risk": ["SOME"]}, "one of LOW, MEDIUM, HIGH"),
        ("kyc", {"account_id": ["a"], "opened_date": ["31/12/2024"]}, "a date (YYYY-MM-DD)"),
        ("kyc", {"account_id": ["a"], "opened_date": [20241231]}, "a date (YYYY-MM-DD)"),
        ("kyc", {"account_id": ["a"], "is_pep": ["maybe"]}, "true or false"),
        ("kyc", {"account_id": ["a"], "country": ["Germany"]}, "two capital letters"),
        ("limits", {"account_id": ["a"], "single_limit_minor": [1.5]}, "a whole number"),
        ("limits", {"account_id": ["a"], "daily_limit_minor": [-1]}, "0 or more"),
        ("countries", {"country": ["DE"], "region": ["Europe!"], "risk": [0]}, "region must be"),
        ("countries", {"country": ["DE"], "region": ["EUROPE"], "risk": [3]}, "one of 0, 1, 2"),
        ("currencies", {"currency": ["EUR"], "exponent": [9]}, "exponent must be"),
        ("mcc", {"mcc_code": ["742"], "risk": [0]}, "four digits"),
    ],
)
def test_what_a_table_may_not_hold(kind, columns, said):
    with pytest.raises(ConfigurationError) as caught:
        validate(kind, pl.DataFrame(columns))
    assert said in caught.value.what
    assert kind in caught.value.what
    assert caught.value.next


def test_an_error_shows_five_examples_at_most():
    with pytest.raises(ConfigurationError) as caught:
        validate("mcc", pl.DataFrame({"mcc_code": [f"x{i}" for i in range(40)], "risk": [0] * 40}))
    assert "40 rows" in caught.value.what
    assert caught.value.what.count("x") - caught.value.what.count("ex") == 5


def test_a_kind_that_does_not_exist_is_named_with_those_that_do():
    for act in (lambda: validate("gold", pl.DataFrame()), lambda: References({}).get("gold"), lambda: References({"gold": pl.DataFrame()})):
        with pytest.raises(ConfigurationError, match="'gold'") as caught:
            act()
        assert "kyc" in caught.value.next


def test_the_fingerprint_is_of_the_content_alone():
    table = pl.DataFrame({"entry_id": ["1", "2"], "name": ["B", "A"], "aliases": [["x"], ["y", "z"]]})
    cut = pl.concat([table.tail(1), table.head(1)], rechunk=False)
    assert fingerprint(cut) == fingerprint(table)
    assert fingerprint(table.select("name", "aliases", "entry_id")) == fingerprint(table)
    changed = [
        table.with_columns(aliases=pl.Series([["x", "y"], ["z"]])),
        table.with_columns(name=pl.Series(["A", None])),
        table.with_columns(name=pl.Series(["AB", ""])),
        table.rename({"name": "title"}),
        table.head(1),
    ]
    assert len({fingerprint(other) for other in [table, *changed]}) == len(changed) + 1


def test_the_fingerprint_is_made_of_bytes_that_every_machine_has():
    table = pl.DataFrame({"risk": pl.Series([-2, 1], dtype=pl.Int8), "id": ["ü", "a"], "rate": [None, 0.5]})
    by_hand = hashlib.sha256()
    by_hand.update(b"id\0String\0" + b"2\0" + bytes([0]) + struct.pack("<2q", 1, 2) + "aü".encode())
    by_hand.update(b"rate\0Float64\0" + b"2\0" + bytes([0b0100_0000]) + struct.pack("<d", 0.5))
    by_hand.update(b"risk\0Int8\0" + b"2\0" + bytes([0]) + struct.pack("<2q", 1, -2))
    assert fingerprint(table) == by_hand.hexdigest()


def test_references_are_immutable_and_travel(packaged):
    with pytest.raises(TypeError):
        packaged.tables["fx"] = pl.DataFrame()
    fx = pl.DataFrame({"currency": ["EUR"], "rate": [1.0]})
    changed = packaged.with_table("fx", fx)
    assert packaged.get("fx").height > 100
    assert changed.get("fx").height == 1
    assert changed.without("fx").get("fx") is None
    assert pickle.loads(pickle.dumps(changed)).fingerprints() == changed.fingerprints()


def test_a_watchlist_replaces_only_its_own_lists():
    def entries(name, *ids):
        return pl.DataFrame({"entry_id": ids, "list": [name] * len(ids), "name": ids})

    both = References({}).updated("watchlist", entries("UN", "u1", "u2")).updated("watchlist", entries("OFAC", "o1"))
    assert both.get("watchlist")["entry_id"].to_list() == ["o1", "u1", "u2"]
    newer = both.updated("watchlist", entries("UN", "u3"))
    assert newer.get("watchlist")["entry_id"].to_list() == ["o1", "u3"]
    assert newer.updated("fx", pl.DataFrame({"currency": ["EUR"], "rate": [1]})).get("fx").height == 1


def test_what_is_derived_is_made_once_for_all_threads():
    made = []
    references = References({})

    def build(of):
        made.append(of)
        return object()

    got = []
    threads = [threading.Thread(target=lambda: got.append(references.derive("it", build))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [references]
    assert len(set(map(id, got))) == 1


def test_packaged_countries(packaged):
    countries = packaged.get("countries")
    assert countries.height == 249
    rows = {country: (region, risk) for country, region, risk in countries.iter_rows()}
    assert rows["NA"] == ("AFRICA", 0)
    assert rows["DE"] == ("EUROPE", 0)
    assert {country for country, (_, risk) in rows.items() if risk == 2} == {"IR", "KP", "MM"}
    assert sum(risk == 1 for _, risk in rows.values()) == 22
    assert set(countries["region"]) == {"AFRICA", "AMERICAS", "ASIA", "EUROPE", "OCEANIA", "UNKNOWN"}


def test_packaged_currencies_all_have_a_rate(packaged):
    exponents = dict(packaged.get("currencies").iter_rows())
    rates = dict(packaged.get("fx").iter_rows())
    assert exponents | {"EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4} == exponents
    assert set(rates) == set(exponents)
    assert rates["EUR"] == 1.0
    assert not {"XXX", "XAU", "XXQ"} & set(exponents)


def test_packaged_merchant_categories(packaged):
    risks = dict(packaged.get("mcc").iter_rows())
    assert {risks[code] for code in ("7995", "6051", "4829", "6211", "5967")} == {2}
    assert risks["5411"] == 0
    assert risks["0742"] == 0
