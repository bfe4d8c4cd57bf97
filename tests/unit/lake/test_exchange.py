"""Exchanges: which rows go, that what goes is exactly what was meant, and that nothing is doubled by whoever comes between."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakewarden.errors import FencedError
from lakewarden.lake import exchange as exchanging
from lakewarden.lake.compaction import compact
from lakewarden.lake.exchange import Rows, exchange, sorted_out, split
from lakewarden.lake.store import Store
from lakewarden.lake.table import LakeTable
from lakewarden.settings import LakeSettings
from lakewarden.tables import TableSpec

DAYS = (dt.date(2026, 1, 5), dt.date(2026, 1, 6))
SPEC = TableSpec(
    "t",
    {"seq": pl.Int64(), "event_date": pl.Date(), "run_id": pl.String(), "batch": pl.Int64()},
    ("event_date",),
    ("seq", "batch"),
)


@pytest.fixture
def table(tmp_path) -> LakeTable:
    table = LakeTable(Store(tmp_path, create=True), SPEC)
    table.create(LakeSettings())
    return table


@pytest.fixture
def store(tmp_path, table) -> Store:
    return Store(tmp_path)


def rows(first: int, count: int, run: str = "live") -> pl.DataFrame:
    """Rows of two dates, one after the other."""
    seqs = range(first, first + count)
    return pl.DataFrame(
        {"seq": seqs, "event_date": [DAYS[seq % 2] for seq in seqs], "run_id": run, "batch": first // 10}, schema=SPEC.columns
    )


def fill(table: LakeTable, batches: int = 4) -> None:
    for batch in range(batches):
        table.append(rows(10 * batch, 10), batch=batch)


def held(table: LakeTable) -> set[tuple[int, str]]:
    found = table.scan().select("seq", "run_id").collect()
    assert found.height == found["seq"].n_unique()
    return set(found.iter_rows())


def ready(table: LakeTable, seqs: list[int]):
    part = rows(0, 40, "replay").filter(pl.col("seq").is_in(seqs))
    return table._write_files(part.select(list(SPEC.columns)), 0)


MEANT = Rows(dates=("2026-01-05", "2026-01-05"), seq=(0, 24))


def test_rows_of_the_dates_up_to_the_cut_go_and_what_stands_ready_comes(store, table):
    fill(table)
    told: list[tuple[int, int]] = []
    exchange(store, table, MEANT, ready(table, [0, 2, 4]), 7, lambda version, going: told.append((version, sum(f.rows for f in going))))
    expected = {(seq, "live") for seq in range(40) if seq % 2 or seq > 24} | {(seq, "replay") for seq in (0, 2, 4)}
    assert held(table) == expected
    assert [count for _, count in told] == [13]
    assert table.last_order() == 7


def test_an_order_is_carried_out_once(store, table):
    fill(table)
    incoming = ready(table, [0, 2, 4])
    first = exchange(store, table, MEANT, incoming, 7, lambda *_: None)
    again = exchange(store, table, MEANT, incoming, 7, lambda *_: pytest.fail("nothing is to be done"))
    assert (first, len(held(table))) == (again, 30)


def test_what_goes_can_be_put_back_to_the_last_row(store, table):
    fill(table)
    before = table.scan().sort("seq").collect()
    gone = []
    exchange(store, table, MEANT, ready(table, [0, 2]), 0, lambda _, going: gone.append(going))
    table.append(rows(40, 10), batch=4)
    exchange(store, table, MEANT, gone[-1], 1, lambda *_: None)
    assert table.scan().filter(pl.col("seq") < 40).sort("seq").collect().equals(before)
    assert len(held(table)) == 50


def test_splitting_changes_no_row(store, table):
    fill(table)
    compact(store, table, LakeSettings().tiers_bytes, 2)
    before = held(table)
    assert split(store, table, MEANT) == 1
    assert held(table) == before
    sides = sorted_out(store, table, MEANT)
    assert (sum(file.rows for file in sides.whole), sides.part) == (13, [])


@pytest.mark.parametrize("between", ["compaction", "append", "both"])
def test_what_comes_between_the_list_and_the_commit_doubles_nothing(store, table, monkeypatch, between):
    """Unfenced, a compaction there doubles every row: the files that go are gone already, and their rows are in another one."""
    fill(table)
    other, interfered = LakeTable(store, SPEC), []

    def before(_version: int, _going: list) -> None:
        if not interfered:
            interfered.append(1)
            other.refresh()
            if between != "append":
                assert compact(store, other, LakeSettings().tiers_bytes, 2) > 0
            if between != "compaction":
                other.append(rows(40, 10), batch=4)

    exchange(store, table, MEANT, ready(table, [0, 2, 4]), 3, before)
    later = set() if between == "compaction" else {(seq, "live") for seq in range(40, 50)}
    assert held(table) == {(seq, "live") for seq in range(40) if seq % 2 or seq > 24} | {(seq, "replay") for seq in (0, 2, 4)} | later


def test_rows_of_a_run_are_found_inside_files_that_were_merged(store, table):
    fill(table)
    table.append(rows(40, 6, "replay-1"), batch=4)
    compact(store, table, LakeSettings().tiers_bytes, 2)
    exchange(store, table, Rows(run="replay-1"), [], 0, lambda *_: None)
    assert held(table) == {(seq, "live") for seq in range(40)}


def test_who_was_fenced_exchanges_nothing(store, table):
    fill(table)
    table.claim(1)
    LakeTable(store, SPEC).claim(2)
    before = held(table)
    with pytest.raises(FencedError):
        exchange(store, table, MEANT, ready(table, [0]), 0, lambda *_: None)
    assert held(table) == before


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(1, 12), min_size=1, max_size=6),
    low=st.integers(0, 40),
    high=st.integers(0, 40),
    merge=st.booleans(),
    day=st.sampled_from([None, *DAYS]),
)
def test_however_the_rows_are_cut_exactly_those_meant_go(tmp_path_factory, cuts, low, high, merge, day):
    store = Store(tmp_path_factory.mktemp("cut"), create=True)
    table = LakeTable(store, SPEC)
    table.create(LakeSettings())
    first = 0
    for batch, count in enumerate(cuts):
        table.append(rows(first, count), batch=batch)
        first += count
    if merge:
        compact(store, table, LakeSettings().tiers_bytes, 2)
    meant = Rows(dates=None if day is None else (str(day), str(day)), seq=(low, high))
    gone: list = []
    exchanging.exchange(store, table, meant, [], 0, lambda _, going: gone.append(going))
    expected = {seq for seq in range(first) if not (low <= seq <= high and (day is None or DAYS[seq % 2] == day))}
    assert {seq for seq, _ in held(table)} == expected
    assert sum(file.rows for file in gone[-1]) == first - len(expected)
