"""Tiers: what is merged, when, and that merging changes no row."""

from __future__ import annotations

import datetime as dt
import json

import polars as pl
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from lakewarden.lake.compaction import compact, due, merged_statistics
from lakewarden.lake.log import DataFile
from lakewarden.lake.store import Store
from lakewarden.lake.table import LakeTable
from lakewarden.settings import LakeSettings
from lakewarden.tables import TableSpec

SPEC = TableSpec("t", {"seq": pl.Int64(), "event_date": pl.Date(), "names": pl.List(pl.String())}, ("event_date",), ("seq",))
TIERS = (100, 1000, 10_000)


def file(number: int, size: int, day: str = "2026-01-05") -> DataFile:
    return DataFile(f"f{number}", size, {"event_date": day}, 1)


@given(st.lists(st.tuples(st.integers(1, 20_000), st.sampled_from(["2026-01-05", "2026-01-06"])), max_size=60), st.integers(2, 6))
def test_a_merge_is_of_one_partition_in_order_and_never_beyond_its_bound(sizes, fan):
    files = [file(i, size, day) for i, (size, day) in enumerate(sizes)]
    merges = list(due(files, TIERS, fan))
    merged = [f.path for group in merges for f in group]
    assert len(merged) == len(set(merged))
    for group in merges:
        assert len(group) > 1
        assert len({f.partition["event_date"] for f in group}) == 1
        assert [files.index(f) for f in group] == sorted(files.index(f) for f in group)
        assert sum(f.size for f in group) <= TIERS[-1]
        assert all(f.size < TIERS[-1] for f in group)


@given(st.integers(1, 500))
def test_files_stay_few_and_rows_are_rewritten_once_a_tier(appends):
    files: list[DataFile] = []
    rewritten = 0
    for i in range(appends):
        files.append(file(i, 40))
        for group in list(due(files, TIERS, 5)):
            total = sum(f.size for f in group)
            rewritten += total
            files = [f for f in files if f not in group] + [file(10_000 + rewritten + i, total)]
    assert len(files) <= 3 * 5 + appends * 40 // TIERS[1] + 1
    assert rewritten <= (len(TIERS) + 2) * 40 * appends  # a file may fall short of its tier once or twice


def test_compaction_changes_no_row_and_delta_rs_reads_the_result(tmp_path):
    store = Store(tmp_path, create=True)
    table = LakeTable(store, SPEC)
    table.create(LakeSettings())
    for batch in range(6):
        names = [["a", "b"], [], None][batch % 3]
        rows = pl.DataFrame({"seq": [batch], "event_date": [dt.date(2026, 1, 5 + batch % 2)], "names": [names]}, schema=SPEC.columns)
        table.append(rows, batch=batch)
    before = table.scan().sort("seq").collect()
    assert compact(store, table, (1 << 20,), 3) == 6
    assert len(table.files()) == 2
    assert table.scan().sort("seq").collect().equals(before)
    assert DeltaTable(table.uri).history(1)[0]["operation"] == "OPTIMIZE"
    assert compact(store, table, (1 << 20,), 3) == 0


def test_a_bound_is_told_only_where_every_file_has_it_or_holds_nulls_alone():
    one = {"numRecords": 2, "minValues": {"a": 1, "b": 5}, "maxValues": {"a": 3, "b": 6}, "nullCount": {"a": 0, "b": 0}}
    nulls = {"numRecords": 2, "minValues": {"a": 0}, "maxValues": {"a": 9}, "nullCount": {"a": 1, "b": 2}}
    assert merged_statistics([json.dumps(one), json.dumps(nulls)], 4) == {
        "numRecords": 4,
        "minValues": {"a": 0, "b": 5},
        "maxValues": {"a": 9, "b": 6},
        "nullCount": {"a": 1, "b": 2},
    }
    assert merged_statistics([json.dumps(one), ""], 4)["minValues"] == {}
