"""The list of stages in four parts, each run over the rows that Spark gives it; nothing here knows Spark.

`admit` and `conclude` judge rows one by one. `recognise` and `remember` fold a shard's rows into the shard's state, and the state moves on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import polars as pl

from lakewarden.flow.quality import EXAMPLES
from lakewarden.flow.stages import STAGES, Context, Flowing, FlowState, Stage, decode_events
from lakewarden.hashing import hash64, hash_of, shard_of
from lakewarden.tables import BEHAVIOUR, BRONZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lakewarden.flow.behaviour import BehaviourState
    from lakewarden.flow.deduplicate import DedupState
    from lakewarden.flow.labels import LabelIndex
    from lakewarden.flow.release import Release

ROW: Final = "row"
"""Rows that go on to the next part."""

SILVER_ROWS, GOLD_ROWS, ALERTS_MADE, DEAD, REPEATED, CHECKED = "silver", "gold", "alerts", "dead_letters", "duplicates", "dq_results"
"""Rows that leave the flow, by the part of `flow.stages.Derived` that they belong to."""

HOME: Final = "_home"
"""Whether a row stands in the shard of its account; else its copy stands in the shard of its party."""

ENTERING: Final = pl.Schema({name: BRONZE.columns[name] for name in ("seq", "arrival_time", "body")})
"""The columns of bronze that the stages read."""

BLOCK_ROWS: Final = 10_000
"""Places in the order of arrival that are concluded in one shard."""

_NAMES: Final = [stage.name for stage in STAGES]
_KEYED: Final = {stage.name: stage.key for stage in STAGES if stage.key is not None}
assert _KEYED == {"deduplicate": "transaction_id", "behaviour": "account_id, party_id"}, "the shards below are made for these keys"
_IDS, _HISTORY = _NAMES.index("deduplicate"), _NAMES.index("behaviour")


@dataclass(frozen=True)
class Shared:
    """What every worker needs: the release and the labels known; sent to each once."""

    release: Release
    labels: LabelIndex


Outcome: TypeAlias = Mapping[str, pl.DataFrame]
"""What a part made of its rows: a frame a kind."""


def admit(events: pl.DataFrame, shared: Shared) -> Outcome:
    """Decode, contract, quality, dead letters: rows that go on, dead letters, and what each rule found of these events."""
    flowing = _run(STAGES[:_IDS], decode_events(events, shared.release), shared)
    assert flowing.dq_results is not None
    place = pl.lit(events["seq"].min(), pl.Int64).alias("seq")
    return {ROW: flowing.rows, DEAD: pl.concat(flowing.dead), CHECKED: flowing.dq_results.with_columns(place)}


def recognise(rows: pl.DataFrame, state: DedupState, shared: Shared) -> Outcome:
    """Deduplicate a shard's rows, and enrich: rows that go on, duplicates and conflicts; the state moves on."""
    flowing = _run(STAGES[_IDS:_HISTORY], rows.sort("seq"), shared, FlowState((state,), ()))
    assert flowing.duplicates is not None
    return {ROW: flowing.rows, DEAD: pl.concat(flowing.dead), REPEATED: flowing.duplicates}


def remember(rows: pl.DataFrame, state: BehaviourState, shared: Shared) -> Outcome:
    """Fold a shard's rows; the state moves on.

    The shard holds every row of its accounts (at home) and every row of its parties (at home or as copies). So what it says of an
    account, and of what the account received, is right at home; what it says of a party is right in the party's shard. `meet` takes
    each from where it is right.
    """
    return {ROW: _run(STAGES[_HISTORY : _HISTORY + 1], rows.sort("seq"), shared, FlowState((), (state,))).rows}


def conclude(rows: pl.DataFrame, shared: Shared) -> Outcome:
    """Score, gold and alerts, of rows that have met their copies."""
    flowing = _run(STAGES[_HISTORY + 1 :], rows.sort("seq"), shared)
    assert flowing.gold is not None
    assert flowing.alerts is not None
    return {SILVER_ROWS: flowing.rows, GOLD_ROWS: flowing.gold, ALERTS_MADE: flowing.alerts}


