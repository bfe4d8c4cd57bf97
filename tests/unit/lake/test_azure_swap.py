"""A swap and its undo on Azure storage: the same orders over the same objects."""

from __future__ import annotations

import polars as pl
import pytest

import lakewarden

pytestmark = pytest.mark.timeout(400)

DAY = "2026-01-05"


def test_a_lake_on_azure_is_swapped_and_put_back(azure_root: str, tmp_path) -> None:
    lakewarden.simulate(tmp_path / "sim", seed=11, days=1, customers=100, events_per_day=400, faults="all")
    lake = lakewarden.init(f"{azure_root}/lake")
    lake.reference_import(tmp_path / "sim" / "reference")
    lake.stream(tmp_path / "sim", once=True, batch_rows=200)
    before = lake.table("risk_scores_gold").sort("seq").collect()
    replay_id = lake.replay_plan(DAY, DAY, reason="on Azure").data["id"]
    lake.replay_run(replay_id)
    assert lake.replay_validate(replay_id).ok
    lake.replay_swap(replay_id)
    swapped = lake.table("risk_scores_gold").sort("seq").collect()
    assert swapped.filter(pl.col("event_date").cast(str) == DAY)["pipeline_run_id"].unique().to_list() == [replay_id]
    assert (lake.verify(DAY).ok, lake.conserve(DAY).ok) == (True, True)
    lake.replay_undo(replay_id, "tried on Azure")
    assert lake.table("risk_scores_gold").sort("seq").collect().equals(before)
