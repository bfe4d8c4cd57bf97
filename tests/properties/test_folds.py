"""The folds against definitions: any cut, any shards, any point of rebuilding, and a slow reading of the semantics agree."""

from __future__ import annotations

import datetime as dt
import math
from itertools import pairwise
from typing import Any, cast

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from lakewarden.flow.behaviour import HORIZON_US, BehaviourState, behaviour, behaviour_sharded, rebuild_sharded
from lakewarden.flow.deduplicate import DedupState, deduplicate, deduplicate_sharded
from lakewarden.flow.deduplicate import rebuild_sharded as rebuild_dedup
from lakewarden.flow.labels import LabelIndex
from lakewarden.flow.release import Release
from lakewarden.settings import FlowSettings
from lakewarden.tables import BEHAVIOUR, LABELS, UTC_US

HOUR = 3_600_000_000
DAY = 24 * HOUR
START = 20_000 * DAY + 5 * HOUR
SETTINGS = FlowSettings(base_currency="EUR")
few = settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def release(**changes: int) -> Release:
    nothing = cast(Any, None)
    return Release("r", nothing, (), (), nothing, SETTINGS.model_copy(update=changes), None, "1", "test")


# --- events ---------------------------------------------------------------------------------------------------------

GAPS = [
    0,
    1,
    HOUR // 2,
    HOUR - 1,
    HOUR,
    HOUR + 1,
    5 * HOUR,
    DAY - 1,
    DAY,
    DAY + 1,
    3 * DAY,
    7 * DAY,
    23 * DAY,
    30 * DAY,
    30 * DAY + 1,
    37 * DAY,
]
LATE = [0, 0, 0, 0, 1, HOUR, 2 * DAY, 40 * DAY]
AMOUNTS = [0, 1, 99, 250, 12_345, 799_999, 800_000, 999_999, 1_000_000, 150_000_000, 10**14, -500, None]


@st.composite
def transactions(draw: st.DrawFn, most: int = 40) -> pl.DataFrame:
    rows, now = [], START
    for seq in range(draw(st.integers(1, most))):
        now += draw(st.sampled_from(GAPS))
        rows.append(
            {
                "seq": seq * 3 + 7,
                "event_time": now - draw(st.sampled_from(LATE)),
                "account_id": draw(st.sampled_from(["A0", "A1", "A2"])),
                "party_id": draw(st.sampled_from([None, "m:M0", "m:M0", "c:A0", "c:A1", "c:X"])),
                "country": draw(st.sampled_from(["DE", "DE", "FR", "KP"])),
                "device_id": draw(st.sampled_from([None, "D0", "D1"])),
                "amount_base_minor": draw(st.sampled_from(AMOUNTS)),
            }
        )
    frame = pl.DataFrame(
        rows, schema={**dict.fromkeys(rows[0], pl.String), "seq": pl.Int64, "event_time": pl.Int64, "amount_base_minor": pl.Int64}
    )
    return frame.with_columns(pl.col("event_time").cast(UTC_US))


@st.composite
def verdicts(draw: st.DrawFn) -> pl.DataFrame:
    rows = []
    subjects = {
        f"T{i}": (
            draw(st.sampled_from(["A0", "A1"])),
            draw(st.sampled_from(["m:M0", "c:A1", None])),
            START + draw(st.integers(0, 60)) * DAY,
        )
        for i in range(4)
    }
    for seq in range(draw(st.integers(0, 9))):
        name = draw(st.sampled_from(sorted(subjects)))
        account, party, event = subjects[name]
        known = event + draw(st.sampled_from([-1, 0, HOUR, DAY, 7 * DAY, 7 * DAY, 20 * DAY, 50 * DAY]))
        rows.append((seq, name, account, party, event, known, draw(st.sampled_from([True, True, False])), None, "test", 1))
    frame = pl.DataFrame(rows, schema={**LABELS.columns, "event_time": pl.Int64, "known_time": pl.Int64}, orient="row")
    return frame.cast({"event_time": UTC_US, "known_time": UTC_US})


