"""The stages' state as Spark keeps it, and what it is folded from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakewarden.engines.spark.flow import forget

if TYPE_CHECKING:
    import polars as pl
    from pyspark.sql import DataFrame

    from lakewarden.engines.spark.flow import Passed
    from lakewarden.flow.release import Release


@dataclass(frozen=True)
class Before:
    """Rows of silver that count for a state.

    Attributes:
        rows: a frame with silver's columns, or of parcels.
        keep: which rows count, over the columns that states are made of and `event_date`; worked out where the rows are.
        below: all that count have a lower `seq`, which Spark can use to leave files out; None: nothing is known.
        packed: the frame is one of parcels.
        empty: it is known to have no rows.
    """

    rows: DataFrame
    keep: pl.Expr
    below: int | None = None
    packed: bool = False
    empty: bool = False


class SparkState:
    """Implements `engines.port.State`: parcels that Spark keeps, one a shard and kind; deriving moves it on.

    Args:
        frame: the parcels; None: nothing came before.
        horizon_hours: how far back ids are remembered.
    """

    def __init__(self, frame: DataFrame | None, horizon_hours: int) -> None:
        self.frame = frame
        self._horizon_hours = horizon_hours

    def fits(self, release: Release) -> bool:
        """See `State.fits`."""
        return self.frame is None or release.settings.dedup_horizon_hours <= self._horizon_hours

    def move_on(self, passed: Passed, horizon_hours: int) -> None:
        """Be the state behind events that have passed. Cut off from how it came about: else each would drag all before it along.

        The one before is let go of at once: a stream has one a micro-batch.
        """
        before, self.frame = self.frame, passed.states.localCheckpoint(eager=True)
        self._horizon_hours = horizon_hours
        if before is not None:
            forget(before)
