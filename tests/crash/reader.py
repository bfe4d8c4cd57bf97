"""Readers that follow the published point while something is killed, and note what they see."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Final

import polars as pl

from lakewarden.lake.lakehouse import Lakehouse, Snapshot
from lakewarden.tables import ALERTS, GOLD, PIPELINE_RUNS, SILVER

AGAIN_SECONDS: Final = 0.5
"""After so long a point that stays is read once more: its files have to be there still."""

PAUSE_SECONDS: Final = 0.1
"""Between two looks beside a stream that publishes all the time."""


class Follower(threading.Thread):
    """Reads a published point soon after it is there, and leaves the processor to whom it watches.

    Args:
        names: the tables that a look opens.
    """

    def __init__(self, root: Path, names: tuple[str, ...]) -> None:
        super().__init__(name="reader", daemon=True)
        self._house, self._names = Lakehouse.open(root), names
        self._ended = threading.Event()
        self.looks = 0

    def run(self) -> None:
        point, since = -1, 0.0
        while not self._ended.is_set():
            if self._house.published().point == point and time.monotonic() - since < AGAIN_SECONDS:
                time.sleep(0.01)
                continue
            snapshot = self._house.snapshot(self._names)
            self.look(snapshot)
            point, since = snapshot.point.point, time.monotonic()
            self.looks += 1
            time.sleep(PAUSE_SECONDS)

    def look(self, snapshot: Snapshot) -> None:
        """Read what is wanted, and note it."""
        raise NotImplementedError

    def stop(self) -> None:
        self._ended.set()
        self.join()


class Reader(Follower):
    """Notes every mixture: a transaction whose tables don't agree about its release."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, (SILVER.name, GOLD.name, ALERTS.name, PIPELINE_RUNS.name))
        self.mixtures, self.sides = [], set()

    def look(self, snapshot: Snapshot) -> None:
        names = (SILVER.name, GOLD.name, ALERTS.name)
        silver, gold, alerts = pl.collect_all([snapshot.scan(name).select("seq", "release_id") for name in names])
        both = silver.join(gold, on="seq", how="full", suffix="_gold")
        apart = both.filter(pl.col("release_id").ne_missing(pl.col("release_id_gold"))).height
        stray = alerts.join(gold, on=["seq", "release_id"], how="anti").height
        doubled = silver.height - silver["seq"].n_unique()
        if apart or stray or doubled:
            self.mixtures.append((snapshot.point.point, apart, stray, doubled))
        self.sides.add(frozenset(silver["release_id"].unique()))
