from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest

from lakewarden.flow.dead_letters import COLUMNS, EXCERPT, conflicts, split
from lakewarden.tables import DLQ, LINEAGE

ROW = {
    "seq": 7,
    "event_date": date(2024, 5, 31),
    "arrival_time": datetime(2024, 5, 31, tzinfo=UTC),
    "transaction_id": "T7",
    "account_id": "A1",
    "amount": 5.0,
    "currency": "EUR",
    "merchant_id": "M1",
    "body": b'{"transaction_id":"T7"}',
    "codes": [],
    "reasons": [],
}
SCHEMA = {name: COLUMNS.get(name, pl.String()) for name in ROW} | {"body": pl.Binary()}


def rows(*changes: dict[str, object]) -> pl.DataFrame:
    return pl.DataFrame([ROW | {"seq": seq} | change for seq, change in enumerate(changes)], schema=SCHEMA)


def test_dead_letters_have_the_tables_columns() -> None:
    assert [name for name in DLQ.columns if name not in LINEAGE] == COLUMNS.names()
    for some in (rows({}), rows({"codes": ["dq:x"], "reasons": ["r"]}), rows()):
        assert split(some)[1].schema == COLUMNS


def test_rows_with_a_reason_part_from_those_without() -> None:
    given = rows({}, {"codes": ["dq:a", "dq:b"], "reasons": ["not a", "not b"]}, {})
    alive, dead = split(given)
    assert alive.equals(given[[0, 2]])
    assert dead.to_dicts() == [
        {
            "seq": 1,
            "event_date": ROW["event_date"],
            "arrival_time": ROW["arrival_time"],
            "transaction_id": "T7",
            "account_id": "A1",
            "amount": 5.0,
            "currency": "EUR",
            "stage": "quality",
            "codes": ["dq:a", "dq:b"],
            "reasons": ["not a", "not b"],
            "first_seq": None,
            "body_excerpt": '{"transaction_id":"T7"}',
            "body_bytes": 23,
        }
    ]


@pytest.mark.parametrize(
    ("code", "stage"),
    [
        ("malformed_json", "decode"),
        ("not_an_object", "decode"),
        ("too_large", "decode"),
        ("mistyped:amount", "decode"),
        ("missing:amount", "contract"),
        ("contract:amount:minimum", "contract"),
        ("dq:amount_in_range", "quality"),
    ],
)
def test_the_first_reason_tells_the_stage(code: str, stage: str) -> None:
    assert split(rows({"codes": [code, "dq:other"], "reasons": ["a", "b"]}))[1]["stage"].to_list() == [stage]


@pytest.mark.parametrize(
    ("body", "excerpt"),
    [
        (b"x" * 5000, "x" * EXCERPT),
        ("é".encode() * 5000, "é" * EXCERPT),
        ("𝄞".encode() * 5000, "𝄞" * EXCERPT),
        (b"a" + "𝄞".encode() * 5000, "a" + "𝄞" * (EXCERPT - 1)),
        (b"ok \xff\xfe no\x00", "ok \ufffd\ufffd no\x00"),
        (b"\xff" * 9000, "\ufffd" * EXCERPT),
        (b"a" * 1999 + b"\xc3", "a" * 1999 + "\ufffd"),
        (b"", ""),
        (None, ""),
    ],
)
def test_the_excerpt_is_the_first_characters_whatever_the_bytes(body: bytes | None, excerpt: str) -> None:
    dead = split(rows({"codes": ["too_large"], "reasons": ["r"], "body": body}, {"codes": ["x"], "reasons": ["r"]}))[1]
    assert dead["body_excerpt"].to_list() == [excerpt, '{"transaction_id":"T7"}']
    assert dead["body_bytes"][0] == len(body or b"")


def test_a_conflict_names_the_first() -> None:
    dead = conflicts(rows({}, {"transaction_id": "T" * 50}).with_columns(pl.Series("first_seq", [3, 4], dtype=pl.Int64)))
    assert dead.schema == COLUMNS
    assert dead.select("stage", "codes", "first_seq").rows() == [
        ("deduplicate", ["conflicting_duplicate"], 3),
        ("deduplicate", ["conflicting_duplicate"], 4),
    ]
    assert dead["reasons"].to_list() == [
        ["transaction_id 'T7' came before, as seq 3, with other content"],
        [f"transaction_id '{'T' * 40}' came before, as seq 4, with other content"],
    ]
    assert conflicts(rows().with_columns(pl.Series("first_seq", [], dtype=pl.Int64))).schema == COLUMNS
