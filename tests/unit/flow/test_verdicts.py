from __future__ import annotations

import numpy as np
import polars as pl

from lakewarden.flow import verdicts


def carrying(*codes: list[str]) -> pl.DataFrame:
    schema = {"codes": pl.List(pl.String), "reasons": pl.List(pl.String)}
    return pl.DataFrame({"codes": list(codes), "reasons": [[f"why {code}" for code in some] for some in codes]}, schema=schema)


def found(at: list[int], code: str) -> pl.DataFrame:
    return verdicts.found(np.array(at, dtype=np.int64), code, f"why {code}", None)


def test_reasons_are_appended_in_the_order_in_which_they_were_found() -> None:
    rows = verdicts.append(carrying(["a"], [], ["b", "c"]), [found([1, 2], "d"), found([], "x"), found([0, 1], "e")])
    assert rows.equals(carrying(["a", "e"], ["d", "e"], ["b", "c", "d"]))


def test_nothing_found_changes_nothing() -> None:
    rows = carrying(["a"], [])
    assert verdicts.append(rows, []) is rows
    assert verdicts.append(rows, [found([], "x")]) is rows


def test_what_rows_carry_can_be_read_back() -> None:
    assert verdicts.held(carrying(["a", "b"], [], ["c"])).rows() == [(0, "a", "why a"), (0, "b", "why b"), (2, "c", "why c")]
    assert verdicts.held(carrying([], [])).schema == verdicts.FOUND
    assert verdicts.counts_of(carrying(["a", "b"], [])).tolist() == [2, 0]


def test_lists_hold_each_rows_values() -> None:
    made = verdicts.lists("v", 4, np.array([1, 1, 3]), pl.Series(["a", "b", "c"]))
    assert (made.name, made.to_list()) == ("v", [[], ["a", "b"], [], ["c"]])
    empty = verdicts.lists("v", 0, np.zeros(0, dtype=np.int64), pl.Series([], dtype=pl.String))
    assert (empty.dtype, len(empty)) == (pl.List(pl.String), 0)


def test_a_reason_shows_the_value() -> None:
    def shown(values: pl.Series) -> list[str]:
        return verdicts.found(np.arange(len(values)), "c", "must be", values)["reason"].to_list()

    assert shown(pl.Series(["x", "y" * 99, None])) == ["must be, got 'x'", f"must be, got '{'y' * 40}'", "must be, got nothing"]
    assert shown(pl.Series([1.5, None])) == ["must be, got 1.5", "must be, got nothing"]
    assert shown(pl.Series([["a", "b"]])) == ["must be, got 2 items"]
