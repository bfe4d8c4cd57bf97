"""A reader that polls the published tables and notes every mixture."""

from __future__ import annotations

import threading
from pathlib import Path

import polars as pl

from lakewarden.lake.lakehouse import Lakehouse
from lakewarden.tables import ALERTS, GOLD, PIPELINE_RUNS, SILVER


class Reader(threading.Thread):
    """Reads the published tables again and again, and notes a mixture: a transaction whose tables don't agree about its release."""

    def __init__(self, root: Path) -> None:
        super().__init__(name="reader", daemon=True)
        self._house = Lakehouse.open(root)
        self._ended = threading.Event()
        self.looks, self.mixtures, self.sides = 0, [], set()

    def run(self) -> None:
        while not self._ended.is_set():
            snapshot = self._house.snapshot((SILVER.name, GOLD.name, ALERTS.name, PIPELINE_RUNS.name))
            silver = snapshot.scan(SILVER.name).select("seq", "release_id").collect()
            gold = snapshot.scan(GOLD.name).select("seq", "release_id").collect()
            alerts = snapshot.scan(ALERTS.name).select("seq", "release_id").collect()
            both = silver.join(gold, on="seq", how="full", suffix="_gold")
            apart = both.filter(pl.col("release_id").ne_missing(pl.col("release_id_gold"))).height
            stray = alerts.join(gold, on=["seq", "release_id"], how="anti").height
            doubled = silver.height - silver["seq"].n_unique()
            if apart or stray or doubled:
                self.mixtures.append((snapshot.point.point, apart, stray, doubled))
            self.sides.add(frozenset(silver["release_id"].unique()))
            self.looks += 1

    def stop(self) -> None:
        self._ended.set()
        self.join()
