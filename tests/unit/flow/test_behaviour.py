"""Features, worked out by hand for small histories."""

import datetime as dt
import math
from typing import Any, cast

import polars as pl
import pytest

from lakewarden.errors import LakewardenError
from lakewarden.flow import labels as labels_module
from lakewarden.flow.accounts import fold_accounts
from lakewarden.flow.behaviour import BehaviourState, behaviour, behaviour_sharded
from lakewarden.flow.labels import LabelIndex
from lakewarden.flow.parties import fold_parties
from lakewarden.flow.release import Release
from lakewarden.flow.windows import joined
from lakewarden.settings import FlowSettings
from lakewarden.tables import BEHAVIOUR, LABELS, UTC_US

NOON = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
NOON_US = int(NOON.timestamp()) * 1_000_000


def release(**changes: int) -> Release:
    nothing = cast(Any, None)
    settings = FlowSettings(base_currency="EUR").model_copy(update=changes)
    return Release("r", nothing, (), (), nothing, settings, None, "1", "test")


def rows(*events: dict[str, Any], seq: int = 0) -> pl.DataFrame:
    """Events with some of: hours (from noon), account, party, country, device, minor."""
    filled = [
        {
            "seq": seq + i,
            "event_time": NOON + dt.timedelta(hours=event.get("hours", 0)),
            "account_id": event.get("account", "A"),
            "party_id": event.get("party"),
            "country": event.get("country"),
            "device_id": event.get("device"),
            "amount_base_minor": event.get("minor", 1_000),
        }
        for i, event in enumerate(events)
    ]
    texts = dict.fromkeys(("account_id", "party_id", "country", "device_id"), pl.String)
    return pl.DataFrame(filled, schema={"seq": pl.Int64, "event_time": UTC_US, **texts, "amount_base_minor": pl.Int64})


def told(*events: dict[str, Any], labels: LabelIndex | None = None, **changes: int) -> list[dict[str, Any]]:
    frame = behaviour(rows(*events), release(**changes), BehaviourState(), labels or LabelIndex.empty())
    return list(frame.iter_rows(named=True))


def test_columns_are_those_of_the_table() -> None:
    for frame in (rows(), rows({}), rows({"party": "m:M"})):
        result = behaviour(frame, release(), BehaviourState(), LabelIndex.empty())
        assert dict(result.select(BEHAVIOUR.keys()).schema) == BEHAVIOUR
        assert result.columns == [*frame.columns, *BEHAVIOUR]


def test_a_first_row_knows_nothing() -> None:
    (row,) = told({"party": "m:M", "country": "DE"})
    assert row["clock"] == row["party_clock"] == NOON_US
    counts = [name for name, dtype in BEHAVIOUR.items() if dtype == pl.Int64 and not name.endswith("clock")]
    assert {row[name] for name in counts} == {0}
    assert all(row[name] is None for name, dtype in BEHAVIOUR.items() if dtype == pl.Float64)
    assert (row["a_new_country"], row["a_new_device"], row["a_new_party"], row["near_threshold"]) == (True, None, True, False)


def test_windows_hold_earlier_rows_only_and_their_ends_are_exact() -> None:
    first, *_, last = told({"minor": 1}, {"hours": 0.5, "minor": 2}, {"hours": 1, "minor": 4}, {"hours": 24, "minor": 8}, {"hours": 25})
    assert (first["a_count_1h"], first["a_sum_30d"]) == (0, 0)
    assert (last["a_count_1h"], last["a_sum_1h"]) == (1, 8)
    assert (last["a_count_24h"], last["a_sum_24h"]) == (2, 12)
    assert (last["a_count_7d"], last["a_sum_7d"]) == (4, 15)
    assert last["a_since_last_s"] == 3600.0
    third = told({"minor": 1}, {"hours": 0.5, "minor": 2}, {"hours": 1})[2]
    assert (third["a_count_1h"], third["a_sum_1h"]) == (2, 3)


def test_long_windows_are_days_of_the_calendar() -> None:
    days = [{"hours": 24 * day, "minor": 10**k} for k, day in enumerate((0, 23, 24, 29))]
    last = told(*days, {"hours": 24 * 30 - 12})[-1]
    assert last["clock"] // 86_400_000_000 - NOON_US // 86_400_000_000 == 30
    assert (last["a_count_7d"], last["a_sum_7d"]) == (2, 1_100)
    assert (last["a_count_30d"], last["a_sum_30d"]) == (3, 1_110)


