"""A backfill leaves live rows as they are, is proved like everything else, and goes without a trace."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import polars as pl
import pytest

from lakewarden.errors import LakeError, UsageError
from lakewarden.lake import history
from lakewarden.operations.backfill.journal import Journal
from lakewarden.tables import BRONZE, PIPELINE_RUNS, SILVER, TABLES
from makers.histories import LIVE_FROM, day


def contents(lake) -> dict[str, tuple[int, int]]:
    found = {name: lake.table(name).collect() for name in TABLES}
    return {name: (rows.height, int(rows.hash_rows().cast(pl.Int128).sum()) if rows.height else 0) for name, rows in found.items()}


def dates(lake) -> list[str]:
    return [row["date"] for row in lake.status().data["dates"]]


def proved(lake) -> None:
    for one in dates(lake):
        report = lake.verify(one)
        assert (report.differences, lake.conserve(one).ok) == (0, True), (one, report.first)


def test_every_date_is_proved_with_live_rows_before_and_after_it(validated, banked):
    lake, backfill_id = validated
    lake.backfill_swap(backfill_id)
    assert lake.stream(banked / "live2", once=True, batch_rows=250).ok
    assert min(dates(lake)) < LIVE_FROM < max(dates(lake))
    proved(lake)


def test_live_rows_of_before_dont_see_the_history_and_those_of_after_do(validated, banked):
    lake, backfill_id = validated
    swapped = lake.backfill_swap(backfill_id).data
    lake.stream(banked / "live2", once=True, batch_rows=250)
    silver = lake.table(SILVER.name).filter(pl.col("seq") >= 0).select("seq", "a_count_30d").collect()
    (block,) = history.blocks(lake.house.store)
    assert block.seen_from == swapped["seen_from_seq"] > 0
    before, after = silver.filter(pl.col("seq") < block.seen_from), silver.filter(pl.col("seq") >= block.seen_from)
    assert before["a_count_30d"].mean() < after["a_count_30d"].mean() - 4


def test_a_replay_across_its_borders_has_no_difference(validated, banked):
    lake, backfill_id = validated
    lake.backfill_swap(backfill_id)
    lake.stream(banked / "live2", once=True, batch_rows=250)
    plan = lake.replay_plan(dates(lake)[-3], max(dates(lake)), reason="is it still so?", settings={"chunk_rows": 350})
    assert plan.ok, plan.data["preconditions"]
    lake.replay_run(plan.data["id"])
    report = lake.replay_validate(plan.data["id"])
    assert (report.ok, report.data["differences"]) == (True, 0)


def test_undo_restores_every_table(lake, brought):
    before = contents(lake)
    backfill_id = brought()
    assert contents(lake) == before
    lake.backfill_swap(backfill_id)
    assert contents(lake) != before
    assert lake.backfill_can_undo(backfill_id).ok
    assert lake.backfill_undo(backfill_id, "the wrong files").data["state"] == "undone"
    assert contents(lake) == before
    assert history.blocks(lake.house.store) == []
    proved(lake)
    assert lake.backfill_validate(backfill_id).ok
    assert lake.backfill_swap(backfill_id).data["state"] == "swapped"
    proved(lake)


def test_rows_that_were_scored_with_it_are_verified_with_it_after_it_went(validated, banked):
    lake, backfill_id = validated
    seen_from = lake.backfill_swap(backfill_id).data["seen_from_seq"]
    lake.stream(banked / "live2", once=True, batch_rows=250)
    since = lake.table(SILVER.name).filter(pl.col("seq") >= seen_from).select(pl.len()).collect().item()
    assert lake.backfill_can_undo(backfill_id).data["live_rows_that_saw_it"] == since > 0
    lake.backfill_undo(backfill_id, "the wrong files")
    proved(lake)


def test_an_older_one_goes_below_and_must_be_undone_first(lake, banked, brought, tmp_path):
    lines = (banked / "history" / "events.jsonl").read_bytes().splitlines(keepends=True)
    newest = max(found for found in map(day, lines) if found < LIVE_FROM)
    (tmp_path / "older").mkdir()
    cut = next(at for at, line in enumerate(lines) if day(line) == newest)
    (tmp_path / "older" / "events.jsonl").write_bytes(b"".join(lines[:cut]))
    first = brought(first=newest)
    lake.backfill_swap(first)
    older = brought(tmp_path / "older")
    lake.backfill_swap(older)
    below, above = history.blocks(lake.house.store)
    assert (below.last + 1, above.last) == (above.first, -1)
    batches = lake.table(PIPELINE_RUNS.name).sort("first_seq").select("batch").collect()["batch"].to_list()
    assert batches == sorted(batches)
    assert -1 not in batches
    proved(lake)
    answer = lake.backfill_can_undo(first)
    assert not answer.ok
    assert older in answer.data["reason"]
    lake.backfill_undo(older, "in order")
    lake.backfill_undo(first, "in order")


def test_what_isnt_history_is_refused_with_the_command_to_stream_it(lake, banked):
    report = lake.backfill_plan(banked / "live2", reason="late")
    assert not report.ok
    (failed,) = [one for one in report.data["preconditions"] if one["name"] == "before live data"]
    assert f"lakewarden stream --source {banked / 'live2'} --once" in failed["next"]
    with pytest.raises(LakeError, match="can't be run"):
        lake.backfill_run(report.data["id"])


def test_files_that_were_changed_since_the_plan_are_refused(lake, banked, tmp_path):
    (tmp_path / "files").mkdir()
    copy = tmp_path / "files" / "events.jsonl"
    copy.write_bytes((banked / "history" / "events.jsonl").read_bytes())
    plan = lake.backfill_plan(tmp_path / "files", reason="onboarding")
    copy.write_bytes(copy.read_bytes() + b"{}\n")
    with pytest.raises(LakeError, match=r"events\.jsonl"):
        lake.backfill_run(plan.data["id"])


def test_one_at_a_time(validated, banked):
    lake, first = validated
    (failed,) = [one for one in lake.backfill_plan(banked / "history", reason="again").data["preconditions"] if not one["ok"]]
    assert (failed["name"], first in failed["what"]) == ("alone", True)


def test_a_live_event_of_its_dates_that_came_since_makes_it_stale(validated, banked, tmp_path):
    lake, backfill_id = validated
    lines = (banked / "history" / "events.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "late.jsonl").write_bytes(b"".join(lines[-20:]))
    lake.stream(tmp_path / "late", once=True)
    with pytest.raises(LakeError, match="right before live data"):
        lake.backfill_swap(backfill_id)


def test_a_second_person_approves_where_that_is_asked_for(validated, monkeypatch):
    lake, backfill_id = validated
    path = Path(lake.house.store.root) / "conf" / "operations.yaml"
    path.write_text(path.read_text().replace("second_person: []", 'second_person: ["backfill.swap"]'))
    with pytest.raises(LakeError, match="second person") as refused:
        lake.backfill_swap(backfill_id)
    assert f"lakewarden backfill approve {backfill_id}" in (refused.value.next or "")
    with pytest.raises(UsageError):
        lake.backfill_approve(backfill_id)
    monkeypatch.setenv("LAKEWARDEN_ACTOR", "second.person")
    import lakewarden

    other = lakewarden.open(lake.house.store.root)
    assert other.backfill_approve(backfill_id).data["who"] == "second.person"
    assert other.backfill_swap(backfill_id).data["state"] == "swapped"
    assert other.backfill_show(backfill_id).data["approvals"][0]["who"] == "second.person"


def test_a_gate_stops_too_many_dead_letters_and_nothing_is_swapped(lake, banked):
    plan = lake.backfill_plan(banked / "history", reason="strict", settings={"max_dead_letter_share": 0.0})
    lake.backfill_run(plan.data["id"])
    report = lake.backfill_validate(plan.data["id"])
    assert (report.ok, report.data["state"]) == (False, "stopped")
    with pytest.raises(LakeError, match="stopped"):
        lake.backfill_swap(plan.data["id"])


def test_ids_that_live_data_have_too_are_counted_and_stop(lake, banked, tmp_path):
    history_lines = (banked / "history" / "events.jsonl").read_bytes().splitlines(keepends=True)
    live_id = lake.table(SILVER.name).select("transaction_id").head(1).collect().item()
    event = json.loads(next(line for line in history_lines if line.startswith(b'{"transaction_id"') and line.endswith(b"}\n")))
    (tmp_path / "more").mkdir()
    doubled = json.dumps({**event, "transaction_id": live_id}).encode() + b"\n"
    (tmp_path / "more" / "events.jsonl").write_bytes(b"".join([*history_lines[:200], doubled]))
    plan = lake.backfill_plan(tmp_path / "more", reason="overlap", settings={"max_dead_letter_share": 1.0})
    lake.backfill_run(plan.data["id"])
    report = lake.backfill_validate(plan.data["id"])
    assert report.data["live_ids"]["examples"] == [live_id]
    assert report.data["state"] == "stopped"


def test_a_dry_run_stores_nothing(lake, banked):
    report = lake.backfill_plan(banked / "history", reason="what if?", dry_run=True)
    assert (report.ok, report.data["stored"], lake.backfills().data["rows"]) == (True, False, 0)


def test_a_running_stream_carries_it_out_and_its_next_rows_see_it(validated, banked, tmp_path):
    import lakewarden

    (lake, backfill_id), incoming = validated, tmp_path / "incoming"
    incoming.mkdir()
    lines = (banked / "live2" / "events.jsonl").read_bytes().splitlines(keepends=True)
    (incoming / "a.jsonl").write_bytes(b"".join(lines[:100]))
    stop = threading.Event()
    streaming = lakewarden.open(lake.house.store.root)
    thread = threading.Thread(target=lambda: streaming.stream(incoming, batch_rows=50, stop=stop))
    batch = lake.house.published().batch
    thread.start()
    try:
        _until(lambda: lake.house.published().batch > batch)
        seen_from = lake.backfill_swap(backfill_id).data["seen_from_seq"]
        batch = lake.house.published().batch
        (incoming / "b.jsonl").write_bytes(b"".join(lines[100:]))
        _until(lambda: lake.table(BRONZE.name).select(pl.col("seq").max()).collect().item() >= seen_from + len(lines) - 110)
    finally:
        stop.set()
        thread.join()
    assert lake.backfill_show(backfill_id).data["state"] == "swapped"
    proved(lake)


def _until(condition, seconds: float = 60) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_an_order_that_waits_is_called_off_by_undo(validated):
    lake, backfill_id = validated
    before = contents(lake)

    from lakewarden.lake import orders
    from lakewarden.operations.backfill import swap
    from lakewarden.operations.dates import utc_now
    from lakewarden.settings import OperationSettings

    journal = Journal.of(lake.house.store, backfill_id)
    swap.order_swap(lake.house, journal, lake.ledger().author, OperationSettings(), utc_now())
    report = lake.backfill_undo(backfill_id, "not now")
    assert (report.data["called_off"], report.data["state"]) == (True, "validated")
    assert contents(lake) == before
    assert orders.pending(lake.house.store) == []


def test_clean_removes_the_sandbox_and_it_can_still_be_undone(validated):
    lake, backfill_id = validated
    before = contents(lake)
    lake.backfill_swap(backfill_id)
    assert lake.backfill_clean(backfill_id).data["files_removed"] > 0
    assert lake.backfill_undo(backfill_id, "after all").ok
    assert contents(lake) == before
    assert lake.backfills().data["backfills"][0]["state"] == "cleaned"


def test_a_lake_without_events_takes_history_and_then_streams(tmp_path, banked):
    import lakewarden

    lake = lakewarden.init(tmp_path / "new")
    lake.reference_import(banked / "sim" / "reference")
    plan = lake.backfill_plan(banked / "history", reason="onboarding", settings={"max_dead_letter_share": 0.2, "chunk_rows": 300})
    lake.backfill_run(plan.data["id"])
    assert lake.backfill_validate(plan.data["id"]).ok
    assert lake.backfill_swap(plan.data["id"]).data["seen_from_seq"] == 0
    proved(lake)
    lake.stream(banked / "live1", once=True, batch_rows=300)
    assert lake.table(BRONZE.name).filter(pl.col("batch") >= 0).select(pl.col("seq").min()).collect().item() == 0
    proved(lake)
