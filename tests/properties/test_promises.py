"""The architecture's promises over the whole flow, for any events and any cut."""

from __future__ import annotations

import datetime as dt
import itertools
import json

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from lakewarden.flow.labels import LabelIndex
from lakewarden.flow.stages import Context, Derived, FlowState, decode_events, run_flow
from lakewarden.tables import UTC_US

START = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
TABLES = ("silver", "gold", "alerts", "dead_letters", "duplicates")

accounts = st.sampled_from(["A0", "A1", "A2", "A3"])
amounts = st.sampled_from([0, 0.01, 12.34, 99.99, 8_500, 9_100, 9_999.99, 25_000, 1e9, 2e13, -5])


@st.composite
def event(draw: st.DrawFn) -> tuple[int, bytes]:
    """Seconds since the event before it, and a body: mostly good, sometimes late, doubled, mistyped or broken."""
    gap = draw(st.sampled_from([0, 0, 1, 30, 3600, 90_000, 400_000]))
    fields: dict[str, object] = {
        "transaction_id": f"T{draw(st.integers(0, 30))}",
        "offset": draw(st.sampled_from([0, 0, 0, -5, -3700, -90_000, -3_000_000, 40, 400])),
        "account_id": draw(accounts),
        "amount": draw(amounts),
        "currency": draw(st.sampled_from(["EUR", "EUR", "USD", "JPY", "XXQ"])),
        "channel": draw(st.sampled_from(["POS", "ONLINE", "FAX"])),
        "country": draw(st.sampled_from(["DE", "KP", "US"])),
        "event_type": draw(st.sampled_from(["PAYMENT", "TRANSFER", None])),
        "counterparty_id": draw(st.sampled_from([None, "A1", "X1", "X2"])),
        "merchant_id": draw(st.sampled_from([None, None, "M1", "M2"])),
        "device_id": draw(st.sampled_from([None, "D1", "D2"])),
        "loyalty": draw(st.sampled_from([None, None, {"tier": 2}])),
    }
    damage = draw(st.sampled_from([None] * 12 + ["missing", "mistyped", "cut", "bytes"]))
    if damage == "missing":
        fields["account_id"] = None
    if damage == "mistyped":
        fields["amount"] = "12.5"
    text = json.dumps({k: v for k, v in fields.items() if v is not None})
    if damage == "cut":
        text = text[: len(text) // 2]
    return gap, text.encode() + (b"\xff" if damage == "bytes" else b"")


def bronze(events: list[tuple[int, bytes]]) -> pl.DataFrame:
    """Rows as bronze has them: `seq`, `arrival_time` (never backwards), `body` with its event time filled in."""
    now, rows = START, []
    for seq, (gap, text) in enumerate(events):
        now += dt.timedelta(seconds=gap)
        rows.append((seq, now, timed(text, now)))
    return pl.DataFrame(rows, schema={"seq": pl.Int64, "arrival_time": UTC_US, "body": pl.Binary}, orient="row")


def timed(text: bytes, arrival: dt.datetime) -> bytes:
    try:
        fields = json.loads(text)
    except ValueError:
        return text
    when = arrival + dt.timedelta(seconds=fields.pop("offset"))
    return json.dumps({**fields, "event_time": when.strftime("%Y-%m-%dT%H:%M:%SZ")}).encode()


def derive(rows: pl.DataFrame, release, cuts: list[int], shards: int = 1) -> dict[str, pl.DataFrame]:
    state = FlowState.empty(shards)
    labels = labels_for(rows)
    edges = sorted({0, rows.height, *(cut % (rows.height + 1) for cut in cuts)})
    parts: list[Derived] = []
    for low, high in itertools.pairwise(edges):
        part = rows[low:high]
        parts.append(run_flow(decode_events(part, release), Context(release, state, labels)))
    return {name: pl.concat([getattr(p, name) for p in parts]).sort("seq") for name in TABLES} if parts else {}


def labels_for(rows: pl.DataFrame) -> LabelIndex:
    """Some frauds at M1 and for A0, known from half-way through."""
    known = rows["arrival_time"][rows.height // 2]
    table = pl.DataFrame(
        {
            "label_seq": [0, 1],
            "transaction_id": ["L0", "L1"],
            "account_id": ["A0", "A2"],
            "party_id": ["m:M1", "c:X1"],
            "event_time": [known - dt.timedelta(days=7)] * 2,
            "known_time": [known] * 2,
            "is_fraud": [True, True],
            "labels_version": [0, 0],
        },
        schema_overrides={"event_time": UTC_US, "known_time": UTC_US},
    )
    return LabelIndex.build(table.with_columns(typology=pl.lit(None, pl.String), source=pl.lit("test")))


def assert_same(one: dict[str, pl.DataFrame], other: dict[str, pl.DataFrame]) -> None:
    for name in TABLES:
        assert one[name].equals(other[name]), f"{name} differs"


events = st.lists(event(), min_size=1, max_size=40)


@given(events=events, cuts=st.lists(st.integers(0, 40), max_size=8))
def test_any_cut_into_micro_batches_gives_the_same_rows(release, events, cuts):
    rows = bronze(events)
    assert_same(derive(rows, release, []), derive(rows, release, cuts))


@given(events=events, shards=st.integers(2, 5), cuts=st.lists(st.integers(0, 40), max_size=3))
def test_any_number_of_shards_with_a_state_each_gives_the_same_rows(release, events, shards, cuts):
    rows = bronze(events)
    assert_same(derive(rows, release, []), derive(rows, release, cuts, shards))


@given(events=events)
def test_every_event_ends_in_exactly_one_place_and_every_silver_row_is_scored(release, events):
    rows = bronze(events)
    made = derive(rows, release, [])
    ends = pl.concat([made[name]["seq"] for name in ("silver", "dead_letters", "duplicates")]).sort()
    assert ends.to_list() == rows["seq"].to_list()
    assert made["gold"]["seq"].to_list() == made["silver"]["seq"].to_list()
    high = made["gold"].filter(pl.col("risk_band") == "HIGH")["seq"].to_list()
    assert made["alerts"]["seq"].to_list() == high
    assert made["dead_letters"].filter(pl.col("reasons").list.len() == 0).is_empty()
    assert made["dead_letters"].filter(pl.col("reasons").list.len() != pl.col("codes").list.len()).is_empty()


@given(events=events, more=events)
def test_what_comes_later_never_changes_a_score_already_given(release, events, more):
    """Late and duplicate events among it."""
    both = bronze([*events, *more])
    first = derive(both[: len(events)], release, [])
    labels_known = labels_for(both[: len(events)])
    state = FlowState.empty()
    again = run_flow(decode_events(both, release), Context(release, state, labels_known))
    for name in TABLES:
        kept = getattr(again, name).filter(pl.col("seq") < len(events)).sort("seq")
        assert kept.equals(first[name]), f"{name} changed"


@given(events=events, cut=st.integers(0, 40))
def test_state_rebuilt_from_silver_goes_on_as_if_nothing_had_happened(release, events, cut):
    rows = bronze(events)
    whole = derive(rows, release, [])
    cut %= rows.height + 1
    before = whole["silver"].filter(pl.col("seq") < cut)
    state = FlowState.empty()
    if before.height:
        state.behaviour[0].rebuild(before.select(state.behaviour[0].NEEDS), release.settings)
        state.dedup[0].rebuild(before.select(state.dedup[0].NEEDS), release)
    after = run_flow(decode_events(rows[cut:], release), Context(release, state, labels_for(rows)))
    for name in TABLES:
        assert getattr(after, name).sort("seq").equals(whole[name].filter(pl.col("seq") >= cut)), f"{name} differs"
