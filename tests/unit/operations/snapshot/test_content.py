"""What a snapshot holds: the digest is the one that its definition gives, however the rows are cut."""

import csv
import datetime as dt
import hashlib
import io
import struct

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from lakewarden.operations.snapshot import content
from lakewarden.tables import SNAPSHOTS

DAY = dt.date(2026, 1, 5)
TEXT = st.none() | st.text(max_size=6)
ROWS = st.lists(
    st.tuples(TEXT, TEXT, st.none() | st.integers(-(2**53), 2**53), st.sampled_from(["EUR", "JPY"]), st.floats(0, 1)),
    min_size=1,
    max_size=12,
)


def frame(rows) -> pl.DataFrame:
    told = [
        {
            "snapshot_date": DAY,
            "seq": seq,
            "event_date": DAY,
            "transaction_id": transaction,
            "account_id": account,
            "amount_minor": amount,
            "currency": currency,
            "risk_score": score,
            "risk_band": "LOW",
            "model_version": None,
            "release_id": "r1",
        }
        for seq, (transaction, account, amount, currency, score) in enumerate(rows)
    ]
    return pl.DataFrame(told, schema={name: SNAPSHOTS.columns[name] for name in content.CONTENT})


def by_definition(rows: pl.DataFrame) -> str:
    """As an auditor computes it, without Polars."""
    lines = []
    for row in rows.rows():
        told = []
        for name, value in zip(rows.columns, row, strict=True):
            if value is None:
                told.append("\\N")
            elif name == "risk_score":
                told.append(str(struct.unpack("<q", struct.pack("<d", value))[0]))
            elif isinstance(value, int):
                told.append(str(value))
            else:
                told.append('"' + str(value).replace('"', '""') + '"')
        lines.append(",".join(told) + "\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@given(ROWS, st.integers(1, 5))
def test_the_digest_is_as_defined_and_the_same_however_the_rows_are_cut(rows, most):
    whole = frame(rows)
    pieces = (whole.slice(start, most) for start in range(0, whole.height, most))
    told = content.figures(pieces)
    assert told["sha256"] == by_definition(whole)
    assert told == content.figures(iter([whole]))
    assert told["rows"] == len(rows)
    by_currency = {currency: sum(row[2] or 0 for row in rows if row[3] == currency) for currency in {row[3] for row in rows}}
    assert told["amounts_minor"] == by_currency


@given(ROWS, st.data())
def test_no_value_can_change_unseen(rows, data):
    whole = frame(rows)
    name = data.draw(st.sampled_from(["transaction_id", "account_id", "amount_minor", "risk_score"]))
    at = data.draw(st.integers(0, whole.height - 1))
    other = data.draw({"amount_minor": st.integers(-9, 9), "risk_score": st.floats(0, 1)}.get(name, TEXT))
    changed = whole.with_columns(
        pl.when(pl.int_range(pl.len()) == at).then(pl.lit(other, whole.schema[name])).otherwise(pl.col(name)).alias(name)
    )
    same = whole[name].eq_missing(changed[name]).all()
    assert (content.figures(iter([changed]))["sha256"] == content.figures(iter([whole]))["sha256"]) is same


def test_it_can_be_read_as_csv():
    whole = frame([('a "quoted"\nname', "A,1", 100, "EUR", 0.25)])
    (row,) = csv.reader(io.StringIO(content.csv(whole).decode()))
    assert row == ["2026-01-05", "0", "2026-01-05", 'a "quoted"\nname', "A,1", "100", "EUR", "4598175219545276416", "LOW", "\\N", "r1"]
