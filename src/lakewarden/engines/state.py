"""The stages' state, folded again from rows of silver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from lakewarden.flow.behaviour import HORIZON_US, BehaviourState, rebuild_sharded
from lakewarden.flow.deduplicate import DedupState
from lakewarden.flow.stages import FlowState

if TYPE_CHECKING:
    from lakewarden.flow.release import Release

CHUNK_ROWS: Final = 500_000
"""Rows of a rebuilt stretch held in memory at a time."""

REMEMBERED: Final = sorted({*BehaviourState.NEEDS, *DedupState.NEEDS})
"""Columns of silver that the state is made of."""


def state_of(silver: pl.LazyFrame, release: Release, min_clock: int | None = None) -> FlowState:
    """The state behind all of these rows.

    Args:
        silver: at least the columns `REMEMBERED`.
        release: the one that comes next.
        min_clock: earliest event time (microseconds) that will be asked for; None: any.
    """
    state, before = FlowState.empty(), silver
    if min_clock is not None:
        floor = min_clock - HORIZON_US
        before = silver.filter((pl.col("clock") >= floor) | (pl.col("party_clock") >= floor))
    ends = before.select(pl.col("seq").min().alias("a"), pl.col("seq").max().alias("b")).collect()
    if ends["a"][0] is not None:
        for start in range(int(ends["a"][0]), int(ends["b"][0]) + 1, CHUNK_ROWS):
            part = before.filter(pl.col("seq").is_between(start, start + CHUNK_ROWS - 1)).select(BehaviourState.NEEDS)
            rebuild_sharded(part.sort("seq").collect(), release.settings, state.behaviour)
    _warm_dedup(state.dedup[0], silver, release)
    return state


def _warm_dedup(dedup: DedupState, before: pl.LazyFrame, release: Release) -> None:
    newest = before.select(pl.col("arrival_time").max()).collect().item()
    if newest is None:
        return
    horizon = pl.duration(hours=release.settings.dedup_horizon_hours)
    recent = before.filter(pl.col("arrival_time") >= pl.lit(newest) - horizon).select(DedupState.NEEDS)
    dedup.rebuild(recent.sort("seq").collect(), release)
