"""A bug is put into a stage, mended, and its dates replayed: the differences are exactly the rows that it touched (runbook 4.2.5)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import lakewarden
from lakewarden.audit.verification import SEED, comparable
from lakewarden.flow import stages
from lakewarden.operations import release
from lakewarden.operations.replay.difference import COMPARED, NAMING

DAYS = ("2026-01-05", "2026-01-06")


def wrong_scores(flowing, context):
    """Cash withdrawals get half of their score, and the band of it."""
    rows = stages._score(flowing, context).rows
    cash = pl.col("channel") == "ATM"
    halved = rows.with_columns(pl.when(cash).then((pl.col("risk_score") / 2).round(6)).otherwise("risk_score").alias("risk_score"))
    return replace(flowing, rows=halved)


def wrong_amounts(flowing, context):
    """Amounts from one country count twice; later windows of the same accounts and parties see that."""
    rows = stages._enrich(flowing, context).rows
    doubled = pl.when(pl.col("country") == "FR").then(pl.col("amount_base_minor") * 2).otherwise("amount_base_minor")
    return replace(flowing, rows=rows.with_columns(doubled.alias("amount_base_minor")))


def lost_rows(flowing, context):
    """Transactions without a device get no alert."""
    return replace(
        flowing,
        alerts=stages._alerts(flowing, context).alerts.join(
            flowing.rows.filter(pl.col("device_id").is_not_null()).select("seq"), on="seq", how="semi"
        ),
    )


BUGS = {"score": wrong_scores, "enrich": wrong_amounts, "alerts": lost_rows}


def lake_of(root: Path, simulated: Path) -> lakewarden.Lake:
    lake = lakewarden.init(root)
    lake.reference_import(simulated / "reference")
    assert lake.stream(simulated, once=True, batch_rows=400).ok
    return lake


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("sim") / "events"
    lakewarden.simulate(out, seed=23, days=2, customers=150, events_per_day=1500, faults="all")
    return out


@pytest.fixture(scope="module")
def sound(tmp_path_factory, simulated) -> lakewarden.Lake:
    return lake_of(tmp_path_factory.mktemp("sound") / "lake", simulated)


def hashes(lake: lakewarden.Lake, spec, days: tuple[str, ...]) -> dict[int, int]:
    columns = [name for name in comparable(spec) if name not in NAMING]
    rows = lake.table(spec.name).filter(pl.col("event_date").cast(str).is_in(days)).collect()
    return dict(zip(rows["seq"], rows.select(columns).hash_rows(SEED), strict=True)) if rows.height else {}


@pytest.mark.parametrize("stage", BUGS)
def test_the_differences_of_the_replay_are_exactly_the_rows_that_the_bug_touched(tmp_path, monkeypatch, simulated, sound, stage):
    mended = release.code_version()
    with monkeypatch.context() as faulty:
        wrong = tuple(replace(one, run=BUGS[stage]) if one.name == stage else one for one in stages.STAGES)
        faulty.setattr(stages, "STAGES", wrong)
        faulty.setattr(release, "code_version", lambda: "0+faulty")
        lake = lake_of(tmp_path / "lake", simulated)
    made = lake.release_create(reason="the bug is mended")
    assert made.manifest["code_version"] == mended
    plan = lake.replay_plan(*DAYS, release=made.id, reason="the bug is mended", settings={"max_band_move_share": 1.0})
    replay_id = plan.data["id"]
    lake.replay_run(replay_id)
    report = lake.replay_validate(replay_id)
    assert report.ok, report.data["gates"]
    told = pl.read_parquet(Path(lake.house.store.root) / "_replays" / replay_id / "differences.parquet")
    named = {(row["table"], row["seq"]) for row in told.iter_rows(named=True)}
    touched = {
        (spec.name, seq)
        for spec in COMPARED
        for was, should in ((hashes(lake, spec, DAYS), hashes(sound, spec, DAYS)),)
        for seq in {*was, *should}
        if was.get(seq) != should.get(seq)
    }
    assert named == touched
    assert len(touched) > 0
    lake.replay_swap(replay_id)
    for spec in COMPARED:
        assert hashes(lake, spec, DAYS) == hashes(sound, spec, DAYS)
    for day in DAYS:
        assert lake.verify(day).ok
        assert lake.conserve(day).ok
