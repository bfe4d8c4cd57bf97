"""Replays on either engine: the same sandbox, swapped and undone, and verification behind it all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

import lakewarden
from lakewarden.lake.store import Store
from lakewarden.operations.replay.sandbox import Sandbox
from lakewarden.tables import DQ_RESULTS, GOLD, SILVER, TABLES
from makers.rows import assert_alike, checks

from .conftest import DAYS

SEEN = 1500
"""Events that had arrived when the replays were swapped in: all of the first date, and some of the second."""


@dataclass(frozen=True)
class Replayed:
    """A lake in which a date was replayed under another release, and then some of its accounts once more."""

    path: Path
    strict: str
    accounts: str

    def sandbox(self, replay_id: str) -> Sandbox:
        return Sandbox(Store(str(self.path / "_replays" / replay_id)))


@pytest.fixture(scope="session")
def begun(tmp_path_factory, unstreamed, simulated) -> Path:
    """A lake that has seen the first events, and beside it a folder with the rest."""
    root = tmp_path_factory.mktemp("begun")
    lines = [line for one in sorted((simulated / "events").iterdir()) for line in one.read_bytes().splitlines(keepends=True)]
    for name, part in (("seen", lines[:SEEN]), ("rest", lines[SEEN:])):
        (root / name).mkdir()
        (root / name / "events.jsonl").write_bytes(b"".join(part))
    shutil.copytree(unstreamed, root / "lake")
    assert lakewarden.open(root / "lake").stream(root / "seen", once=True).ok
    return root


def stricter(lake: lakewarden.Lake) -> str:
    """A release whose thresholds put more transactions into a higher band."""
    path = Path(lake.house.store.root) / "conf" / "settings.yaml"
    path.write_text(path.read_text().replace("band_medium: 0.3\n", "band_medium: 0.1\n").replace("band_high: 0.8\n", "band_high: 0.35\n"))
    return lake.release_create(reason="stricter bands").id


def replayed(lake: lakewarden.Lake, **options) -> str:
    """Plan, run, validate and swap a replay of the first date."""
    replay_id = lake.replay_plan(DAYS[0], DAYS[0], reason="a test", **options).data["id"]
    lake.replay_run(replay_id)
    report = lake.replay_validate(replay_id)
    assert report.ok, report.data["gates"]
    assert report.data["differences"] > 0
    assert lake.replay_swap(replay_id).data["state"] == "swapped"
    return str(replay_id)


@pytest.fixture(scope="session")
def replayed_on(tmp_path_factory, begun) -> Callable[[str], Replayed]:
    """Replays on an engine, once on each; then the rest of the events is streamed by the embedded one, so that some rows saw the swaps."""
    made: dict[str, Replayed] = {}

    def replay(name: str) -> Replayed:
        if name not in made:
            path = tmp_path_factory.mktemp("replayed") / "lake"
            shutil.copytree(begun / "lake", path)
            lake = lakewarden.open(path, engine=name)
            moved = pl.col("risk_score").is_between(0.12, 0.28) & (pl.col("event_date").cast(str) == DAYS[0])  # another band when stricter
            accounts = lake.table(GOLD.name).filter(moved).collect()["account_id"].unique().sort().head(2).to_list()
            before = lake.table(SILVER.name).select("release_id").head(1).collect().item()
            strict = replayed(lake, release=stricter(lake), settings={"chunk_rows": 700, "max_band_move_share": 1.0})
            some = replayed(lake, release=before, accounts=accounts, settings={"max_band_move_share": 1.0})
            assert lakewarden.open(path).stream(begun / "rest", once=True).ok
            made[name] = Replayed(path, strict, some)
        return made[name]

    return replay


@pytest.fixture(scope="session")
def here(replayed_on, engine) -> Replayed:
    return replayed_on(engine)


@pytest.mark.parametrize("which", ["strict", "accounts"])
def test_the_sandbox_has_the_rows_of_the_embedded_engine(here, replayed_on, which):
    there = replayed_on("embedded")
    ours, theirs = (one.sandbox(getattr(one, which)) for one in (here, there))
    for name in ours.tables:
        found, expected = ours.scan(name).collect(), theirs.scan(name).collect()
        if name == DQ_RESULTS.name:
            assert checks(found).equals(checks(expected))
        elif expected.height or found.height:
            assert_alike(TABLES[name], found, expected)
            assert found.select("seq", "batch").sort("seq").equals(expected.select("seq", "batch").sort("seq"))
    assert theirs.scan(SILVER.name).select(pl.len()).collect().item() > (0 if which == "accounts" else 900)


def test_dates_verify_behind_swaps(here, open_on):
    """The first date as two replays derived it; the second, of which some rows arrived before the swaps and some behind them."""
    lake = open_on(here.path)
    first, second = (lake.verify(day) for day in DAYS)
    assert (first.ok, first.first, len(first.releases)) == (True, (), 2)
    assert (second.ok, second.first) == (True, ())


def test_dates_verify_behind_undone_swaps(here, open_on, tmp_path, begun):
    shutil.copytree(here.path, tmp_path / "lake")
    lake = open_on(tmp_path / "lake")
    for replay_id in (here.accounts, here.strict):
        assert lake.replay_undo(replay_id, "it was only tried").data["state"] == "undone"
    second = lake.verify(DAYS[1])
    assert (second.ok, second.first) == (True, ())
    plain = lakewarden.open(begun / "lake")
    of_day = pl.col("event_date").cast(str) == DAYS[0], pl.col("seq") < SEEN
    assert_alike(TABLES[SILVER.name], *(one.table(SILVER.name).filter(*of_day).collect() for one in (lake, plain)))
