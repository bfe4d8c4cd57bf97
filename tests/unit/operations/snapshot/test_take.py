"""Snapshots of a date: taken once, replaced and taken back exactly, proved against signed receipts."""

import datetime as dt
import json
from pathlib import Path

import polars as pl
import pytest

import lakewarden
from lakewarden.errors import LakeError, UsageError
from lakewarden.operations.snapshot import content
from lakewarden.tables import GOLD, SILVER, SNAPSHOTS

DAY = "2026-01-05"


def held(lake, day=DAY) -> pl.DataFrame:
    return lake.table(SNAPSHOTS.name).filter(pl.col("snapshot_date").cast(str) == day).sort("seq").collect()


def one_more(lake, tmp_path, name="T-LATE", day=DAY) -> None:
    """One more event of a date, which arrives late."""
    event = {"transaction_id": name, "event_time": f"{day}T10:00:00Z", "account_id": "A1", "amount": 10.5, "currency": "EUR"}
    folder = tmp_path / name
    folder.mkdir()
    (folder / "late.jsonl").write_text(json.dumps({**event, "channel": "POS", "country": "DE"}) + "\n")
    assert lake.stream(folder, once=True).ok


def test_a_snapshot_is_one_row_a_transaction_as_silver_and_gold_have_it(lake):
    taken = lake.snapshot_take(DAY, reason="T+1")
    of_day = pl.col("event_date").cast(str) == DAY
    silver = lake.table(SILVER.name).filter(of_day).select("seq", "transaction_id", "account_id", "amount_minor", "currency")
    gold = lake.table(GOLD.name).filter(of_day).select("seq", "risk_score", "risk_band", "model_version", "release_id")
    wanted = silver.join(gold, on="seq").sort("seq").collect()
    rows = held(lake)
    assert rows.height > 1000
    assert rows.select(wanted.columns).equals(wanted)
    assert rows["transaction_id"].is_unique().all()
    (told,) = taken.data["snapshots"]
    assert rows["snapshot_id"].unique().to_list() == [told["id"]] == [f"snapshot-{DAY}-1"]
    assert told["rows"] == rows.height
    receipt = lake.receipt_show(told["receipt"]).data
    assert (receipt["kind"], receipt["reason"]) == ("snapshot.take", "T+1")
    assert receipt["hash_totals"] == {"regulatory_snapshots sha256": told["sha256"]}
    assert receipt["outcome"]["conservation"]["counts"]["gold"] == rows.height
    assert receipt["counts"] == {"regulatory_snapshots out": 0, "regulatory_snapshots in": rows.height}


def test_pieces_make_no_difference(lake):
    tables = lake.house.snapshot((SILVER.name, GOLD.name))
    day = dt.date.fromisoformat(DAY)
    pieces = list(content.current(tables, day, 100))
    assert len(pieces) > 10
    assert content.figures(iter(pieces)) == content.figures(content.current(tables, day))


def test_the_same_facts_are_kept_once(lake):
    first = lake.snapshot_take(DAY)
    versions = dict(lake.house.published().versions)
    again = lake.snapshot_take(DAY)
    assert (again.data["taken"], again.data["unchanged"]) == (0, 1)
    assert again.data["snapshots"][0]["sha256"] == first.data["snapshots"][0]["sha256"]
    assert dict(lake.house.published().versions) == versions


def test_without_a_date_every_past_date_that_needs_one_gets_one(lake, tmp_path):
    dates = {row["date"] for row in lake.snapshot_list().data["due"]}
    assert DAY in dates
    assert {row["date"] for row in lake.snapshot_take().data["snapshots"]} == dates
    assert (lake.snapshot_list().data["rows"], lake.snapshot_list().data["due"]) == (len(dates), [])
    one_more(lake, tmp_path)
    assert lake.snapshot_list().data["due"] == [{"date": DAY, "why": "+1 rows since"}]
    assert [row["date"] for row in lake.snapshot_take().data["snapshots"]] == [DAY]
    assert lake.snapshot_verify().ok


def test_today_goes_on_and_is_taken_only_when_it_is_named(lake, monkeypatch):
    today = "2026-01-06"
    monkeypatch.setattr("lakewarden.app_snapshot.utc_now", lambda: dt.datetime(2026, 1, 6, 12, tzinfo=dt.UTC))
    taken = {row["date"] for row in lake.snapshot_take().data["snapshots"]}
    assert DAY in taken
    assert today not in taken
    assert lake.snapshot_take(today).data["taken"] == 1


def test_a_range_takes_the_dates_that_it_has(lake):
    taken = lake.snapshot_take(first=DAY, last="2026-02-01")
    assert [row["date"] for row in taken.data["snapshots"]] == [DAY, "2026-01-06"]


