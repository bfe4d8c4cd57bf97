"""Duplicates, conflicts and the horizon, one by one."""

import datetime as dt
from typing import Any, cast

import polars as pl
import pytest

from lakewarden.errors import LakewardenError
from lakewarden.flow.deduplicate import DedupOutcome, DedupState, deduplicate
from lakewarden.flow.release import Release
from lakewarden.settings import FlowSettings
from lakewarden.tables import DUPLICATES, EVENT_PROPERTIES, LINEAGE, UTC_US

NOON = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)


def release(hours: int = 24) -> Release:
    nothing = cast(Any, None)
    settings = FlowSettings(base_currency="EUR", dedup_horizon_hours=hours)
    return Release("r", nothing, (), (), nothing, settings, None, "1", "test")


def rows(*events: dict[str, Any], seq: int = 0) -> pl.DataFrame:
    """Events with some of: transaction_id, hours (of arrival, from noon), any property."""
    filled = [
        {
            "seq": seq + i,
            "event_date": NOON.date(),
            "arrival_time": NOON + dt.timedelta(hours=event.get("hours", 0)),
            "extra": event.get("extra"),
            "enqueued_time": event.get("enqueued_time"),
            **{name: event.get(name) for name in EVENT_PROPERTIES},
        }
        for i, event in enumerate(events)
    ]
    schema = {
        "seq": pl.Int64,
        "event_date": pl.Date,
        "arrival_time": UTC_US,
        "extra": pl.String,
        "enqueued_time": UTC_US,
        **EVENT_PROPERTIES,
    }
    return pl.DataFrame(filled, schema=schema)


def verdicts(outcome: DedupOutcome) -> tuple[list[int], list[tuple[int, int]], list[tuple[int, int]]]:
    duplicates, conflicts = (list(frame.select("seq", "first_seq").iter_rows()) for frame in (outcome.duplicates, outcome.conflicts))
    return outcome.rows["seq"].to_list(), duplicates, conflicts


EVENT: dict[str, Any] = {"transaction_id": "T1", "amount": 10.0, "currency": "EUR", "risk_flags": ["x"]}


def test_new_duplicate_and_conflict() -> None:
    frame = rows(EVENT, EVENT, EVENT | {"amount": 11.0}, EVENT | {"transaction_id": "T2"}, EVENT)
    outcome = deduplicate(frame, release(), DedupState())
    assert verdicts(outcome) == ([0, 3], [(1, 0), (4, 0)], [(2, 0)])
    assert outcome.rows.columns == frame.columns
    assert dict(outcome.duplicates.schema) == {k: v for k, v in DUPLICATES.columns.items() if k not in LINEAGE}
    assert outcome.duplicates.row(0, named=True)["amount"] == 10.0
    assert outcome.conflicts.columns == [*frame.columns, "first_seq"]


def test_without_any_the_frames_have_the_same_columns() -> None:
    some = deduplicate(rows(EVENT, EVENT, EVENT | {"amount": 2.0}), release(), DedupState())
    none = deduplicate(rows(EVENT), release(), DedupState())
    empty = deduplicate(rows(), release(), DedupState())
    for outcome in (none, empty):
        assert outcome.duplicates.schema == some.duplicates.schema
        assert outcome.conflicts.schema == some.conflicts.schema
        assert outcome.duplicates.height == outcome.conflicts.height == 0


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"enqueued_time": NOON}, True),
        ({"hours": 3}, True),
        ({"extra": '{"a":1}'}, False),
        ({"risk_flags": ["y"]}, False),
        ({"risk_flags": None}, False),
        ({"event_time": NOON}, False),
        ({"tenant_id": "t"}, False),
        ({"device_id": "d"}, False),
    ],
)
def test_what_counts_as_content(change: dict[str, Any], same: bool) -> None:
    outcome = deduplicate(rows(EVENT, EVENT | change), release(), DedupState())
    assert (outcome.duplicates.height, outcome.conflicts.height) == ((1, 0) if same else (0, 1))


def test_an_id_is_new_again_after_the_horizon() -> None:
    second = 1 / 3600
    frame = rows(*(EVENT | {"hours": h} for h in (0, 2, 2 + second, 3, 4 + second, 4 + 2 * second)))
    outcome = deduplicate(frame, release(2), DedupState())
    assert verdicts(outcome) == ([0, 2, 5], [(1, 0), (3, 2), (4, 2)], [])


def test_a_duplicate_does_not_prolong_the_horizon() -> None:
    outcome = deduplicate(rows(*(EVENT | {"hours": h} for h in (0, 1, 1.9, 2.5))), release(2), DedupState())
    assert outcome.rows["seq"].to_list() == [0, 3]


def test_expired_ids_are_swept() -> None:
    state, pinned = DedupState(room=64), release(1)
    for hour in range(0, 60, 2):
        events = [EVENT | {"transaction_id": f"{hour}-{i}", "hours": hour} for i in range(60)]
        deduplicate(rows(*events, seq=hour * 100), pinned, state)
        assert state.ids <= 120
    assert state.bytes < 10_000


def test_a_base_that_no_longer_fits_is_moved() -> None:
    state = DedupState()
    deduplicate(rows(EVENT), release(), state)
    far = 1 << 33
    with pytest.raises(LakewardenError, match="within the horizon of 24 hours"):
        deduplicate(rows(EVENT | {"transaction_id": "T2", "hours": 20}, seq=far), release(), state)
    state = DedupState()
    deduplicate(rows(EVENT), release(), state)
    moved = deduplicate(rows(EVENT | {"transaction_id": "T2", "hours": 25}, seq=far), release(), state)
    assert verdicts(moved) == ([far], [], [])
    again = deduplicate(rows(EVENT | {"transaction_id": "T2", "hours": 30}, EVENT | {"hours": 30}, seq=far + 1), release(), state)
    assert verdicts(again) == ([far + 2], [(far + 1, far)], [])


def test_rows_out_of_order_are_refused() -> None:
    state = DedupState()
    deduplicate(rows(EVENT | {"hours": 1}, seq=5), release(), state)
    with pytest.raises(LakewardenError, match="has seen seq 5"):
        deduplicate(rows(EVENT, seq=5), release(), state)
    with pytest.raises(LakewardenError, match="has seen seq 5"):
        deduplicate(rows(EVENT | {"hours": 0}, seq=6), release(), state)
    with pytest.raises(LakewardenError, match="can't be folded"):
        deduplicate(rows(EVENT | {"hours": 2}, EVENT | {"hours": 1}, seq=6), release(), state)


def test_a_longer_horizon_needs_a_rebuilt_state() -> None:
    state = DedupState()
    assert state.fits(release(48))
    deduplicate(rows(EVENT), release(24), state)
    assert state.fits(release(12))
    assert not state.fits(release(48))
    with pytest.raises(LakewardenError, match="horizon of 48 hours"):
        deduplicate(rows(EVENT, seq=1), release(48), state)


def test_many_ids_grow_the_table() -> None:
    state, pinned = DedupState(room=2), release()
    events = [EVENT | {"transaction_id": f"T{i % 4000}"} for i in range(5000)]
    outcome = deduplicate(rows(*events), pinned, state)
    assert (outcome.rows.height, outcome.duplicates.height, state.ids) == (4000, 1000, 4000)
    assert outcome.duplicates["first_seq"].to_list() == list(range(1000))
