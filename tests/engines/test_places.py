"""What engines tell of a lake, and give of it: positions, arrivals, events, and all rows of some places together; the same on both."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest

import lakewarden
from lakewarden.engines.port import Events
from lakewarden.tables import BRONZE, DLQ, SILVER
from makers.rows import both

NARROW = [name for name in BRONZE.columns if name != "body"]


@pytest.fixture(scope="session")
def changed(tmp_path_factory, unstreamed, simulated) -> lakewarden.Lake:
    """A lake whose release became another one between two micro-batches."""
    path = tmp_path_factory.mktemp("changed") / "lake"
    shutil.copytree(unstreamed, path)
    lake, lines = (
        lakewarden.open(path),
        [line for one in sorted((simulated / "events").iterdir()) for line in one.read_bytes().splitlines(keepends=True)],
    )
    for name, part in (("first", lines[:500]), ("second", lines[500:900])):
        (path.parent / name).mkdir()
        (path.parent / name / "events.jsonl").write_bytes(b"".join(part))
        assert lake.stream(path.parent / name, once=True).ok
        settings = Path(lake.house.store.root) / "conf" / "settings.yaml"
        settings.write_text(settings.read_text().replace("band_high: 0.8\n", "band_high: 0.5\n"))
        lake.release_create(reason="another threshold")
    assert lake.table(BRONZE.name).select(pl.col("release_id").n_unique()).collect().item() == 2
    return lake


def test_heads_positions_and_arrivals_are_known(changed, open_on):
    told = []
    for lake in (open_on(changed.house.store.root), changed):
        with lake.reading() as engine:
            told.append((engine.heads(), engine.positions(), engine.arrived(), engine.labels_version(), engine.turns(0, 899)))
    assert told[0] == told[1]
    assert told[0][0] == (1, 1)
    assert told[0][2].seq == 900


def test_events_come_in_runs_of_one_release(changed, open_on):
    stretch = (120, 700)
    with open_on(changed.house.store.root).reading() as engine, changed.reading() as embedded:
        found, expected = ([same(run) for run in one.events_between(*stretch)] for one in (engine, embedded))
        batch, theirs = same(engine.recall(1)), same(embedded.recall(1))
    assert [(run["seq"][0], run["seq"][-1]) for run in found] == [(120, 499), (500, 700)]
    assert [run["release_id"].n_unique() for run in found] == [1, 1]
    assert all(ours.equals(their) for ours, their in zip(found, expected, strict=True))
    assert batch.equals(theirs)


def same(events: Events) -> pl.DataFrame:
    return events.bronze.select(NARROW)


@pytest.mark.parametrize("narrowed", [{}, {"seqs": (100, 640)}], ids=["all", "some places"])
def test_each_place_comes_once_with_all_its_rows(changed, open_on, narrowed):
    specs = (BRONZE, SILVER, DLQ)
    with open_on(changed.house.store.root).reading() as engine:
        answers = engine.by_places(specs, engine.snapshot(), both, **narrowed)
    first, last = narrowed.get("seqs", (0, 899))
    for spec in specs:
        rows = pl.concat([stored[spec.name] for stored, _ in answers])
        expected = changed.table(spec.name).filter(pl.col("seq").is_between(first, last)).sort("seq").collect()
        assert expected.height > 0
        assert rows.sort("seq").select(expected.columns).equals(expected)
    assert all(not derived for _, derived in answers)


def test_places_without_rows_are_asked_of_all_the_same(changed, open_on):
    with open_on(changed.house.store.root).reading() as engine:
        ((stored, derived),) = engine.by_places((SILVER,), engine.snapshot(), both, seqs=(5000, 6000))
    assert stored[SILVER.name].is_empty()
    assert stored[SILVER.name].schema == SILVER.schema
    assert not derived
