"""What every engine does alike: whatever the one process does that holds the lake, and that doesn't grow with the events."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl

from lakewarden.engines.arrival import Arrived
from lakewarden.flow.labels import LabelIndex
from lakewarden.lake import history, past
from lakewarden.lake.maintenance import Maintenance
from lakewarden.tables import BRONZE, LABELS, PIPELINE_RUNS

if TYPE_CHECKING:
    from lakewarden.lake.lakehouse import Lakehouse, Snapshot


class LakeEngine:
    """The verbs of `engines.port.Engine` that are the same on every engine.

    Args:
        lake: the lake.
        monotonic: seconds for durations; injected so that tests are deterministic.
    """

    def __init__(self, lake: Lakehouse, monotonic: Callable[[], float]) -> None:
        self.lake = lake
        self._monotonic = monotonic
        self._writers = ThreadPoolExecutor(max(2, os.cpu_count() or 2), thread_name_prefix="writer")
        self._maintenance = Maintenance(lake.store, lake.tables, lake.settings)
        self._labels: tuple[int, LabelIndex] | None = None

    def close(self) -> None:
        """Wait for writer threads; an interpreter that exits while they work can abort."""
        self._writers.shutdown(wait=True)
        self._maintenance.close()

    def heads(self) -> tuple[int, int]:
        """See `Engine.heads`."""
        for table in self.lake.tables.values():
            table.refresh()
        return self.lake.tables[BRONZE.name].last_batch(), self.lake.tables[PIPELINE_RUNS.name].last_batch()

    def arrived(self) -> Arrived:
        """See `Engine.arrived`."""
        bronze = self.lake.tables[BRONZE.name]
        number = bronze.last_batch()
        if number < 0:
            return Arrived(0)
        last = bronze.scan().filter(pl.col("batch") == number).sort("seq").tail(1).collect().row(0, named=True)
        return Arrived(int(last["seq"]) + 1, last["arrival_time"], last["arrival_time"] != last["received_time"])

    def labels_version(self) -> int:
        """See `Engine.labels_version`."""
        table = self.lake.tables[LABELS.name]
        table.refresh()
        return table.last_batch()

    def labels(self, version: int) -> LabelIndex:
        """The labels known at a labels version."""
        if self._labels is None or self._labels[0] != version:
            known = self.lake.tables[LABELS.name].scan().filter(pl.col("labels_version") <= version).collect()
            self._labels = (version, LabelIndex.build(known))
        return self._labels[1]

    def snapshot(self) -> Snapshot:
        """See `Engine.snapshot`."""
        return self.lake.snapshot()

    def turns(self, first_seq: int, last_seq: int) -> list[int]:
        """See `Engine.turns`."""
        swapped = {turn.seen_from for turn in past.turns(self.lake.store) if first_seq < turn.seen_from <= last_seq}
        return sorted(swapped | set(history.turns(history.blocks(self.lake.store), first_seq, last_seq)))

    def tidy(self, now: datetime) -> bool:
        """See `Engine.tidy`."""
        return self._maintenance.look(now)
