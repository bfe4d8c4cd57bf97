"""The one ordered list of stages. Streaming, replay, backfill and verification all run it.

Each stage names the key by which an engine must shard its rows: None means row by row (any split will do). A micro-batch
cut into any number of parts by time, or into any number of shards by key with a state each, gives the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import polars as pl

from lakewarden.flow import dead_letters
from lakewarden.flow.alerts import alerts
from lakewarden.flow.behaviour import BehaviourState, behaviour_sharded
from lakewarden.flow.contract import contract
from lakewarden.flow.decode import decode, file_under
from lakewarden.flow.deduplicate import DedupState, deduplicate_sharded
from lakewarden.flow.enrich import enrich
from lakewarden.flow.gold import gold
from lakewarden.flow.quality import quality
from lakewarden.flow.score import score

if TYPE_CHECKING:
    from lakewarden.flow.labels import LabelIndex
    from lakewarden.flow.release import Release


@dataclass(frozen=True)
class FlowState:
    """What the stateful stages remember between micro-batches, a state a shard; a cache that silver can rebuild."""

    dedup: tuple[DedupState, ...]
    behaviour: tuple[BehaviourState, ...]

    @classmethod
    def empty(cls, shards: int = 1) -> FlowState:
        """Nothing remembered, in so many shards by key; one is best in one process."""
        return cls(tuple(DedupState() for _ in range(shards)), tuple(BehaviourState() for _ in range(shards)))

    def fits(self, release: Release) -> bool:
        """Whether ids are remembered as far back as a release asks."""
        return all(state.fits(release) for state in self.dedup)


@dataclass(frozen=True)
class Flowing:
    """Rows on their way, and what left the way so far."""

    rows: pl.DataFrame
    dead: tuple[pl.DataFrame, ...] = ()
    duplicates: pl.DataFrame | None = None
    dq_results: pl.DataFrame | None = None
    gold: pl.DataFrame | None = None
    alerts: pl.DataFrame | None = None


@dataclass(frozen=True)
class Context:
    """What a stage may read besides its rows: the release, the state of its shard, the labels known."""

    release: Release
    state: FlowState
    labels: LabelIndex


@dataclass(frozen=True)
class Stage:
    """A named step of the flow and the column by which it may be sharded (None: any split)."""

    name: str
    key: str | None
    run: Callable[[Flowing, Context], Flowing]


def _contract(flowing: Flowing, context: Context) -> Flowing:
    return replace(flowing, rows=contract(flowing.rows, context.release))


def _quality(flowing: Flowing, context: Context) -> Flowing:
    outcome = quality(flowing.rows, context.release)
    return replace(flowing, rows=outcome.rows, dq_results=outcome.results)


def _dead_letters(flowing: Flowing, context: Context) -> Flowing:
    alive, dead = dead_letters.split(flowing.rows)
    return replace(flowing, rows=alive, dead=(*flowing.dead, dead))


def _deduplicate(flowing: Flowing, context: Context) -> Flowing:
    outcome = deduplicate_sharded(flowing.rows, context.release, context.state.dedup)
    dead = dead_letters.conflicts(outcome.conflicts)
    return replace(flowing, rows=outcome.rows.drop("body", strict=False), duplicates=outcome.duplicates, dead=(*flowing.dead, dead))


def _enrich(flowing: Flowing, context: Context) -> Flowing:
    return replace(flowing, rows=enrich(flowing.rows, context.release))


def _behaviour(flowing: Flowing, context: Context) -> Flowing:
    return replace(flowing, rows=behaviour_sharded(flowing.rows, context.release, context.state.behaviour, context.labels))


def _score(flowing: Flowing, context: Context) -> Flowing:
    return replace(flowing, rows=score(flowing.rows, context.release))


def _gold(flowing: Flowing, context: Context) -> Flowing:
    return replace(flowing, gold=gold(flowing.rows, context.release))


def _alerts(flowing: Flowing, context: Context) -> Flowing:
    return replace(flowing, alerts=alerts(flowing.rows, context.release))


STAGES: Final = (
    Stage("contract", None, _contract),
    Stage("quality", None, _quality),
    Stage("dead_letters", None, _dead_letters),
    Stage("deduplicate", "transaction_id", _deduplicate),
    Stage("enrich", None, _enrich),
    Stage("behaviour", "account_id, party_id", _behaviour),
    Stage("score", None, _score),
    Stage("gold", None, _gold),
    Stage("alerts", None, _alerts),
)
"""In order; `decode` comes before them because bronze is filed under the date that it reads."""


@dataclass(frozen=True)
class Derived:
    """What the flow made of some events: a frame a table, without lineage and wall-clock columns."""

    silver: pl.DataFrame
    gold: pl.DataFrame
    alerts: pl.DataFrame
    dead_letters: pl.DataFrame
    duplicates: pl.DataFrame
    dq_results: pl.DataFrame
    seconds: Mapping[str, float]

    @property
    def counts(self) -> dict[str, int]:
        """Rows of each part."""
        frames = {name: getattr(self, name) for name in ("silver", "gold", "alerts", "dead_letters", "duplicates", "dq_results")}
        return {name: frame.height for name, frame in frames.items()}

    def close(self) -> None:
        """Nothing is held but the frames."""


def decode_events(events: pl.DataFrame, release: Release) -> pl.DataFrame:
    """Decode bronze rows (`seq`, `arrival_time`, `body`) into the rows that enter the first stage.

    A null `arrival_time` isn't allowed here: the engine fills it before bronze is written.
    """
    decoded = decode(events["body"], release.contract, release.settings)
    return file_under(pl.concat([events.select("seq", "arrival_time", "body"), decoded], how="horizontal"), release.settings)


def run_flow(rows: pl.DataFrame, context: Context, timer: Callable[[], float] | None = None) -> Derived:
    """Run decoded rows, in `seq` order, through every stage; the state moves on.

    Args:
        rows: what `decode_events` gave.
        context: release, state and labels.
        timer: a monotonic clock for each stage's seconds; None: not timed.
    """
    flowing = Flowing(rows)
    seconds: dict[str, float] = {}
    for stage in STAGES:
        start = timer() if timer else 0.0
        flowing = stage.run(flowing, context)
        if timer:
            seconds[stage.name] = timer() - start
    assert flowing.gold is not None
    assert flowing.alerts is not None
    assert flowing.duplicates is not None
    assert flowing.dq_results is not None
    dead = pl.concat(flowing.dead).sort("seq")
    return Derived(flowing.rows, flowing.gold, flowing.alerts, dead, flowing.duplicates, flowing.dq_results, seconds)
