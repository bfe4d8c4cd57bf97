"""Stage: what an account and its counterparty did before, and what was known of frauds, at the moment of each transaction.

Everything is a fold over rows in `seq` order with a state by key. A row's clock is `max(event time, the key's clock + 1)`, so
every row sees exactly the rows of its key that came before it, however they were cut into micro-batches or sharded.
`BehaviourState.rebuild` makes the same state from silver.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, TypeVar

import numpy as np
import polars as pl
import pyarrow as pa

from lakewarden.errors import LakewardenError
from lakewarden.flow.accounts import AccountFeatures, fold_accounts
from lakewarden.flow.keyed import Keyed
from lakewarden.flow.labels import FraudFeatures, look_up
from lakewarden.flow.parties import ASK, UPDATE, PartyFeatures, fold_parties
from lakewarden.flow.windows import (
    ACCOUNT,
    ACCOUNT_DAY,
    DAY,
    DAY_LIMIT,
    MONTH,
    PARTY,
    PARTY_DAY,
    UNKNOWN,
    Rows,
)
from lakewarden.hashing import hash_of, shard_of
from lakewarden.tables import BEHAVIOUR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lakewarden.flow.labels import LabelIndex
    from lakewarden.flow.release import Release
    from lakewarden.settings import FlowSettings

HORIZON_US: Final = 38 * DAY
"""Nothing depends on rows of a key that are older than this by the key's own clock."""

_FLOATS: Final = frozenset(name for name, dtype in BEHAVIOUR.items() if dtype == pl.Float64)
_FLAGS: Final = frozenset(name for name, dtype in BEHAVIOUR.items() if dtype == pl.Boolean)
_Features = TypeVar("_Features", AccountFeatures, PartyFeatures)


class BehaviourState:
    """What one shard remembers of accounts and parties between micro-batches; a cache that silver can rebuild.

    Folds change it in place. If a fold fails half-way (out of memory), drop it and rebuild.

    Args:
        room: entries of each kind to begin with.
    """

    NEEDS: ClassVar[tuple[str, ...]] = (
        "seq",
        "clock",
        "party_clock",
        "account_id",
        "party_id",
        "country",
        "device_id",
        "amount_base_minor",
        "near_threshold",
        "a_usual_sum",
        "a_usual_count",
        "a_unusual_count",
        "a_since_unusual_s",
        "a_unusual_ratio_max",
    )
    """The columns of silver that `rebuild` reads."""

    def __init__(self, room: int = 8192) -> None:
        self.by_account = Keyed(ACCOUNT, ACCOUNT_DAY, MONTH, room)
        self.by_party = Keyed(PARTY, PARTY_DAY, MONTH, room)
        self.last_seq = -(1 << 62)  # below every place in the order of arrival

    @property
    def accounts(self) -> int:
        """How many accounts are remembered."""
        return self.by_account.keys

    @property
    def parties(self) -> int:
        """How many parties are remembered."""
        return self.by_party.keys

    @property
    def bytes(self) -> int:
        """Size of all arrays, reserve included."""
        return self.by_account.bytes + self.by_party.bytes

    def rebuild(self, silver: pl.DataFrame, settings: FlowSettings) -> None:
        """Fold rows of silver into the state without saying anything of them; a part of silver at a time, in `seq` order.

        Exact for all rows that come later if silver holds, for each of their accounts and parties, the rows of the last
        `HORIZON_US` before that key's newest clock (more does no harm).

        Args:
            silver: columns `NEEDS`.
            settings: those of the release that comes next.
        """
        rebuild_sharded(silver, settings, [self])


class _Folded(NamedTuple):
    """A micro-batch as arrays, and what the loops said of it."""

    rows: Rows
    accounts: AccountFeatures
    parties: PartyFeatures


def behaviour(rows: pl.DataFrame, release: Release, state: BehaviourState, labels: LabelIndex) -> pl.DataFrame:
    """Add the columns `tables.BEHAVIOUR`; the state moves on.

    Args:
        rows: in `seq` order, later than every row seen before; `event_time`, `account_id` and what `enrich` adds.
        release: its settings give reporting threshold and label delay.
        state: changed in place.
        labels: what verdicts were known when.

    Raises:
        LakewardenError: the rows aren't later than those that the state has seen.
    """
    return behaviour_sharded(rows, release, [state], labels)


