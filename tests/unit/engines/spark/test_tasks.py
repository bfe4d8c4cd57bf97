"""What Spark's workers run, run here without Spark: any cut and any shards give the rows of the whole flow, behind carried states too."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

import lakewarden
from lakewarden.engines.lineage import PARTS
from lakewarden.engines.spark import parts, tasks
from lakewarden.engines.spark.columns import to_arrow
from lakewarden.engines.spark.parcels import Parcel, of_kind, packed, unpacked
from lakewarden.engines.state import state_of
from lakewarden.flow.alerts import COLUMNS as ALERT_COLUMNS
from lakewarden.flow.behaviour import BehaviourState
from lakewarden.flow.dead_letters import COLUMNS as DEAD_COLUMNS
from lakewarden.flow.labels import LabelIndex
from lakewarden.flow.release import Release
from lakewarden.flow.stages import Context, Derived, decode_events, run_flow
from lakewarden.lake.release_loader import materialise
from lakewarden.tables import BRONZE, SILVER
from makers import models

KEPT = {"row", *PARTS.values(), tasks.IDS, tasks.HISTORY, tasks.COPIES}


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> lakewarden.Lake:
    root: Path = tmp_path_factory.mktemp("bank")
    lakewarden.simulate(root / "sim", seed=11, days=2, customers=120, events_per_day=1000, faults="all", start=None)
    lake = lakewarden.init(root / "lake")
    lake.reference_import(root / "sim" / "reference")
    assert lake.stream(root / "sim", once=True).ok
    return lake


@pytest.fixture(scope="module")
def bronze(lake) -> pl.DataFrame:
    return lake.table(BRONZE.name).sort("seq").collect()


@pytest.fixture(scope="module")
def release(lake, bronze) -> Release:
    return dataclasses.replace(materialise(lake.house.store, bronze["release_id"][0]), model=models.model())


@pytest.fixture(scope="module")
def before(lake) -> pl.DataFrame:
    """Silver as the state is folded from it: what arrived in the first place."""
    return lake.table(SILVER.name).filter(pl.col("seq") < FIRST).sort("seq").collect()


EMPTY = {"alerts": ALERT_COLUMNS, "dead_letters": DEAD_COLUMNS}

FIRST, MIDDLE = 800, 1400
"""Where what is derived begins, and where the second of two micro-batches does."""


class Workers:
    """Moves parcels as Spark does: rows in any split and order, groups by shard; holds the states between micro-batches."""

    def __init__(self, shared: parts.Shared, shards: int) -> None:
        self.shared, self.shards, self.dice = shared, shards, random.Random(shards)
        self.states = packed([])

    def fold(self, silver: pl.DataFrame, release: Release) -> None:
        kept = silver.filter(tasks.horizon(silver["arrival_time"].max(), release))
        dealt = ((tasks.deal_ids, kept, tasks.OF_IDS, tasks.fold_ids), (tasks.deal_history, silver, tasks.OF_HISTORY, tasks.fold_history))
        folded = [
            self.by_shard(
                pa.concat_tables([deal(piece.select(columns.names()), self.shards) for piece in self.split(rows)]),
                lambda some, fold=fold: fold(some, release),
            )
            for deal, rows, columns, fold in dealt
        ]
        self.states = pa.concat_tables(folded)

    def split(self, rows: pl.DataFrame) -> list[pl.DataFrame]:
        """Pieces of any size, in any order."""
        cuts = sorted(self.dice.sample(range(1, rows.height), 3))
        pieces = [rows.slice(a, b - a) for a, b in zip([0, *cuts], [*cuts, rows.height], strict=True)]
        self.dice.shuffle(pieces)
        return pieces

    def by_shard(self, moving: pa.Table, task: Callable[[pa.Table], pa.Table]) -> pa.Table:
        """A task over each shard's parcels, in any order."""
        order = list(range(moving.num_rows))
        self.dice.shuffle(order)
        shuffled = moving.take(order)
        found = [task(shuffled.filter(pa.compute.equal(shuffled["shard"], shard))) for shard in sorted(set(shuffled["shard"].to_pylist()))]
        return pa.concat_tables(found)

    def derive(self, bronze: pl.DataFrame) -> Derived:
        ask = (self.shared, self.shards)
        entering = [to_arrow(piece.select(parts.ENTERING.names()), parts.ENTERING) for piece in self.split(bronze)]
        admitted = pa.concat_tables([tasks.admit(some, *ask) for some in entering])
        recognised = self.by_shard(self.going_on(admitted, tasks.IDS), lambda some: tasks.recognise(some, *ask))
        remembered = self.by_shard(self.going_on(recognised, tasks.HISTORY), lambda some: tasks.remember(some, *ask))
        concluded = self.by_shard(kinds(remembered, parts.ROW, tasks.COPIES), lambda some: tasks.conclude(some, *ask))
        self.states = pa.concat_tables([kinds(recognised, tasks.IDS), kinds(remembered, tasks.HISTORY)])
        left = list(unpacked(pa.concat_tables([admitted, recognised, concluded])))
        assert {one.kind for one in left} <= KEPT
        frames = {part: together(of_kind(left, part), part).sort("seq") for part in PARTS.values()}
        return Derived(**{**frames, "dq_results": parts.checks_of(frames["dq_results"])}, seconds={})

    def going_on(self, moving: pa.Table, state: str) -> pa.Table:
        return pa.concat_tables([kinds(moving, parts.ROW, tasks.COPIES), kinds(self.states, state)])