def test_a_late_row_stands_at_its_arrival() -> None:
    one, two, three = told({"hours": 5}, {"hours": -100}, {"hours": 5})
    assert [two["clock"], three["clock"]] == [one["clock"] + 1, one["clock"] + 2]
    assert (two["a_count_1h"], two["a_since_last_s"]) == (1, 1e-6)


def test_since_last_ends_after_thirty_days() -> None:
    assert told({}, {"hours": 720})[1]["a_since_last_s"] == 30 * 86_400.0
    assert told({}, {"hours": 720.01})[1]["a_since_last_s"] is None


def test_ratio_and_zscore() -> None:
    *_, second, third, fourth = told({"minor": 1_000}, {"minor": 2_000}, {"minor": 3_000}, {"minor": 8_000})
    assert (second["a_ratio_mean_30d"], second["a_zscore_30d"]) == (2.0, None)
    assert (third["a_ratio_mean_30d"], third["a_zscore_30d"]) == (2.0, None)
    assert fourth["a_ratio_mean_30d"] == 4.0
    assert fourth["a_zscore_30d"] == pytest.approx((80 - 20) / math.sqrt(200 / 3))


def test_no_spread_no_zscore_and_no_amount_no_ratio() -> None:
    assert told(*[{"minor": 700}] * 4)[3]["a_zscore_30d"] is None
    row = told({}, {}, {"minor": 5_000}, {"minor": None})[3]
    assert (row["a_zscore_30d"], row["a_ratio_mean_30d"], row["near_threshold"]) == (None, None, None)
    assert told({"minor": 0}, {"minor": 5})[1]["a_ratio_mean_30d"] is None


def test_an_unknown_amount_counts_but_adds_nothing() -> None:
    row = told({"minor": None}, {"minor": 100}, {})[2]
    assert (row["a_count_24h"], row["a_sum_24h"]) == (2, 100)


@pytest.mark.parametrize(("column", "feature"), [("country", "a_new_country"), ("device", "a_new_device"), ("party", "a_new_party")])
def test_new_within_thirty_days(column: str, feature: str) -> None:
    events = [("X", 0), ("X", 1), ("Y", 2), (None, 3), ("X", 720), ("Y", 722), ("X", 1440), ("Y", 1442.001)]
    result = [row[feature] for row in told(*({column: value, "hours": hours} for value, hours in events))]
    assert result == [True, False, True, None, False, False, False, True]


def test_fan_out_and_fan_in() -> None:
    out = told(*({"party": f"m:{k}", "hours": k} for k in (0, 1, 1, 2, 25, 26)))
    assert [row["a_new_parties_24h"] for row in out] == [0, 1, 2, 2, 2, 2]
    fan_in = told(
        *({"account": name, "party": "m:M", "hours": hours} for name, hours in (("A", 0), ("B", 1), ("A", 2), ("C", 24), ("D", 49)))
    )
    assert [row["p_new_accounts_24h"] for row in fan_in] == [0, 1, 2, 2, 0]


def test_near_threshold() -> None:
    result = told(*({"minor": minor} for minor in (79, 80, 99, 100, 0)), reporting_threshold_minor=100)
    assert [row["near_threshold"] for row in result] == [False, True, True, False, False]
    assert [row["a_near_threshold_24h"] for row in result] == [0, 0, 1, 2, 2]
    later = told({"minor": 90}, {"hours": 30}, {"hours": 24 * 7}, reporting_threshold_minor=100)
    assert [(row["a_near_threshold_24h"], row["a_near_threshold_7d"]) for row in later] == [(0, 0), (0, 1), (0, 0)]


def test_received_money_is_that_of_the_accounts_own_party_key() -> None:
    send = {"account": "B", "party": "c:A", "minor": 300}
    result = told(send, {"hours": 1}, send | {"hours": 20}, {"hours": 24}, {"hours": 30}, {"hours": 200}, {"account": "B", "hours": 200})
    received = [(row["in_count_24h"], row["in_sum_24h"], row["in_count_7d"], row["in_sum_7d"]) for row in result]
    assert received == [(0, 0, 0, 0), (1, 300, 1, 300), (0, 0, 0, 0), (2, 600, 2, 600), (1, 300, 2, 600), (0, 0, 0, 0), (0, 0, 0, 0)]


