"""A row's values don't depend on the rows beside it."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from lakewarden.flow.features import COMPUTED, HUNDRED
from lakewarden.rules.evaluation import evaluated

EXPRESSIONS = [
    (pl.col("x") / 100).alias("hundredth"),
    (pl.col("x") / 3.0 * 7).alias("sevenths"),
    (pl.col("x") * 0.1 > pl.col("y") / 10).alias("more"),
    (pl.col("x") / pl.col("y")).alias("ratio"),
    (pl.col("x").cast(pl.Float64).sqrt() / 7).alias("root"),
]
numbers = st.integers(0, 10**12)


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=9), st.integers(1, 8))
def test_alone_or_among_others(rows, cut):
    frame = pl.DataFrame(rows, schema={"x": pl.Int64, "y": pl.Int64}, orient="row")
    whole = evaluated(frame, EXPRESSIONS)
    assert pl.concat([evaluated(frame[:cut], EXPRESSIONS), evaluated(frame[cut:], EXPRESSIONS)]).equals(whole)
    assert pl.concat([evaluated(frame[i], EXPRESSIONS) for i in range(frame.height)]).equals(whole)


@given(st.lists(numbers, min_size=1, max_size=9))
def test_an_amount_is_the_hundredth_part_of_its_minor_units(amounts):
    frame = pl.DataFrame({"amount_base_minor": amounts}).with_columns(pl.Series(HUNDRED, [100.0] * len(amounts)))
    assert frame.select(COMPUTED["amount"]).to_series().to_list() == [amount / 100 for amount in amounts]
