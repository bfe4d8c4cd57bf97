"""Lookups: the same as a join, whatever the hashes do."""

import time

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from lakewarden.hashing import hash64
from lakewarden.rules.lookup import Lookup

TABLE = pl.DataFrame({"key": ["a", "b", None, "ü"], "text": ["A", None, "nobody", "U"], "number": [1, 2, 3, None]})


def joined(keys, table, key):
    return keys.to_frame(key).join(table, on=key, how="left", maintain_order="left").drop(key)


def clashing(series):
    """Every key has one of three hashes, one of them negative."""
    return (series.str.len_bytes().fill_null(0).to_numpy().astype(np.int64) % 3) * -7


def test_values_come_in_the_order_of_the_keys():
    got = Lookup.build(TABLE, "key").gather(pl.Series(["ü", "x", "a", None, "a", "b"]))
    assert got.rows() == [("U", None), (None, None), ("A", 1), (None, None), ("A", 1), (None, 2)]


keys = st.lists(st.one_of(st.none(), st.text(alphabet="abü", max_size=4)), max_size=30)


@settings(deadline=None)
@given(st.sets(st.text(alphabet="abü", max_size=4)), keys)
def test_the_same_as_a_join(known, wanted):
    table = pl.DataFrame({"key": sorted(known), "row": range(len(known))}, schema={"key": pl.String, "row": pl.Int64})
    series = pl.Series(wanted, dtype=pl.String)
    for hash_of in (hash64, clashing):
        assert Lookup.build(table, "key", hash_of).gather(series).equals(joined(series, table, "key"))


def test_an_empty_table_and_no_keys():
    nothing = Lookup.build(TABLE.clear(), "key")
    assert nothing.gather(pl.Series(["a", None])).rows() == [(None, None)] * 2
    assert Lookup.build(TABLE, "key").gather(pl.Series([], dtype=pl.String)).height == 0


def test_a_micro_batch_costs_what_it_holds():
    """600 keys against 300,000 rows cost about what they cost against 1,000 (a join made anew would cost 100 times as much)."""
    big = pl.DataFrame({"key": [f"K{i}" for i in range(300_000)], "row": range(300_000)})
    wanted = big["key"].sample(600, seed=1)

    def best_of(lookup):
        spent = []
        for _ in range(20):
            start = time.perf_counter()
            lookup.gather(wanted)
            spent.append(time.perf_counter() - start)
        return min(spent)

    assert best_of(Lookup.build(big, "key")) < 10 * best_of(Lookup.build(big.head(1_000), "key"))