OF_PARTY: Final = [name for name in BEHAVIOUR if name.startswith(("p_", "party_"))]
"""What behaviour says of a row's party."""


def meet(home: pl.DataFrame, copies: pl.DataFrame) -> pl.DataFrame:
    """The rows at home, each with what the shard of its party said of the party.

    Args:
        home: whole rows, without `HOME`.
        copies: at least `seq` and `OF_PARTY`.
    """
    said = copies.select("seq", pl.lit(value=True).alias("_copied"), pl.col(OF_PARTY).name.prefix("_there_"))
    joined = home.join(said, on="seq", how="left", validate="1:1")
    theirs = [pl.when("_copied").then(f"_there_{name}").otherwise(name).alias(name) for name in OF_PARTY]
    return joined.with_columns(theirs).select(home.columns)


def checks_of(partial: pl.DataFrame) -> pl.DataFrame:
    """What each rule found of all rows, from what it found of each part of them; its examples are those of the earliest parts."""
    found = partial.sort("seq", maintain_order=True).drop("seq")
    failed, rows = pl.col("failed").sum(), pl.col("rows").sum()
    merged = found.group_by("rule", maintain_order=True).agg(
        pl.col("dimension", "criticality", "hard", "owner").first(),
        pl.when((pl.col("status") == "failed").any()).then(pl.lit("failed")).otherwise(pl.col("status").first()).alias("status"),
        rows,
        failed,
        pl.when(rows > 0).then((rows - failed) / rows).alias("pass_rate"),
        pl.col("examples").explode(empty_as_null=False, keep_nulls=False).head(EXAMPLES),
    )
    return merged.select(found.columns)


# --- where rows are worked on ---------------------------------------------------------------------------------------


def by_id(rows: pl.DataFrame, shards: int) -> list[tuple[int, pl.DataFrame]]:
    """Rows by the shard of their transaction id."""
    return _apart(rows, shard_of(hash64(rows["transaction_id"]), shards))


def by_account(rows: pl.DataFrame, shards: int) -> list[tuple[int, pl.DataFrame]]:
    """Rows at home, in the shard of their account, and copies of them in the shard of their party where that is another.

    An account's shard is that of the party `c:` + its id, because that is the party it asks what it received.
    """
    home = shard_of(rows.select(hash_of(pl.lit("c:") + pl.col("account_id"))).to_series().to_numpy(), shards)
    party = shard_of(hash64(rows["party_id"]), shards)
    away = rows["party_id"].is_not_null().to_numpy() & (party != home)
    copies = rows.filter(pl.Series(away)).with_columns(pl.lit(value=False).alias(HOME))
    return [*_apart(rows.with_columns(pl.lit(value=True).alias(HOME)), home), *_apart(copies, party[away])]


def by_place(rows: pl.DataFrame, shards: int) -> list[tuple[int, pl.DataFrame]]:
    """Rows by their block in the order of arrival."""
    return _apart(rows, (rows["seq"].to_numpy() // BLOCK_ROWS) % shards)


def _apart(rows: pl.DataFrame, shards: NDArray[np.int64]) -> list[tuple[int, pl.DataFrame]]:
    if rows.is_empty():
        return []
    parts = rows.with_columns(pl.Series("_shard", shards)).partition_by("_shard", as_dict=True, include_key=False, maintain_order=True)
    return [(int(shard), part) for (shard,), part in parts.items()]


def _run(stages: tuple[Stage, ...], rows: pl.DataFrame, shared: Shared, state: FlowState | None = None) -> Flowing:
    context, flowing = Context(shared.release, state or FlowState((), ()), shared.labels), Flowing(rows)
    for stage in stages:
        flowing = stage.run(flowing, context)
    return flowing
