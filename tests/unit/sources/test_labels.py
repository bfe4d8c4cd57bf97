"""Label files: what they must hold, and every way in which they don't."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from lakewarden.errors import ConfigurationError, SourceError
from lakewarden.sources.labels import read_labels
from lakewarden.sources.mapping import LABEL_SCHEMA

FULL = """transaction_id,is_fraud,typology,known_time,account_id,merchant_id,event_time
t1,1,mule,2024-01-08T00:00:00Z,a1,m1,2024-01-01T00:00:00Z
t2,false,,2024-01-08 00:00:00,a2,,
"""


def test_csv_with_everything(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(FULL)
    labels = read_labels(path)
    assert labels.schema == LABEL_SCHEMA
    assert labels.rows() == [
        ("t1", True, "mule", datetime(2024, 1, 8, tzinfo=UTC), "a1", "m:m1", datetime(2024, 1, 1, tzinfo=UTC)),
        ("t2", False, None, datetime(2024, 1, 8, tzinfo=UTC), "a2", None, None),
    ]
    (tmp_path / "labels.csv.gz").write_bytes(gzip.compress(FULL.encode()))
    assert read_labels(tmp_path / "labels.csv.gz").equals(labels)
    assert read_labels(tmp_path).equals(labels)
    (tmp_path / "manifest.json").write_text('{"kind": "lakewarden-simulation"}')
    (tmp_path / "events").mkdir()
    (tmp_path / "labels").mkdir()
    path.rename(tmp_path / "labels" / "labels.csv")
    assert read_labels(tmp_path).equals(labels)


def test_parquet_with_the_least(tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    pl.DataFrame({"transaction_id": [7], "is_fraud": [True]}).write_parquet(path)
    assert read_labels(path).rows() == [("7", True, None, None, None, None, None)]


def test_a_mapping_names_other_columns(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,bad,when\n1,0,2024-01-01 00:00:00\n2,1,2024-01-02 00:00:00\n")
    (tmp_path / "m.yaml").write_text("columns: {transaction_id: id, event_time: when}\nlabels: {is_fraud: bad, known_after_days: 1}")
    labels = read_labels(tmp_path / "rows.csv", tmp_path / "m.yaml")
    assert labels["is_fraud"].to_list() == [False, True]
    assert labels["known_time"][0] == datetime(2024, 1, 2, tzinfo=UTC)
    (tmp_path / "m.yaml").write_text("columns: {transaction_id: id}")
    with pytest.raises(ConfigurationError, match="labels"):
        read_labels(tmp_path / "rows.csv", tmp_path / "m.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("transaction_id,fraud\nt1,1\n", "lacks is_fraud and has unknown columns: fraud; labels are transaction_id, is_fraud"),
        ("transaction_id,is_fraud,score\nt1,1,2\n", "has unknown columns: score"),
        ("transaction_id,is_fraud\nt1,1\nt2,0\nt1,1\n", "2 rows share their transaction_id with another, among them t1, t1"),
        ("transaction_id,is_fraud\nt1,maybe\n", "1 rows have an is_fraud that is neither .*, among them row 1"),
        ("transaction_id,is_fraud\nt0,1\n,1\n", "1 rows have no transaction_id, among them row 2"),
        ("transaction_id,is_fraud,known_time\nt1,1,later\n", "have a known_time that is no time"),
        ("transaction_id,is_fraud\nt1,1,5\n", "can't be read as labels"),
        ("", "can't be read as labels"),
    ],
)
def test_wrong_labels_are_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(content)
    with pytest.raises(SourceError, match=message) as caught:
        read_labels(path)
    assert str(path) in caught.value.what
    assert caught.value.next


def test_what_is_no_label_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no labels at"):
        read_labels(tmp_path / "none.csv")
    with pytest.raises(SourceError, match="no labels at"):
        read_labels(tmp_path)
    (tmp_path / "labels.txt").write_text("x")
    with pytest.raises(SourceError, match="neither CSV nor Parquet"):
        read_labels(tmp_path / "labels.txt")
    (tmp_path / "labels.csv.gz").write_bytes(gzip.compress(FULL.encode())[:-20])
    with pytest.raises(SourceError, match="compressed data"):
        read_labels(tmp_path / "labels.csv.gz")
    (tmp_path / "labels.parquet").write_bytes(b"x" * 20)
    with pytest.raises(SourceError, match="can't be read as labels"):
        read_labels(tmp_path / "labels.parquet")
