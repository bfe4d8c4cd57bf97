"""Parcels: frames and states come out as they went in, and states can go on."""

from __future__ import annotations

from random import Random

import polars as pl
import pytest

from lakewarden.engines.spark import parcels
from lakewarden.engines.spark.parcels import Parcel, of_kind, packed, unpacked
from lakewarden.flow.behaviour import BehaviourState
from lakewarden.flow.deduplicate import DedupState
from lakewarden.flow.store import NEED, NEED_DAYS, NEED_KEYS, NEED_PAIRS, NEED_ROWS, SPACE

ROWS = pl.DataFrame(
    {
        "seq": [3, 1, 2],
        "text": ["ä", None, ""],
        "body": [b"\x00", None, b"{}"],
        "list": [["a", None], [], None],
        "struct": [[{"feature": "amount", "value": 1.5}], None, []],
        "time": pl.Series([1, None, -1]).cast(pl.Datetime("us", "UTC")),
    }
)


def test_frames_come_out_as_they_went_in():
    (parcel,) = unpacked(packed([Parcel("row", 4, ROWS)]))
    assert (parcel.kind, parcel.shard) == ("row", 4)
    assert parcel.content.equals(ROWS)
    assert parcel.content.schema == ROWS.schema


def test_a_row_tells_what_it_holds_and_has_the_columns_that_spark_expects():
    table = packed([Parcel("row", 0, ROWS), Parcel("ids", 1, {"any": "state"})])
    assert table.schema == parcels.ARROW
    assert table.select(["kind", "shard", "rows"]).to_pylist() == [
        {"kind": "row", "shard": 0, "rows": 3},
        {"kind": "ids", "shard": 1, "rows": 0},
    ]


def test_large_frames_travel_in_pieces_in_their_order(monkeypatch):
    monkeypatch.setattr(parcels, "LARGEST_BYTES", ROWS.estimated_size() * 2 // 3 // parcels._COMPRESSED + 1)
    table = packed([Parcel("row", 0, ROWS)])
    assert table["rows"].to_pylist() == [2, 1]
    assert pl.concat(of_kind(list(unpacked(table)), "row")).equals(ROWS)


def test_large_states_travel_in_pieces_and_come_whole_in_whatever_order(monkeypatch):
    monkeypatch.setattr(parcels, "LARGEST_BYTES", 50)
    states = {(kind, shard): Random(f"{kind}{shard}").randbytes(333) for kind in ("ids", "history") for shard in (0, 1)}
    table = packed(Parcel(*place, state) for place, state in states.items())
    assert table.num_rows > 4 * 6
    assert max(len(data) for data in table["parcel"].to_pylist()) <= 50 + 21
    mixed = table.take(Random(7).sample(range(table.num_rows), table.num_rows))
    assert {(parcel.kind, parcel.shard): parcel.content for parcel in unpacked(mixed)} == states


def test_frames_without_rows_are_not_sent():
    table = packed([Parcel("row", 0, ROWS.clear())])
    assert table.num_rows == 0
    assert table.schema == parcels.ARROW
    assert list(unpacked(packed([]))) == []


def test_kinds_are_kept_apart():
    held = list(unpacked(packed([Parcel("a", 0, ROWS.head(1)), Parcel("b", 0, ROWS.tail(1)), Parcel("a", 0, 7)])))
    assert [len(of_kind(held, kind)) for kind in ("a", "b", "c")] == [2, 1, 0]


@pytest.mark.parametrize("need", [NEED_KEYS, NEED_PAIRS, NEED_ROWS, NEED_DAYS])
def test_arrays_of_an_unpacked_state_can_grow(need):
    """Numpy leaves large arrays in the bytes that they were unpickled from, where they can't be made longer."""
    (parcel,) = unpacked(packed([Parcel("history", 0, BehaviourState(500))]))
    for keyed in (parcel.content.by_account, parcel.content.by_party):
        before = keyed.bytes
        keyed.store.meta[NEED], keyed.store.meta[SPACE] = need, 100
        keyed.grow()
        assert keyed.bytes > before or need == NEED_PAIRS  # a table of pairs is made anew for those that live


def test_arrays_of_unpacked_ids_can_be_written_to():
    (parcel,) = unpacked(packed([Parcel("ids", 0, DedupState(500))]))
    assert parcel.content.table.flags.writeable
    assert parcel.content.ids == 0