def test_asking_does_not_move_the_party_key() -> None:
    send = {"account": "B", "party": "c:A"}
    quiet = told(send, send | {"hours": 0.5})[1]
    asked = told(send, {"account": "A", "hours": 48}, send | {"hours": 0.5})[2]
    assert {k: v for k, v in quiet.items() if k.startswith("p")} == {k: v for k, v in asked.items() if k.startswith("p")}
    assert asked["p_count_1h"] == 1


def test_a_late_question_sees_all_that_has_come() -> None:
    send = {"account": "B", "party": "c:A", "minor": 5}
    late = told(send, send | {"hours": 10}, {"account": "A", "hours": -500})[2]
    assert (late["in_count_24h"], late["in_sum_24h"], late["in_count_7d"]) == (2, 10, 2)


def test_a_transfer_to_oneself_asks_before_it_counts() -> None:
    first, second = told({"party": "c:A"}, {"party": "c:A"})
    assert (first["in_count_24h"], second["in_count_24h"]) == (0, 1)


def test_no_party_no_account() -> None:
    without_party, without_account = told({"party": None}, {"account": None, "party": "m:M"})
    assert all(without_party[name] is None for name in BEHAVIOUR if name.startswith(("p_", "party_")))
    assert without_party["in_count_24h"] == 0
    assert all(without_account[name] is None for name in BEHAVIOUR if name.startswith(("a_", "in_")) or name == "clock")
    assert without_account["p_count_1h"] == 0


def fraud(event_day: float, known_day: float, party: str = "m:M", account: str = "A") -> LabelIndex:
    at = [NOON + dt.timedelta(days=day) for day in (event_day, known_day)]
    return LabelIndex.build(pl.DataFrame([(0, "T", account, party, *at, True, None, "test", 1)], schema=LABELS.columns, orient="row"))


def test_known_frauds_and_their_share_of_delayed_rows() -> None:
    events = [{"party": "m:M", "hours": 24 * day} for day in (0, 0, 0, 1, 7, 7.2, 8, 20)]
    result = told(*events, labels=fraud(0, 7))
    shares = [(row["p_fraud_1d"], row["p_delayed_count_1d"], row["p_fraud_share_1d"]) for row in result]
    assert shares[3:7] == [(0, 0, None), (1, 3, 1 / 3), (1, 3, 1 / 3), (0, 1, 0.0)]
    assert [row["p_fraud_share_30d"] for row in result[4:]] == [1 / 3, 1 / 3, 1 / 4, 1 / 7]
    assert [row["p_since_first_fraud_s"] for row in result[4:]] == [7 * 86_400.0, 7.2 * 86_400.0, 8 * 86_400.0, 20 * 86_400.0]
    assert [row["a_fraud_30d"] for row in result] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_another_delay_counts_other_days() -> None:
    events = [{"party": "m:M", "hours": 24 * day} for day in (0, 1, 2)]
    assert [told(*events, label_delay_days=delay)[2]["p_delayed_count_1d"] for delay in (0, 1, 2, 3)] == [0, 1, 1, 0]


def test_a_changed_delay_holds_from_the_next_row_on() -> None:
    state = BehaviourState()
    behaviour(rows({"party": "m:M"}, {"party": "m:M", "hours": 24}), release(label_delay_days=7), state, LabelIndex.empty())
    row = behaviour(rows({"party": "m:M", "hours": 24.1}, seq=2), release(label_delay_days=1), state, LabelIndex.empty())
    assert row["p_delayed_count_1d"].item() == 1


