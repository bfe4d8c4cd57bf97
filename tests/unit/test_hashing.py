"""Hashes are XXH3-64 to the bit, and content is told by value."""

import polars as pl
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from lakewarden.hashing import combine, content_hash, hash64, mixed, shard_of


def reference(value: bytes | None) -> int:
    if value is None:
        return 0
    digest = xxhash.xxh3_64_intdigest(value)
    return digest - (1 << 64) if digest >> 63 else digest


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.one_of(st.none(), st.text(max_size=400))))
def test_texts_hash_as_the_reference_says(values: list[str | None]) -> None:
    expected = [reference(None if value is None else value.encode()) for value in values]
    assert hash64(pl.Series(values, dtype=pl.String)).tolist() == expected


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.one_of(st.none(), st.binary(max_size=400))))
def test_bytes_hash_as_the_reference_says(values: list[bytes | None]) -> None:
    assert hash64(pl.Series(values, dtype=pl.Binary)).tolist() == [reference(value) for value in values]


def test_known_value() -> None:
    assert hash64(pl.Series(["", None])).tolist() == [0x2D06800538D394C2, 0]


def test_sliced_and_chunked_series() -> None:
    values = pl.Series(["a", "b" * 50, None, "d"])
    assert hash64(values[1:3]).tolist() == hash64(values).tolist()[1:3]
    assert hash64(pl.concat([values, values], rechunk=False)).tolist() == hash64(values).tolist() * 2


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(pl.exceptions.ComputeError):
        hash64(pl.Series([1, 2]))


def test_combine_depends_on_order_and_is_never_zero() -> None:
    a, b = hash64(pl.Series(["x", None, "y"])), hash64(pl.Series(["y", None, "x"]))
    both = combine(a, b)
    assert both.tolist() != combine(b, a).tolist()
    assert both[0] == combine(b, a)[2]
    assert (both != 0).all()


def test_mixed_keeps_values_apart() -> None:
    assert mixed(0) == 0
    assert len({mixed(i) for i in range(-500, 500)}) == 1000


ROW = {
    "account_id": "A",
    "amount": 1.5,
    "risk_flags": ["x", "y"],
    "tenant_id": None,
    "count": 3,
    "day": None,
}
SCHEMA = {
    "account_id": pl.String,
    "amount": pl.Float64,
    "risk_flags": pl.List(pl.String),
    "tenant_id": pl.String,
    "count": pl.Int64,
    "day": pl.Datetime("us", "UTC"),
}
COLUMNS = tuple(SCHEMA)


def content(**changes: object) -> int:
    return int(content_hash(pl.DataFrame([ROW | changes], schema=SCHEMA), COLUMNS)[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"account_id": "B"},
        {"account_id": None},
        {"account_id": ""},
        {"amount": 1.5000000000000002},
        {"amount": None},
        {"risk_flags": ["y", "x"]},
        {"risk_flags": ["xy"]},
        {"risk_flags": ["x"]},
        {"risk_flags": []},
        {"risk_flags": [""]},
        {"risk_flags": None},
        {"tenant_id": ""},
        {"tenant_id": "A", "account_id": None},
        {"count": 4},
        {"count": 0},
        {"count": None},
    ],
)
def test_other_content_hashes_otherwise(changes: dict[str, object]) -> None:
    assert content(**changes) != content()


def test_content_is_told_by_value() -> None:
    frame = pl.DataFrame([ROW], schema=SCHEMA)
    assert content_hash(frame.select(reversed(COLUMNS)), COLUMNS).tolist() == [content()]
    assert content_hash(frame.drop("tenant_id", "day"), COLUMNS).tolist() == [content()]
    assert content(amount=0.0) == content(amount=-0.0)


def test_a_row_hashes_alike_whatever_stands_beside_it() -> None:
    other = {"account_id": "B", "amount": None, "risk_flags": ["z"] * 3, "tenant_id": "T", "count": None, "day": None}
    frame = pl.DataFrame([other, ROW, other], schema=SCHEMA)
    assert content_hash(frame, COLUMNS)[1] == content()


def test_shards_cover_all_and_are_stable() -> None:
    keys = hash64(pl.Series([f"A{i}" for i in range(1000)]))
    shards = shard_of(keys, 3)
    assert set(shards.tolist()) == {0, 1, 2}
    assert shards.tolist() == [int(key) % (1 << 64) % 3 for key in keys]