# --- a slow reading of the semantics ------------------------------------------------------------------------------------


def frauds_at(labels: list[dict[str, Any]], who: str, name: str | None, clock: int) -> list[tuple[int, int]]:
    """(known, event) of the confirmed frauds of a party or account that hold at a clock."""
    held = []
    for transaction in {label["transaction_id"] for label in labels if label[who] == name and name is not None}:
        since, known, event = None, -(10**30), 0
        for label in labels:
            if label["transaction_id"] == transaction:
                event = label["event_time"]
                known = max(known, label["known_time"], event)
                if known > clock:
                    break
                since = (known if since is None else since) if label["is_fraud"] else None
        if since is not None:
            held.append((since, event))
    return held


def history(rows: list[dict[str, Any]], clock_name: str, clock: int, prefix: str, known: int | None) -> dict[str, Any]:
    """Counts and sums over the four windows, time since last, ratio to the mean; `rows` are the key's earlier ones."""
    windows = {w: [r for r in rows if r[clock_name] >= clock - w_us] for w, w_us in (("1h", HOUR), ("24h", DAY))}
    windows |= {f"{d}d": [r for r in rows if r[clock_name] // DAY > clock // DAY - d] for d in (7, 30)}
    told: dict[str, Any] = {}
    for window, inside in windows.items():
        told[f"{prefix}_count_{window}"] = len(inside)
        told[f"{prefix}_sum_{window}"] = sum(r["amount"] for r in inside)
    last = rows[-1][clock_name] if rows else None
    told[f"{prefix}_since_last_s"] = (clock - last) / 1e6 if last is not None and clock - last <= 30 * DAY else None
    count, total = told[f"{prefix}_count_30d"], told[f"{prefix}_sum_30d"]
    told[f"{prefix}_ratio_mean_30d"] = known / (total / count) if known is not None and count and total > 0 else None
    return told


def zscore(month: list[dict[str, Any]], known: int | None) -> float | None:
    if known is None or len(month) < 3:
        return None
    units = [min(max(r["amount"], 0) // 100, 1_000_000) for r in month]
    spread = len(units) * sum(u * u for u in units) - sum(units) ** 2
    return (len(units) * min(max(known, 0) // 100, 1_000_000) - sum(units)) / math.sqrt(spread) if spread else None


def of_account(row: dict[str, Any], earlier: list[dict[str, Any]], threshold: int) -> dict[str, Any]:
    mine = [r for r in earlier if r["account_id"] == row["account_id"]]
    clock = row["clock"] = max(row["event_time"], mine[-1]["clock"] + 1) if mine else row["event_time"]
    told = history(mine, "clock", clock, "a", row["amount_base_minor"])
    day, week, month = (
        [r for r in mine if r["clock"] >= clock - DAY],
        *([r for r in mine if r["clock"] // DAY > clock // DAY - d] for d in (7, 30)),
    )
    told |= usual(row, mine)
    told["a_zscore_30d"] = zscore(month, row["amount_base_minor"])
    for name, column in (("a_new_country", "country"), ("a_new_device", "device_id"), ("a_new_party", "party_id")):
        seen = any(r[column] == row[column] and clock - r["clock"] <= 30 * DAY for r in mine)
        told[name] = None if row[column] is None else not seen
    told["near_threshold"] = None if row["amount_base_minor"] is None else 0.8 * threshold <= row["amount_base_minor"] < threshold
    told["a_new_parties_24h"] = sum(r["a_new_party"] is True for r in day)
    told["a_near_threshold_24h"] = sum(r["near_threshold"] is True for r in day)
    told["a_near_threshold_7d"] = sum(r["near_threshold"] is True for r in week)
    received = [r for r in earlier if r["party_id"] == "c:" + row["account_id"]]
    now = max(clock, received[-1]["party_clock"] + 1) if received else clock
    told |= {k.replace("in_in", "in"): v for k, v in history(received, "party_clock", now, "in", None).items()}
    return told


def usual(row: dict[str, Any], mine: list[dict[str, Any]]) -> dict[str, Any]:
    """What is usual for an account, by going through all its earlier rows."""
    total = count = 0
    unusual: list[tuple[int, float]] = []
    before = None
    for r in [*mine, row]:
        if before is not None and r["clock"] - before > 38 * DAY:
            total, count, unusual = 0, 0, []
        if unusual and r["clock"] - unusual[-1][0] > 7 * DAY:
            unusual = []
        before, x = r["clock"], min(r["amount"], 1 << 50)
        share = x * count / total if r["amount_base_minor"] is not None and count >= 3 and total > 0 else None
        if r is row:
            break
        if r["amount_base_minor"] is None:
            continue
        if count < 3 or 2 * x * count <= 5 * total:
            total, count = total + x, count + 1
        if share is not None and share > 2.5:
            unusual.append((r["clock"], share))
    return {
        "a_usual_sum": total,
        "a_usual_count": count,
        "a_ratio_usual": share,
        "a_unusual_count": len(unusual),
        "a_since_unusual_s": (row["clock"] - unusual[-1][0]) / 1e6 if unusual else None,
        "a_unusual_ratio_max": max(share for _, share in unusual) if unusual else None,
    }


def lone_frauds(labels: list[dict[str, Any]], party: str, clock: int) -> list[tuple[int, int]]:
    """(known, event) of a party's frauds that hold at a clock and that no other fraud of their account explains by then."""
    spells: list[dict[str, Any]] = []
    for transaction in {label["transaction_id"] for label in labels}:
        known, spell = -(10**30), None
        for label in labels:
            if label["transaction_id"] != transaction:
                continue
            known = max(known, label["known_time"], label["event_time"])
            if label["is_fraud"] and spell is None:
                spell = {**label, "known": known, "end": 10**30}
                spells.append(spell)
            elif not label["is_fraud"] and spell is not None:
                spell["end"], spell = known, None
    held = []
    for one in spells:
        near = [o["known"] for o in spells if o["account_id"] == one["account_id"] and o["party_id"] != one["party_id"]
                and abs(o["event_time"] - one["event_time"]) <= 14 * DAY]  # fmt: skip
        if one["party_id"] == party and one["known"] <= clock < min([one["end"], *near]):
            held.append((one["known"], one["event_time"]))
    return held


def of_party(row: dict[str, Any], earlier: list[dict[str, Any]], delay: int, labels: list[dict[str, Any]]) -> dict[str, Any]:
    ours = [r for r in earlier if r["party_id"] == row["party_id"]]
    clock = row["party_clock"] = max(row["event_time"], ours[-1]["party_clock"] + 1) if ours else row["event_time"]
    told = history(ours, "party_clock", clock, "p", row["amount_base_minor"])
    row["pair_new"] = not any(r["account_id"] == row["account_id"] and clock - r["party_clock"] <= 30 * DAY for r in ours)
    told["p_new_accounts_24h"] = sum(r["pair_new"] for r in ours if r["party_clock"] >= clock - DAY)
    frauds = frauds_at(labels, "party_id", row["party_id"], clock)
    for d in (1, 7, 30):
        delayed = sum(delay <= clock // DAY - r["party_clock"] // DAY < delay + d for r in ours)
        count = sum(known > clock - d * DAY for known, _ in frauds)
        told |= {f"p_fraud_{d}d": count, f"p_delayed_count_{d}d": delayed, f"p_fraud_share_{d}d": count / delayed if delayed else None}
    recent = [event for _, event in frauds if event >= clock - 45 * DAY]
    told["p_since_first_fraud_s"] = (clock - min(recent)) / 1e6 if recent else None
    told["p_since_last_fraud_s"] = (clock - max(recent)) / 1e6 if recent else None
    lone = lone_frauds(labels, row["party_id"], clock)
    told["p_fraud_lone_30d"] = sum(known > clock - 30 * DAY for known, _ in lone)
    recent = [event for _, event in lone if event >= clock - 45 * DAY]
    told["p_since_first_lone_fraud_s"] = (clock - min(recent)) / 1e6 if recent else None
    return told


def oracle(frame: pl.DataFrame, labels: pl.DataFrame, delay: int = 7, threshold: int = 1_000_000) -> pl.DataFrame:
    known = labels.sort("label_seq").cast({"event_time": pl.Int64, "known_time": pl.Int64}).to_dicts()
    rows: list[dict[str, Any]] = []
    for row in frame.cast({"event_time": pl.Int64}).iter_rows(named=True):
        row["amount"] = row["amount_base_minor"] or 0
        row.update(of_account(row, rows, threshold))
        if row["party_id"] is not None:
            row.update(of_party(row, rows, delay, known))
        frauds = frauds_at(known, "account_id", row["account_id"], row["clock"])
        row["a_fraud_30d"] = sum(since > row["clock"] - 30 * DAY for since, _ in frauds)
        rows.append(row)
    return pl.DataFrame([{name: row.get(name) for name in BEHAVIOUR} for row in rows], schema=BEHAVIOUR)


# --- behaviour ------------------------------------------------------------------------------------------------------------


def parts(frame: pl.DataFrame, cuts: list[int]) -> list[pl.DataFrame]:
    ends = [0, *sorted(cut % (frame.height + 1) for cut in cuts), frame.height]
    return [frame[a:b] for a, b in pairwise(ends)]


@few
@given(transactions(), verdicts(), st.sampled_from([0, 1, 7]))
def test_features_are_what_the_definitions_say(frame: pl.DataFrame, labels: pl.DataFrame, delay: int) -> None:
    told = behaviour(frame, release(label_delay_days=delay), BehaviourState(room=3), LabelIndex.build(labels))
    assert_frame_equal(told.select(BEHAVIOUR.keys()), oracle(frame, labels, delay), check_exact=True)


@few
@given(transactions(), verdicts(), st.lists(st.integers(0, 40), max_size=5), st.integers(1, 4))
def test_cut_and_shards_change_nothing(frame: pl.DataFrame, labels: pl.DataFrame, cuts: list[int], shards: int) -> None:
    index = LabelIndex.build(labels)
    whole = behaviour(frame, release(), BehaviourState(), index)
    states = [BehaviourState(room=2) for _ in range(shards)]
    told = [behaviour_sharded(part, release(), states, index) for part in parts(frame, cuts)]
    assert_frame_equal(pl.concat(told), whole, check_exact=True)
    assert sum(state.accounts for state in states) == frame["account_id"].n_unique()


@few
@given(transactions(), st.integers(0, 40), st.integers(1, 3))
def test_later_rows_never_change_earlier_ones(frame: pl.DataFrame, cut: int, shift: int) -> None:
    before, after = parts(frame, [cut])
    other = after.with_columns(pl.col("event_time") - pl.duration(days=50 * shift))
    index = LabelIndex.empty()
    first, second = (behaviour(pl.concat([before, rest]), release(), BehaviourState(), index) for rest in (after, other))
    assert_frame_equal(first[: before.height], second[: before.height], check_exact=True)


@few
@given(transactions(), st.integers(0, 40), st.lists(st.integers(0, 40), max_size=2), st.integers(1, 3))
def test_a_rebuilt_state_goes_on_as_the_old_one(frame: pl.DataFrame, cut: int, cuts: list[int], shards: int) -> None:
    before, after = parts(frame, [cut])
    index, lasting = LabelIndex.empty(), BehaviourState()
    silver = behaviour(before, release(), lasting, index)
    needed = silver.filter(
        (pl.col("clock") >= pl.col("clock").max().over("account_id") - HORIZON_US)
        | (pl.col("party_clock") >= pl.col("party_clock").max().over("party_id") - HORIZON_US)
    )
    states = [BehaviourState(room=5) for _ in range(shards)]
    for part in parts(needed.select(BehaviourState.NEEDS), cuts):
        rebuild_sharded(part, release(label_delay_days=3).settings, states)
    expected = behaviour(after, release(), lasting, index)
    assert_frame_equal(behaviour_sharded(after, release(), states, index), expected, check_exact=True)


# --- deduplication --------------------------------------------------------------------------------------------------------

SECOND = 1_000_000


@st.composite
def arrivals(draw: st.DrawFn) -> pl.DataFrame:
    rows, now = [], START
    gaps = [0, 1, SECOND // 2, SECOND - 1, SECOND, 40 * 60 * SECOND, HOUR - 1, HOUR, HOUR + 1, 2 * HOUR]
    for seq in range(draw(st.integers(1, 40))):
        now += draw(st.sampled_from(gaps))
        rows.append((seq * 2 + 5, now, dt.date(2024, 10, 4), draw(st.sampled_from("abcd")), draw(st.sampled_from([1.0, 2.0])), "EUR", None))
    columns = {"seq": pl.Int64, "arrival_time": pl.Int64, "event_date": pl.Date, "transaction_id": pl.String, "amount": pl.Float64}
    frame = pl.DataFrame(rows, schema={**columns, "currency": pl.String, "extra": pl.String}, orient="row")
    return frame.with_columns(pl.col("arrival_time").cast(UTC_US))


def dedup_oracle(frame: pl.DataFrame, hours: int) -> list[tuple[str, int | None]]:
    said, first = [], dict[str, tuple[int, int, float]]()
    for row in frame.cast({"arrival_time": pl.Int64}).iter_rows(named=True):
        now, name = row["arrival_time"], row["transaction_id"]
        seq, arrived, amount = first.get(name, (-1, -(10**18), 0.0))
        if -(-now // SECOND) - arrived // SECOND <= hours * 3600:
            said.append(("duplicate" if amount == row["amount"] else "conflict", seq))
        else:
            said.append(("new", None))
            first[name] = (row["seq"], now, row["amount"])
    return said


def said_of(frame: pl.DataFrame, rows: pl.DataFrame, duplicates: pl.DataFrame, conflicts: pl.DataFrame) -> list[tuple[str, int | None]]:
    verdicts: dict[int, tuple[str, int | None]] = dict.fromkeys(rows["seq"], ("new", None))
    verdicts |= {seq: ("duplicate", first) for seq, first in duplicates.select("seq", "first_seq").iter_rows()}
    verdicts |= {seq: ("conflict", first) for seq, first in conflicts.select("seq", "first_seq").iter_rows()}
    assert len(verdicts) == rows.height + duplicates.height + conflicts.height
    return [verdicts[seq] for seq in frame["seq"]]


@few
@given(arrivals(), st.lists(st.integers(0, 40), max_size=5), st.integers(1, 3), st.sampled_from([1, 2, 5]))
def test_duplicates_for_any_cut_and_shards(frame: pl.DataFrame, cuts: list[int], shards: int, hours: int) -> None:
    states = [DedupState(room=2) for _ in range(shards)]
    outcomes = [deduplicate_sharded(part, release(dedup_horizon_hours=hours), states) for part in parts(frame, cuts)]
    told = [pl.concat([getattr(o, name) for o in outcomes]) for name in ("rows", "duplicates", "conflicts")]
    assert said_of(frame, *told) == dedup_oracle(frame, hours)


@few
@given(arrivals(), st.integers(0, 40), st.integers(1, 3))
def test_rebuilt_ids_go_on_as_the_old_ones(frame: pl.DataFrame, cut: int, shards: int) -> None:
    before, after = parts(frame, [cut])
    pinned, lasting = release(dedup_horizon_hours=2), DedupState()
    silver = deduplicate(before, pinned, lasting).rows
    recent = silver.filter(pl.col("arrival_time") >= pl.col("arrival_time").max() - pl.duration(hours=2))
    states = [DedupState(room=2) for _ in range(shards)]
    rebuild_dedup(recent.drop("event_date"), pinned, states)
    expected, told = deduplicate(after, pinned, lasting), deduplicate_sharded(after, pinned, states)
    for name in ("rows", "duplicates", "conflicts"):
        assert_frame_equal(getattr(told, name), getattr(expected, name), check_exact=True)
