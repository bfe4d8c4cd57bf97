"""Runs the stream on Spark and kills its own process at a step: `killed_spark.py LAKE SOURCE STEP NTH`.

The driver goes without a word, and its Java process with it; the workers find their sockets closed.
"""

from __future__ import annotations

import functools
import os
import signal
import sys

import lakewarden
from lakewarden.engines.spark import delta, engine
from lakewarden.engines.spark.engine import SparkEngine
from lakewarden.lake.lakehouse import Lakehouse

BATCH_ROWS = 60
BY_SPARK = 20
"""More rows than that of a table are written by Spark, where the kill is behind a table that it wrote."""


def main(lake_path: str, source: str, wanted: str, nth: str) -> None:
    """Stream until the step's n-th time."""
    left = int(nth)

    def step(name: str) -> None:
        nonlocal left
        left -= name == wanted
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if wanted == "a table is written":
        engine.SMALL_ROWS = BY_SPARK
    SparkEngine.write = functools.partialmethod(SparkEngine.write, step=step)
    append, publish = delta.append, Lakehouse.publish

    def appended(rows, table, number):
        bronze = table.spec.name == "transactions_bronze"
        if bronze:
            step("write transactions_bronze")
        version = append(rows, table, number)
        step("bronze is written" if bronze else "a table is written")
        return version

    def published(self, *words, **settings):
        step("publish")
        return publish(self, *words, **settings)

    delta.append, Lakehouse.publish = appended, published
    lakewarden.open(lake_path, engine="spark").stream(source, once=True, batch_rows=BATCH_ROWS)


if __name__ == "__main__":
    main(*sys.argv[1:])
