"""The mapping file: what it may say, what it does to rows and to JSON lines, and the labels beside."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from lakewarden.errors import ConfigurationError
from lakewarden.sources.mapping import LABEL_SCHEMA, EventMapping, load_mapping
from lakewarden.sources.open import open_source

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("LAKEWARDEN_DATA", ROOT.parent / "shared" / "data"))

MAPPING = """
columns:
  transaction_id: {template: "t-{ID}"}
  event_time: {column: WHEN, format: "%d.%m.%Y %H:%M", timezone: Europe/Brussels}
  account_id: CUSTOMER
  customer_id: CUSTOMER
  amount: {column: CENTS, scale: 0.01}
  currency: {value: "EUR"}
  risk_flags: {value: [a, b]}
drop: [SECRET]
arrival: {column: SEEN, format: epoch_s}
labels: {is_fraud: FRAUD, known_after_days: 2.5, typology: {column: KIND, names: {1: first}}}
"""


def mapping(tmp_path: Path, text: str = MAPPING) -> EventMapping:
    path = tmp_path / "mapping.yaml"
    path.write_text(text)
    return load_mapping(path)


ROWS = pl.DataFrame(
    {
        "ID": [1, 2],
        "WHEN": ["01.07.2024 12:00", "soon"],
        "CUSTOMER": [596.0, None],
        "CENTS": [5716, None],
        "SECRET": [1, 1],
        "SEEN": [1_719_828_000, 1_719_828_001],
        "FRAUD": [1, 0],
        "KIND": [1, 2],
        "country": ["BE", None],
        "currency": ["USD", "USD"],
        "extra": [1.5, None],
    }
)


def test_rows_become_bodies_of_the_contract(tmp_path: Path) -> None:
    bodies = [json.loads(body) for body in mapping(tmp_path).to_bodies(ROWS)]
    assert bodies == [
        {
            "transaction_id": "t-1",
            "event_time": "2024-07-01T10:00:00Z",
            "account_id": "596",
            "amount": 57.16,
            "currency": "EUR",
            "country": "BE",
            "customer_id": "596",
            "risk_flags": ["a", "b"],
            "enqueued_time": "2024-07-01T10:00:00Z",
            "source_currency": "USD",
            "extra": 1.5,
        },
        {
            "transaction_id": "t-2",
            "event_time": "soon",
            "currency": "EUR",
            "risk_flags": ["a", "b"],
            "enqueued_time": "2024-07-01T10:00:01Z",
            "source_currency": "USD",
        },
    ]


def test_lines_become_the_same_events_as_rows(tmp_path: Path) -> None:
    lines = [json.dumps({name: value for name, value in row.items() if value is not None}).encode() for row in ROWS.to_dicts()]
    mapped = mapping(tmp_path).map_lines(pl.Series(lines, dtype=pl.Binary))
    assert [json.loads(body) for body in mapped] == [json.loads(body) for body in mapping(tmp_path).to_bodies(ROWS)]


def test_lines_that_are_no_objects_stay_as_they_are(tmp_path: Path) -> None:
    raw = [b"", b"{", b"[1]", b"1", b"\xff", b'{"a":1} x', b"null", b'{"deep":' + b"[" * 2000 + b"]" * 2000 + b"}"]
    assert mapping(tmp_path).map_lines(pl.Series(raw, dtype=pl.Binary)).to_list() == raw


def test_lines_keep_unknown_properties_and_their_types(tmp_path: Path) -> None:
    line = {"ID": 1.0, "deep": {"x": [1, None, True]}, "n": None, "currency": "USD", "source_currency": 5, "FRAUD": 1, "CENTS": "12"}
    body = json.loads(mapping(tmp_path).map_lines(pl.Series([json.dumps(line).encode()])).to_list()[0])
    assert body == {
        "transaction_id": "t-1",
        "amount": 0.12,
        "currency": "EUR",
        "risk_flags": ["a", "b"],
        "deep": {"x": [1, None, True]},
        "n": None,
        "source_currency": 5,
        "source_currency_": "USD",
    }


def test_lines_in_a_file_are_mapped_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"n":1}\n\nbroken\n{"n":2}\n')
    spec = mapping(tmp_path, "columns: {account_id: n}")
    chunk = open_source(tmp_path / "a.jsonl", mapping=spec, once=True).read(10, 10.0)
    assert chunk is not None
    assert chunk.bodies.to_list() == [b'{"account_id":"1"}', b"broken", b'{"account_id":"2"}']
    assert chunk.offsets.to_list() == [0, 2, 3]


def test_apply_gives_the_contracts_columns_in_order(tmp_path: Path) -> None:
    frame = mapping(tmp_path).apply(ROWS)
    assert frame.columns[:7] == ["transaction_id", "event_time", "account_id", "amount", "currency", "country", "customer_id"]
    assert frame["amount"].to_list() == [57.16, None]
    assert "SECRET" not in frame.columns
    assert "FRAUD" not in frame.columns


def test_without_a_mapping_columns_keep_their_names() -> None:
    frame = pl.DataFrame({"x": [1], "amount": ["3.10"], "account_id": [7], "event_time": [datetime(2024, 1, 1)]})
    assert EventMapping().to_bodies(frame).to_list() == [b'{"event_time":"2024-01-01T00:00:00Z","account_id":"7","amount":3.10,"x":1}']
    assert EventMapping().to_bodies(frame.clear()).to_list() == []


def test_labels(tmp_path: Path) -> None:
    labels = mapping(tmp_path).labels(ROWS.with_columns(merchant_id=pl.Series([3, None])))
    assert labels.schema == LABEL_SCHEMA
    assert labels.rows()[0] == (
        "t-1",
        True,
        "first",
        datetime(2024, 7, 3, 22, tzinfo=UTC),
        "596",
        "m:3",
        datetime(2024, 7, 1, 10, tzinfo=UTC),
    )
    assert labels.rows()[1] == ("t-2", False, None, None, None, None, None)


def test_labels_need_their_section_and_columns(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no `labels` section"):
        EventMapping().labels(ROWS)
    with pytest.raises(ConfigurationError, match="`labels`: the source has no column FRAUD; its columns are ID"):
        mapping(tmp_path).labels(ROWS.drop("FRAUD"))


def test_a_column_that_does_not_exist_is_named_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"`columns.amount`: a.csv has no column CENTS \(did you mean CENT\?\); its columns are .*CENT"
    ) as caught:
        mapping(tmp_path).apply(ROWS.rename({"CENTS": "CENT"}), where="a.csv")
    assert caught.value.next


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("columns: {acount_id: X}", "acount_id is no property of the contract; did you mean account_id"),
        ("columns: {country: {value: NO}}", "country.value must be text: put False in quotes"),
        ("columns: {mcc_code: {value: 0742}}", "mcc_code.value must be text: put 482 in quotes"),
        ("columns: {amount: {value: '5'}}", "amount.value must be a number"),
        ("columns: {amount: {value: true}}", "amount.value must be a number"),
        ("columns: {risk_flags: {value: a}}", "risk_flags.value must be a list"),
        ("columns: {amount: {column: A, value: 5}}", r"columns\.amount: give exactly one of column, value and template"),
        ("columns: {amount: {}}", "give exactly one of"),
        ("columns: {account_id: {template: constant}}", "names no {COLUMN}"),
        ("columns: {account_id: {template: 'a{'}}", "template"),
        ("columns: {amount: {column: A, scale: 0}}", "scale must be"),
        ("columns: {amount: {column: A, sale: 2}}", r"columns\.amount\.sale: Extra inputs"),
        ("columns: {event_time: {column: A, timezone: Mars/Olympus}}", "unknown timezone 'Mars/Olympus'"),
        ("columns: [1]", "columns: Input should be a valid dictionary"),
        ("colums: {}", "colums: Extra inputs"),
        ("labels: {known_after_days: 7}", r"labels\.is_fraud: Field required"),
        ("labels: {is_fraud: A, known_after_days: 7, known_time: B}", "not both"),
        ("labels: {is_fraud: A, known_time: {value: x}}", "known_time must be a column"),
        ("[]", "mapping"),
        ("a: [", "is no YAML"),
        ("drop: [a]\ndrop: [b]", "given twice: drop"),
        ("columns: {account_id: A, account_id: B}", "given twice: account_id"),
    ],
)
def test_a_wrong_mapping_names_the_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        mapping(tmp_path, text)
    assert str(tmp_path / "mapping.yaml") in caught.value.what
    assert caught.value.next


def test_a_missing_mapping_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't be read"):
        load_mapping(tmp_path / "none.yaml")


def test_the_fingerprint_follows_what_the_mapping_does(tmp_path: Path) -> None:
    one = mapping(tmp_path, "columns: {account_id: A, amount: B}\ndrop: [x, y]").fingerprint
    assert one == mapping(tmp_path, "drop: [y, x]\ncolumns: {amount: {column: B}, account_id: A}").fingerprint
    assert one != mapping(tmp_path, "columns: {account_id: A, amount: B}\ndrop: [x]").fingerprint
    assert len(one) == 16


def test_the_handbooks_mapping_is_what_the_example_says() -> None:
    rows = pl.DataFrame(
        {
            "TRANSACTION_ID": [0],
            "TX_DATETIME": [datetime(2018, 4, 1, 0, 0, 31)],
            "CUSTOMER_ID": [596],
            "TERMINAL_ID": [3156],
            "TX_AMOUNT": [57.16],
            "TX_FRAUD": [1],
            "TX_FRAUD_SCENARIO": [2],
        }
    )
    handbook = load_mapping(ROOT / "examples" / "handbook.yaml")
    assert handbook.to_bodies(rows).to_list() == [
        b'{"transaction_id":"0","event_time":"2018-04-01T00:00:31Z","account_id":"596","amount":57.16,"currency":"EUR","channel":"POS",'
        b'"country":"BE","customer_id":"596","event_type":"PAYMENT","merchant_id":"3156","enqueued_time":"2018-04-01T00:00:31Z"}'
    ]
    known = datetime(2018, 4, 8, 0, 0, 31, tzinfo=UTC)
    happened = datetime(2018, 4, 1, 0, 0, 31, tzinfo=UTC)
    assert handbook.labels(rows).rows() == [("0", True, "compromised_terminal", known, "596", "m:3156", happened)]


@pytest.mark.skipif(not (DATA / "handbook.parquet").exists(), reason=f"no handbook.parquet at {DATA}")
def test_the_handbooks_file_is_mapped_whole() -> None:
    source = open_source(DATA / "handbook.parquet", mapping=ROOT / "examples" / "handbook.yaml", once=True)
    rows, amount, frauds = 0, 0.0, 0
    while (chunk := source.read(200_000, 60.0)) is not None:
        assert chunk.offsets.to_list()[:: len(chunk) - 1] == [rows, rows + len(chunk) - 1]
        rows += len(chunk)
        texts = chunk.bodies.cast(pl.String)
        amount += texts.str.extract(r'"amount":([0-9.]+)').cast(pl.Float64).sum()
        frauds += texts.str.contains("FRAUD").sum()
    expected = pl.scan_parquet(DATA / "handbook.parquet").select(pl.len(), pl.col("TX_AMOUNT").sum()).collect().row(0)
    assert (rows, frauds) == (expected[0], 0)
    assert amount == pytest.approx(expected[1], rel=1e-9)