def test_what_is_replaced_is_held_for_seven_years_and_an_undo_puts_it_back(lake, tmp_path):
    lake.snapshot_take()
    before, others = held(lake), lake.table(SNAPSHOTS.name).filter(pl.col("snapshot_date").cast(str) != DAY).sort("seq").collect()
    one_more(lake, tmp_path)
    second = lake.snapshot_take(DAY).data["snapshots"][0]
    assert second["replaces"] == f"snapshot-{DAY}-1"
    assert held(lake).height == before.height + 1
    (pin,) = [one for one in lake.pins().data["pins"] if one["table"] == SNAPSHOTS.name]
    assert pin["rows"] == before.height
    kept = dt.datetime.fromisoformat(pin["until"]) - dt.datetime.now(dt.UTC)
    assert 7 * 365 < kept.days <= 7 * 366
    states = {row["id"]: row["state"] for row in lake.snapshot_list(history=True).data["snapshots"] if row["date"] == DAY}
    assert states == {f"snapshot-{DAY}-1": "replaced", f"snapshot-{DAY}-2": "stands"}

    undone = lake.snapshot_undo(DAY, "too early")
    assert (undone.data["taken_back"], undone.data["restored"]) == (f"snapshot-{DAY}-2", f"snapshot-{DAY}-1")
    assert held(lake).equals(before)
    assert lake.snapshot_verify(DAY).ok
    assert lake.snapshot_undo(DAY, "and that one").data["restored"] is None
    assert held(lake).is_empty()
    assert lake.table(SNAPSHOTS.name).sort("seq").collect().equals(others)
    with pytest.raises(LakeError, match="There is no snapshot of"):
        lake.snapshot_undo(DAY, "once more")
    assert lake.snapshot_take(DAY).data["snapshots"][0]["id"] == f"snapshot-{DAY}-3"
    assert lake.receipts_verify().ok


def test_compaction_between_changes_nothing(lake, tmp_path):
    lake.snapshot_take(DAY)
    one_more(lake, tmp_path)
    lake.snapshot_take(DAY)
    lake.compact(fan=2)
    assert lake.snapshot_verify().ok
    lake.snapshot_undo(DAY, "the first was right")
    assert lake.snapshot_verify().ok
    assert held(lake)["snapshot_id"].unique().to_list() == [f"snapshot-{DAY}-1"]


def test_a_pin_that_was_released_can_not_be_restored(lake, tmp_path):
    lake.snapshot_take(DAY)
    one_more(lake, tmp_path)
    lake.snapshot_take(DAY)
    (pin,) = [one for one in lake.pins().data["pins"] if one["table"] == SNAPSHOTS.name]
    lake.pin_release(pin["id"], "space")
    with pytest.raises(LakeError, match="was released"):
        lake.snapshot_undo(DAY, "too late")
    assert held(lake)["snapshot_id"].unique().to_list() == [f"snapshot-{DAY}-2"]


def test_a_row_that_was_changed_behind_its_back_is_found(lake):
    lake.snapshot_take()
    table = lake.house.tables[SNAPSHOTS.name]
    table.refresh()
    (file,) = [one for one in table.files() if one.partition["snapshot_date"] == DAY]
    rows = pl.read_parquet(Path(lake.house.store.root) / SNAPSHOTS.name / file.path)
    touched = pl.when(pl.int_range(pl.len()) == 7).then(0.0).otherwise(pl.col("risk_score")).alias("risk_score")
    table.log.commit("WRITE", add=[table.write_file(file.partition, rows.with_columns(touched), 0)], remove=[file])
    lake.house.publish(-1, dt.datetime.now(dt.UTC))
    report = lakewarden.open(lake.house.store.root).snapshot_verify()
    assert (report.ok, report.data["differences"]) == (False, 1)
    assert [one["date"] for one in report.data["snapshots"] if not one["ok"]] == [DAY]


def test_a_date_that_does_not_add_up_gets_none(lake):
    gold = lake.house.tables[GOLD.name]
    gold.refresh()
    lost = next(file for file in gold.files() if file.partition["event_date"] == DAY)
    gold.log.commit("WRITE", add=[], remove=[lost])
    lake.house.publish(-1, dt.datetime.now(dt.UTC))
    with pytest.raises(LakeError, match=r"(?s)no snapshot of 2026-01-05.*lakewarden conserve --date 2026-01-05"):
        lake.snapshot_take(DAY)
    assert lake.snapshot_list().data["rows"] == 0


@pytest.mark.parametrize(
    "asked", [{"first": DAY}, {"last": DAY}, {"day": DAY, "first": DAY, "last": DAY}, {"first": "2026-01-06", "last": DAY}, {"day": "soon"}]
)
def test_dates_that_make_no_sense_are_refused(lake, asked):
    with pytest.raises(UsageError):
        lake.snapshot_take(**asked)


def test_a_date_without_events_has_none_and_says_so(lake):
    with pytest.raises(LakeError, match="no events"):
        lake.snapshot_take("2020-01-01")
    with pytest.raises(LakeError, match="no snapshot"):
        lake.snapshot_verify("2020-01-01")
    assert lake.snapshot_verify().data["rows"] == 0
