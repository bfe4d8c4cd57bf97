"""The list of stages in four parts, each run over the rows that Spark gives it; nothing here knows Spark.

`admit` and `conclude` judge rows one by one. `recognise` and `remember` fold a shard's rows behind the shard's silver. A row that
leaves the way travels in one frame with the others, told apart by `KIND` and with the columns of all kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import polars as pl

from lakewarden.flow.behaviour import BehaviourState
from lakewarden.flow.deduplicate import DedupState
from lakewarden.flow.labels import LabelIndex
from lakewarden.flow.quality import EXAMPLES
from lakewarden.flow.stages import STAGES, Context, Flowing, FlowState, Stage, decode_events
from lakewarden.tables import BEHAVIOUR, BRONZE, SILVER

if TYPE_CHECKING:
    from lakewarden.flow.release import Release

KIND: Final = "_kind"
"""What a row of a part's outcome is: one of `ROW`, `DEAD`, `DUPLICATE`, `CHECK`, `GOLD`, `ALERT`."""

HOME: Final = "_home"
"""Whether a row stands in the shard of its account; else its copy stands in the shard of its party."""

ROW, DEAD, DUPLICATE, CHECK, GOLD, ALERT = "row", "dead", "duplicate", "check", "gold", "alert"

ENTERING: Final = pl.Schema({name: BRONZE.columns[name] for name in ("seq", "arrival_time", "body")})
"""The columns of bronze that the stages read."""

REMEMBERED: Final = pl.Schema({name: SILVER.columns[name] for name in sorted({*DedupState.NEEDS, *BehaviourState.NEEDS})})
"""The columns of silver that states are made of."""

_CHECKED: Final = "_check_"
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
    checks = flowing.dq_results.select(pl.all().name.prefix(_CHECKED), place)
    return {ROW: flowing.rows, DEAD: pl.concat(flowing.dead), CHECK: checks}


def recognise(rows: pl.DataFrame, silver: pl.DataFrame, shared: Shared) -> Outcome:
    """Deduplicate a shard's rows behind its silver, and enrich: rows that go on, duplicates and conflicts."""
    state = DedupState()
    state.rebuild(silver.select(DedupState.NEEDS).sort("seq"), shared.release)
    flowing = _run(STAGES[_IDS:_HISTORY], rows.sort("seq"), shared, FlowState((state,), ()))
    assert flowing.duplicates is not None
    return {ROW: flowing.rows, DEAD: pl.concat(flowing.dead), DUPLICATE: flowing.duplicates}


def remember(rows: pl.DataFrame, silver: pl.DataFrame, shared: Shared) -> Outcome:
    """Fold a shard's rows behind its silver.

    The shard holds every row of its accounts (at home) and every row of its parties (at home or as copies). So what it says of an
    account, and of what the account received, is right at home; what it says of a party is right in the party's shard. `meet` takes
    each from where it is right.
    """
    state = BehaviourState()
    state.rebuild(silver.select(BehaviourState.NEEDS).sort("seq"), shared.release.settings)
    return {ROW: _run(STAGES[_HISTORY : _HISTORY + 1], rows.sort("seq"), shared, FlowState((), (state,))).rows}


def conclude(rows: pl.DataFrame, shared: Shared) -> Outcome:
    """Bring each row and its copy together; then score, gold and alerts."""
    flowing = _run(STAGES[_HISTORY + 1 :], meet(rows).sort("seq"), shared)
    assert flowing.gold is not None
    assert flowing.alerts is not None
    return {ROW: flowing.rows, GOLD: flowing.gold, ALERT: flowing.alerts}


def meet(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows at home, each with what the shard of its party said of the party."""
    of_party = [name for name in BEHAVIOUR if name.startswith(("p_", "party_"))]
    home, copies = rows.filter(HOME).drop(HOME), rows.filter(~pl.col(HOME))
    said = copies.select("seq", pl.lit(value=True).alias("_copied"), pl.col(of_party).name.prefix("_there_"))
    joined = home.join(said, on="seq", how="left", validate="1:1")
    theirs = [pl.when("_copied").then(f"_there_{name}").otherwise(name).alias(name) for name in of_party]
    return joined.with_columns(theirs).select(home.columns)


def checks_of(partial: pl.DataFrame) -> pl.DataFrame:
    """What each rule found of all rows, from what it found of each part of them; its examples are those of the earliest parts."""
    found = partial.sort("seq", maintain_order=True).drop("seq").rename(lambda name: name.removeprefix(_CHECKED))
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


def nothing(shared: Shared) -> dict[str, Outcome]:
    """Each part's outcome of no rows, by the part's name: it tells the columns that a release gives."""
    silver = pl.DataFrame(schema=REMEMBERED)
    admitted = admit(ENTERING.to_frame(), shared)
    recognised = recognise(admitted[ROW], silver, shared)
    remembered = remember(recognised[ROW].with_columns(pl.lit(value=True).alias(HOME)), silver, shared)
    return {"admit": admitted, "recognise": recognised, "remember": remembered, "conclude": conclude(remembered[ROW], shared)}


def together(outcome: Outcome) -> pl.DataFrame:
    """All kinds of rows in one frame with the columns of all; a column of one name is of one type in all."""
    return pl.concat([frame.with_columns(pl.lit(kind).alias(KIND)) for kind, frame in outcome.items()], how="diagonal")


def _run(stages: tuple[Stage, ...], rows: pl.DataFrame, shared: Shared, state: FlowState | None = None) -> Flowing:
    context, flowing = Context(shared.release, state or FlowState((), ()), shared.labels), Flowing(rows)
    for stage in stages:
        flowing = stage.run(flowing, context)
    return flowing