def together(rows: list[pl.DataFrame], part: str) -> pl.DataFrame:
    return pl.concat(rows) if rows else pl.DataFrame(schema=EMPTY[part])


def kinds(moving: pa.Table, *wanted: str) -> pa.Table:
    return moving.filter(pa.compute.is_in(moving["kind"], pa.array(wanted)))


@pytest.mark.parametrize("shards", [1, 2, 5])
def test_any_cut_and_any_shards_give_the_rows_of_the_whole_flow(bronze, before, release, shards):
    shared = parts.Shared(release, LabelIndex.empty())
    workers, whole = Workers(shared, shards), state_of(before.lazy(), release)
    workers.fold(before, release)
    rows = dict.fromkeys(("silver", "gold", "alerts", "dead_letters", "duplicates"), 0)
    for ends in ((FIRST, MIDDLE - 1), (MIDDLE, bronze.height)):
        events = bronze.filter(pl.col("seq").is_between(*ends))
        expected = run_flow(decode_events(events, release), Context(release, whole, shared.labels))
        found = workers.derive(events)
        for part in rows:
            ours, theirs = getattr(found, part), getattr(expected, part)
            assert ours.equals(theirs), f"{part} differs"
            rows[part] += theirs.height
        assert found.dq_results.drop("examples").equals(expected.dq_results.drop("examples"))
    assert all(rows.values()), f"a part is empty, so it proves nothing: {rows}"


def test_a_shard_without_new_rows_keeps_its_state(before, release):
    workers = Workers(parts.Shared(release, LabelIndex.empty()), 5)
    workers.fold(before, release)
    (one,) = [p for p in unpacked(workers.states) if p.kind == tasks.IDS and p.shard == 3]
    (kept,) = unpacked(tasks.recognise(packed([one]), workers.shared, 5))
    assert (kept.kind, kept.shard, kept.content.ids, kept.content.last_seq) == (tasks.IDS, 3, one.content.ids, one.content.last_seq)


def test_a_state_that_was_carried_grows_as_one_that_never_left(before, release):
    half, states = before.height // 2, (BehaviourState(16), BehaviourState(16))
    for state in states:
        state.rebuild(before.head(half), release.settings)
    (carried,) = unpacked(packed([Parcel(tasks.HISTORY, 0, states[0])]))
    for state in (carried.content, states[1]):
        state.rebuild(before.slice(half), release.settings)
    for ours, theirs in zip(carried.content.by_account.store, states[1].by_account.store, strict=True):
        assert (ours == theirs).all()
    assert carried.content.bytes > BehaviourState(16).bytes


def test_batches_are_gathered_until_there_are_enough():
    batches = [pa.record_batch({"a": list(range(rows))}) for rows in (2, 1, 4, 0)]
    assert [table.num_rows for table in tasks.gathered(iter(batches), 3)] == [3, 4]
    assert list(tasks.gathered(iter([]), 3)) == []


def test_rows_of_parcels_of_nothing_have_their_columns():
    assert tasks.unfolded(packed([]), tasks.OF_AGE).schema == tasks.OF_AGE
    rows = tasks.unfolded(packed([Parcel("silver", 0, pl.DataFrame({"seq": [1], "more": [2], "arrival_time": [None]}))]), tasks.OF_AGE)
    assert rows.schema == tasks.OF_AGE