def behaviour_sharded(rows: pl.DataFrame, release: Release, states: Sequence[BehaviourState], labels: LabelIndex) -> pl.DataFrame:
    """As `behaviour`, by as many shards as there are states, with the same rows as result.

    An account lives in shard `shard_of(hash64(account_id))`, a party in `shard_of(hash64(party_id))`; an account asks
    the shard of party `c:` + its id what it received.
    """
    settings = release.settings
    _begin(rows, states)
    threshold, minor = settings.reporting_threshold_minor, pl.col("amount_base_minor")
    near = (minor >= threshold - threshold // 5) & (minor < threshold)  # from 0.8 of it on
    receiver = hash_of(pl.lit("c:") + pl.col("account_id"))
    folded = _fold(_rows(rows, "event_time", "event_time", near, receiver), states, settings.label_delay_days, ask=True)
    of_party = look_up(folded.rows.party, folded.parties.party_clock, labels.parties)
    of_account = look_up(folded.rows.account, folded.accounts.clock, labels.accounts)
    of_lone = look_up(folded.rows.party, folded.parties.party_clock, labels.lone)
    return _assembled(rows, folded, of_party, of_account, of_lone)


def rebuild_sharded(silver: pl.DataFrame, settings: FlowSettings, states: Sequence[BehaviourState]) -> None:
    """As `BehaviourState.rebuild`, for as many shards as there are states."""
    _begin(silver, states)
    entries = _rows(silver, "clock", "party_clock", pl.col("near_threshold"), pl.lit(0, pl.Int64), usual=True)
    _fold(entries, states, settings.label_delay_days, ask=False)


def _begin(rows: pl.DataFrame, states: Sequence[BehaviourState]) -> None:
    """Refuse rows that a state has seen, or that aren't in order."""
    if rows.is_empty():
        return
    first, last = int(rows["seq"][0]), int(rows["seq"][-1])
    seen = max(state.last_seq for state in states)
    if first <= seen or not rows["seq"].is_sorted():
        raise LakewardenError(
            f"rows from seq {first} on can't be folded into a state that has seen seq {seen}",
            state="the state is as it was; nothing was written",
            next="rebuild the state from silver before these rows, and pass rows in seq order",
        )
    for state in states:
        state.last_seq = last


def _rows(frame: pl.DataFrame, time: str, party_time: str, near: pl.Expr, receiver: pl.Expr, *, usual: bool = False) -> Rows:
    """A frame's columns as the loops want them, by one query; `usual`: with what each row said of its account's usual amount."""
    minor = pl.col("amount_base_minor")
    since = (pl.col("a_since_unusual_s") * 1e6).round().cast(pl.Int64)
    told = (
        pl.col("a_usual_sum").fill_null(0),
        pl.col("a_usual_count").fill_null(0),
        pl.col("a_unusual_count").fill_null(0),
        (pl.col(time).cast(pl.Int64) - since).fill_null(0).alias("unusual_clock"),
        pl.col("a_unusual_ratio_max").fill_null(0.0),
    )
    columns = frame.select(
        pl.col(time).cast(pl.Int64).fill_null(0).alias("time"),
        pl.col(party_time).cast(pl.Int64).fill_null(0).alias("party_time"),
        hash_of(pl.col("account_id")).alias("account"),
        hash_of(pl.col("party_id")).alias("party"),
        receiver.alias("receiver"),
        hash_of(pl.col("country")).alias("country"),
        hash_of(pl.col("device_id")).alias("device"),
        minor.fill_null(0).clip(-DAY_LIMIT, DAY_LIMIT).alias("amount"),
        minor.is_not_null().cast(pl.Int8).alias("known"),
        near.cast(pl.Int8).fill_null(UNKNOWN).alias("near"),
        *(told if usual else ()),
    )
    untold = () if usual else (*(np.zeros(0, np.int64) for _ in range(4)), np.zeros(0))
    rows = Rows(*(column.to_numpy() for column in columns.get_columns()), *untold)
    for column in rows:
        column.setflags(write=False)  # all alike: a loop is compiled once for each kind of arguments
    return rows


def _fold(rows: Rows, states: Sequence[BehaviourState], delay: int, *, ask: bool) -> _Folded:
    """Run both loops, shard by shard: all accounts first, because a receiver's question needs its account's clock."""
    accounts, parties = _features(AccountFeatures, rows.time.size), _features(PartyFeatures, rows.time.size)
    for shard, state in enumerate(states):
        picked = np.flatnonzero(_of_shard(rows.account, shard, len(states)))
        done = fold_accounts(0, picked, rows, state.by_account.store, accounts)
        while done < picked.size:
            state.by_account.grow()
            done = fold_accounts(done, picked, rows, state.by_account.store, accounts)
    for shard, state in enumerate(states):
        updates, asks = _of_shard(rows.party, shard, len(states)), _of_shard(rows.receiver, shard, len(states))
        roles = (updates * np.int8(UPDATE) + asks * np.int8(ASK if ask else 0)).astype(np.int8)
        picked = np.flatnonzero(roles)
        roles = roles[picked]
        done = fold_parties(0, picked, roles, delay, accounts.clock, rows, state.by_party.store, parties)
        while done < picked.size:
            state.by_party.grow()
            done = fold_parties(done, picked, roles, delay, accounts.clock, rows, state.by_party.store, parties)
    return _Folded(rows, accounts, parties)


def _of_shard(keys: NDArray[np.int64], shard: int, shards: int) -> NDArray[np.bool_]:
    """Which keys live in a shard."""
    return np.ones(keys.size, np.bool_) if shards == 1 else shard_of(keys, shards) == shard


def _features(kind: type[_Features], height: int) -> _Features:
    """Columns for a loop to fill, null where it has nothing to say; all of a type in one piece, which the system hands out faster."""
    pieces = {
        "floats": iter(np.full((sum(name in _FLOATS for name in kind._fields), height), np.nan)),
        "flags": iter(np.full((sum(name in _FLAGS for name in kind._fields), height), UNKNOWN, np.int8)),
        "integers": iter(np.zeros((len(kind._fields), height), np.int64)),
    }
    columns: list[Any] = [next(pieces["floats" if name in _FLOATS else "flags" if name in _FLAGS else "integers"]) for name in kind._fields]
    return kind(*columns)


def _assembled(
    rows: pl.DataFrame, folded: _Folded, of_party: FraudFeatures, of_account: FraudFeatures, of_lone: FraudFeatures
) -> pl.DataFrame:
    """Rows and features side by side, without a copy of either."""
    columns: dict[str, NDArray[Any]] = {**folded.accounts._asdict(), **folded.parties._asdict(), "near_threshold": folded.rows.near}
    for days, frauds in ((1, of_party.days_1), (7, of_party.days_7), (30, of_party.days_30)):
        delayed = columns[f"p_delayed_count_{days}d"]
        columns[f"p_fraud_{days}d"] = frauds
        columns[f"p_fraud_share_{days}d"] = np.divide(frauds, delayed, out=np.full(frauds.size, np.nan), where=delayed > 0)
    columns["p_since_first_fraud_s"], columns["p_since_last_fraud_s"] = of_party.since_first, of_party.since_last
    columns["a_fraud_30d"] = of_account.days_30
    columns["p_fraud_lone_30d"], columns["p_since_first_lone_fraud_s"] = of_lone.days_30, of_lone.since_first
    no_account, no_party = _bits(folded.rows.account != 0), _bits(folded.rows.party != 0)
    arrays = {name: _arrow(columns[name], no_party if name.startswith(("p_", "party_")) else no_account, name) for name in BEHAVIOUR}
    features = pl.from_arrow(pa.table(arrays))
    assert isinstance(features, pl.DataFrame)
    return rows.hstack(features)


def _bits(valid: NDArray[np.bool_]) -> pa.Buffer | None:
    """An Arrow validity bitmap; None where everything is valid."""
    return None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))


def _arrow(column: NDArray[Any], valid: pa.Buffer | None, name: str) -> pa.Array:
    """A column over the loop's own memory."""
    if name in _FLOATS:
        return pa.Array.from_buffers(pa.float64(), column.size, [_bits(~np.isnan(column)), pa.py_buffer(column)])
    if name in _FLAGS:
        truth = np.packbits(column == 1, bitorder="little")
        return pa.Array.from_buffers(pa.bool_(), column.size, [_bits(column != UNKNOWN), pa.py_buffer(truth)])
    return pa.Array.from_buffers(pa.int64(), column.size, [valid, pa.py_buffer(column)])
