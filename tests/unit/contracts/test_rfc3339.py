from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from lakewarden.contracts.rfc3339 import read_instants


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2024-02-29T23:59:59Z", at(2024, 2, 29, 23, 59, 59)),
        ("2024-02-29t23:59:59.1z", at(2024, 2, 29, 23, 59, 59, 100_000)),
        ("2024-02-29T23:59:59.123456789Z", at(2024, 2, 29, 23, 59, 59, 123_456)),
        ("2024-03-01T00:30:00+01:00", at(2024, 2, 29, 23, 30)),
        ("2024-02-29T23:30:00-00:30", at(2024, 3, 1)),
        ("1969-12-31T23:59:59.5-00:00", at(1969, 12, 31, 23, 59, 59, 500_000)),
        ("1600-02-29T00:00:00Z", at(1600, 2, 29)),
    ],
)
def test_instants_are_read(text: str, means: datetime) -> None:
    assert read_instants(pl.Series("t", [text])).to_list() == [means]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-02-30T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2024-06-31T00:00:00Z",
        "2024-06-30T23:59:60Z",
        "2024-06-30T24:00:00Z",
        "2024-06-30T23:60:00Z",
        "2024-06-30 10:00:00Z",
        "2024-06-30T10:00:00",
        "2024-06-30T10:00:00.Z",
        "2024-06-30T10:00:00ZZ",
        "2024-06-30T10:00:00Z\n",
        "2024-06-30T10:00:00+2:00",
        "2024-06-30T10:00:00+24:00",
        "2024-06-30T10:00:00+0200x",
        "2024/06/30T10:00:00Z",
        "2024-06-30T10-00-00Z",
        "-024-06-30T10:00:00Z",
        "2024-06-30T10:00:00.12",
    ],
)
def test_what_is_no_instant_is_null(text: str) -> None:
    assert read_instants(pl.Series("t", [text])).to_list() == [None]


def test_order_height_name_and_nulls_are_kept_in_any_slice() -> None:
    texts = pl.Series("when", ["x", "2024-01-01T00:00:00Z", None, "2024-01-02T00:00:00Z"])
    read = read_instants(texts)
    assert (read.name, read.dtype) == ("when", pl.Datetime("us", "UTC"))
    assert read.to_list() == [None, at(2024, 1, 1), None, at(2024, 1, 2)]
    assert read_instants(texts[2:]).to_list() == [None, at(2024, 1, 2)]
    assert read_instants(texts[:0]).to_list() == []