def test_sums_end_at_the_largest_integer_and_come_back() -> None:
    huge = 5 * 10**16  # a trillion in a currency of four decimals, times five
    events = [{"minor": huge, "party": "m:M", "hours": k / 1000} for k in range(300)]
    result = told(*events, {"party": "m:M", "minor": 7, "hours": 20}, {"party": "m:M", "hours": 25})
    assert result[184]["a_sum_24h"] == 184 * huge < 2**63
    assert result[200]["a_sum_24h"] == result[200]["p_sum_1h"] == 2**63 - 1
    assert result[200]["a_sum_30d"] == result[200]["p_sum_7d"] == 2**57
    assert result[-1]["a_sum_24h"] == result[-1]["p_sum_24h"] == 7
    assert result[-1]["a_sum_30d"] == 2**57 + 7


def test_the_largest_amounts_leave_a_sound_zscore() -> None:
    events = [{"minor": 2**62, "hours": k / 100} for k in range(2_200)]
    result = told(*events, {"minor": 1, "hours": 23})
    assert [row["a_zscore_30d"] for row in result] == [None] * 2_201
    mixed = told(*({"minor": minor} for minor in [2**62] * 1_500 + [100] * 1_500), {"minor": 2**62})[-1]
    assert mixed["a_zscore_30d"] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize(
    ("high", "low", "total"), [(0, 5, 5), (-1, 2**32 - 1, -1), (1, 2**33, 3 << 32), (2**31, 0, 2**63 - 1), (-(2**31) - 1, 0, -(2**63) + 1)]
)
def test_halves_of_a_sum(high: int, low: int, total: int) -> None:
    assert joined(high, low) == total


def test_rows_out_of_order_are_refused() -> None:
    state = BehaviourState()
    behaviour(rows({}, {}, seq=4), release(), state, LabelIndex.empty())
    with pytest.raises(LakewardenError, match="has seen seq 5"):
        behaviour(rows({}, seq=5), release(), state, LabelIndex.empty())
    with pytest.raises(LakewardenError, match="can't be folded"):
        behaviour(rows({}, {}, seq=9)[::-1], release(), state, LabelIndex.empty())
    assert behaviour(rows({}, seq=6), release(), state, LabelIndex.empty())["a_count_1h"].item() == 2


def test_a_changed_threshold_leaves_earlier_rows_as_they_were() -> None:
    state = BehaviourState()
    first = behaviour(rows({"minor": 90}, {"minor": 900}), release(reporting_threshold_minor=100), state, LabelIndex.empty())
    rebuilt = BehaviourState()
    rebuilt.rebuild(first, release(reporting_threshold_minor=1_000).settings)
    for kept in (state, rebuilt):
        row = behaviour(rows({}, seq=2), release(reporting_threshold_minor=1_000), kept, LabelIndex.empty())
        assert row["a_near_threshold_24h"].item() == 1


def test_state_grows_with_accounts_and_not_with_history() -> None:
    state, sizes = BehaviourState(room=64), []
    for day in range(0, 600, 2):
        events = [{"account": f"A{k}", "party": f"m:{k % 5}", "hours": 24 * day + k, "country": f"{day}"} for k in range(20)]
        behaviour(rows(*events, seq=day * 100), release(), state, LabelIndex.empty())
        sizes.append(state.bytes)
    assert (state.accounts, state.parties) == (20, 5)
    assert max(sizes[100:]) == max(sizes[:100])


def test_shards_share_accounts_and_parties_among_them() -> None:
    states = [BehaviourState() for _ in range(3)]
    events = [{"account": f"A{k % 30}", "party": f"m:{k % 20}"} for k in range(200)]
    behaviour_sharded(rows(*events), release(), states, LabelIndex.empty())
    assert sum(state.accounts for state in states) == 30
    assert sum(state.parties for state in states) == 20
    assert all(state.accounts > 0 for state in states)


def test_a_loop_is_compiled_for_one_kind_of_arguments() -> None:
    """Compiling takes seconds: streaming, rebuilding, shards and columns full of nulls must share one machine code."""
    state = BehaviourState()
    full = {"party": "m:M", "country": "DE", "device": "D"}
    for frame in (rows(full), rows({"minor": None}, seq=1), rows(seq=2)):
        told = behaviour(frame, release(), state, LabelIndex.empty())
        BehaviourState().rebuild(told, release().settings)
    behaviour_sharded(rows(full), release(), [BehaviourState(), BehaviourState()], fraud(0, 0))
    assert [len(cast(Any, loop).signatures) for loop in (fold_accounts, fold_parties, labels_module._look_up)] == [1, 1, 1]
