"""Near-equal pairs: whatever is cut off, none is lost."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz import distance

from lakewarden.rules.similar import similar_pairs


def by_comparing_all(left, right, threshold):
    found = []
    for row, a in enumerate(left):
        for other, b in enumerate(right):
            if a and b:
                changes = distance.Indel.distance(a, b)
                if changes <= int((1 - threshold) * (len(a) + len(b)) + 1e-9):
                    found.append((row, other, 1 - changes / (len(a) + len(b))))
    return found


words = st.text(alphabet="abcé 名", max_size=14)


@settings(max_examples=150, deadline=None)
@given(st.lists(words, max_size=8), st.lists(words, max_size=8), st.sampled_from([0.7, 0.8, 0.85, 0.92, 1.0]))
def test_the_same_as_comparing_all_with_all(left, right, threshold):
    got = similar_pairs(pl.Series(left, dtype=pl.String), pl.Series(right, dtype=pl.String), threshold).rows()
    assert got == by_comparing_all(left, right, threshold)


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="abcdef", min_size=5, max_size=60), st.data())
def test_a_text_with_a_few_changes_is_found(text, data):
    changed = list(text)
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(changed) - 1))
        if data.draw(st.booleans()):
            changed.insert(at, "x")
        elif len(changed) > 1:
            del changed[at]
    changed = "".join(changed)
    threshold = 0.85
    got = similar_pairs(pl.Series([changed]), pl.Series([text]), threshold).rows()
    assert got == by_comparing_all([changed], [text], threshold)


def test_nulls_and_empty_texts_match_nothing():
    assert similar_pairs(pl.Series([None, "", "abc"]), pl.Series(["", None, "abc"]), 0.9).rows() == [(2, 2, 1.0)]


def test_nothing_to_compare():
    nothing = pl.Series([], dtype=pl.String)
    assert similar_pairs(nothing, pl.Series(["a"]), 0.9).height == 0
    assert similar_pairs(pl.Series(["a"]), nothing, 0.9).height == 0


@pytest.mark.parametrize("rows", [1, 3, 70_000])
def test_long_lists_are_taken_in_pieces(rows):
    left = pl.Series(["mohammed ali"] * rows)
    got = similar_pairs(left, pl.Series(["mohamed ali", "unlike"]), 0.9)
    assert got["left"].to_numpy().tolist() == np.arange(rows).tolist()
    assert got["right"].unique().to_list() == [0]
