"""Values of any source as values of the contract."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from lakewarden.sources.values import flags, instant, number, number_json, text, truth


def test_ids_are_plain_integers() -> None:
    assert text(pl.Series([596, None], dtype=pl.Int32)).to_list() == ["596", None]
    assert text(pl.Series([596.0, -0.0, 1.5, float("nan"), None, 2.0**60])).to_list() == [
        "596",
        "0",
        "1.5",
        None,
        None,
        "1.152921504606847e+18",
    ]
    assert text(pl.Series([2**63], dtype=pl.UInt64)).to_list() == ["9223372036854775808"]
    assert text(pl.Series([True, False])).to_list() == ["true", "false"]
    assert text(pl.Series([Decimal("10.50")])).to_list() == ["10.50"]
    assert text(pl.Series(["a"], dtype=pl.Categorical)).to_list() == ["a"]


def test_text_that_is_a_number_keeps_its_digits() -> None:
    given = pl.Series(["57.160", " 5 ", "1e3", "007.5", ".5", "+2", "1,5", "abc", "", "nan", "inf", "1_000", "0x10", None])
    read = number(given)
    assert read.to_list() == ["57.160", "5", "1e3", "7.5", "0.5", "2.0", "1,5", "abc", "", "nan", "inf", "1_000", "0x10", None]
    shown = number_json(read).to_list()
    assert shown[:6] == ["57.160", "5", "1e3", "7.5", "0.5", "2.0"]
    assert shown[6:] == ['"1,5"', '"abc"', '""', '"nan"', '"inf"', '"1_000"', '"0x10"', None]


def test_scale_divides_where_that_is_exact() -> None:
    assert number(pl.Series([5716, 1, None]), 0.01).to_list() == [57.16, 0.01, None]
    assert number(pl.Series(["5716", "x"]), 0.01).to_list() == ["57.16", "x"]
    assert number(pl.Series([2.5]), 1000).to_list() == [2500.0]
    assert number(pl.Series([2.0]), -0.3).to_list() == [-0.6]


@pytest.mark.parametrize(
    ("given", "settings", "expected"),
    [
        ("2024-01-01T10:00:00Z", {}, "2024-01-01T10:00:00Z"),
        ("2024-01-01T10:00:00+02:00", {"timezone": "Europe/Brussels"}, "2024-01-01T10:00:00+02:00"),
        ("2024-01-01 10:00:00", {}, "2024-01-01T10:00:00Z"),
        ("2024-01-01T10:00:00.5", {}, "2024-01-01T10:00:00.5Z"),
        ("2024-07-01 10:00:00", {"timezone": "Europe/Brussels"}, "2024-07-01T08:00:00Z"),
        ("2024-10-27 02:30:00", {"timezone": "Europe/Brussels"}, "2024-10-27T00:30:00Z"),
        ("2024-03-31 02:30:00", {"timezone": "Europe/Brussels"}, "2024-03-31 02:30:00"),
        ("01/02/2024 03:04", {"format": "%d/%m/%Y %H:%M"}, "2024-02-01T03:04:00Z"),
        ("01/02/2024 03:04", {"format": "%d/%m/%Y %H:%M", "timezone": "America/New_York"}, "2024-02-01T08:04:00Z"),
        ("2024-02-01 03:04:05 +0100", {"format": "%Y-%m-%d %H:%M:%S %z"}, "2024-02-01T02:04:05Z"),
        ("yesterday", {"format": "%d/%m/%Y %H:%M"}, "yesterday"),
        ("yesterday", {"timezone": "Europe/Brussels"}, "yesterday"),
        ("1700000000.25", {"format": "epoch_s"}, "2023-11-14T22:13:20.250Z"),
        ("1700000000123456", {"format": "epoch_us"}, "2023-11-14T22:13:20.123456Z"),
        ("99999999999999999999", {"format": "epoch_ms"}, "99999999999999999999"),
        (1_700_000_000, {"format": "epoch_s"}, "2023-11-14T22:13:20Z"),
        (-1, {"format": "epoch_ms"}, "1969-12-31T23:59:59.999Z"),
        (1_700_000_000_123_456_789, {"format": "epoch_ns"}, "2023-11-14T22:13:20.123456Z"),
        (2**62, {"format": "epoch_s"}, str(2**62)),
        (1.7e9, {"format": "epoch_s"}, "2023-11-14T22:13:20Z"),
        (20240101, {}, "20240101"),
        (date(2024, 1, 1), {}, "2024-01-01T00:00:00Z"),
        (date(2024, 7, 1), {"timezone": "Europe/Brussels"}, "2024-06-30T22:00:00Z"),
        (datetime(2024, 1, 1, 1), {}, "2024-01-01T01:00:00Z"),
        (datetime(2024, 1, 1, 1, tzinfo=UTC), {"timezone": "Europe/Brussels"}, "2024-01-01T01:00:00Z"),
        (datetime(2024, 3, 31, 2, 30), {"timezone": "Europe/Brussels"}, "2024-03-31T02:30:00"),
    ],
)
def test_times(given: object, settings: dict[str, str], expected: str) -> None:
    assert instant(pl.Series([given, None]), **settings).to_list() == [expected, None]


def test_times_of_any_unit_and_beyond_the_calendar() -> None:
    assert instant(pl.Series([1_700_000_000_123], dtype=pl.Datetime("ms"))).to_list() == ["2023-11-14T22:13:20.123Z"]
    assert instant(pl.Series([1_700_000_000_123_456_789], dtype=pl.Datetime("ns"))).to_list() == ["2023-11-14T22:13:20.123456Z"]
    assert instant(pl.Series([2**62], dtype=pl.Datetime("us"))).to_list() == [str(2**62)]


def test_one_value_never_changes_another() -> None:
    """A block's text times with one unreadable among them are read as each would be alone."""
    given = ["1700000000", "1700000000.5", "x", "", None, "-1"]
    together = instant(pl.Series(given), "epoch_s").to_list()
    assert together == [instant(pl.Series([value], dtype=pl.String), "epoch_s").to_list()[0] for value in given]


def test_lists() -> None:
    assert flags(pl.Series(["a;b; c", "", None, '["x","y"]', "[broken", "[1,2]"])).to_list() == [
        ["a", "b", "c"],
        [],
        None,
        ["x", "y"],
        ["[broken"],
        ["1", "2"],
    ]
    assert flags(pl.Series(["a|b"]), "|").to_list() == [["a", "b"]]
    assert flags(pl.Series([[1, 2]])).to_list() == [["1", "2"]]


def test_truth() -> None:
    assert truth(pl.Series(["1", "0", " TRUE", "false", "Yes", "no", "2", "", None])).to_list() == [
        True,
        False,
        True,
        False,
        True,
        False,
        None,
        None,
        None,
    ]
    assert truth(pl.Series([1, 0, 7, None])).to_list() == [True, False, None, None]
    assert truth(pl.Series([1.0, 0.0, 0.5])).to_list() == [True, False, None]
    assert truth(pl.Series([True, None])).to_list() == [True, None]
