"""Both engines over the same events, each into a lake of its own: the same rows in every table, by hash, and each verifies the other's.

python benchmarks/soak_engines.py --events 2000000    # ends with 1 where a row differs
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import polars as pl

import lakewarden
from lakewarden.audit.verification import compare
from lakewarden.engines.spark.session import session
from lakewarden.tables import BRONZE, DERIVED

OTHER = {"embedded": "spark", "spark": "embedded"}
COMPARED = [spec for spec in (BRONZE, *DERIVED) if spec.per_event]


def main() -> int:
    """Stream, compare, verify and conserve; say what was seen."""
    top = argparse.ArgumentParser(prog="soak_engines.py", description=__doc__)
    top.add_argument("--events", type=int, default=2_000_000)
    top.add_argument("--batch-rows", type=int, default=250_000)
    given = top.parse_args()
    with tempfile.TemporaryDirectory(prefix="lakewarden-engines-") as folder:
        scratch = Path(folder)
        lakewarden.simulate(
            scratch / "sim", seed=23, days=2, customers=max(100, given.events // 40), events_per_day=given.events // 2, faults="all"
        )
        os.environ.setdefault("LAKEWARDEN_SPARK_MEMORY", "3g")
        with session():
            lakes = {engine: streamed(scratch, engine, given.batch_rows) for engine in OTHER}
            wrong = compared(lakes) + sum(proved(scratch, engine, lake) for engine, lake in lakes.items())
    print("ok" if not wrong else f"NOT ok: {wrong} differences")
    return 1 if wrong else 0


def streamed(scratch: Path, engine: str, batch_rows: int) -> lakewarden.Lake:
    """A lake of one engine, opened on the embedded one."""
    lake = lakewarden.init(scratch / engine)
    lake.reference_import(scratch / "sim" / "reference")
    started = time.monotonic()
    told = lakewarden.open(scratch / engine, engine=engine).stream(scratch / "sim", once=True, batch_rows=batch_rows)
    print(f"{engine}: {told.rows:,} events in {time.monotonic() - started:,.0f} s", flush=True)
    return lake


def compared(lakes: dict[str, lakewarden.Lake]) -> int:
    """Every row of every table that stands for an event, date by date; gives what differs."""
    wrong = 0
    for spec in COMPARED:
        rows, before = 0, wrong
        for day in dates(lakes["embedded"]):
            ours, theirs = (lake.table(spec.name).filter(pl.col("event_date") == day).collect() for lake in lakes.values())
            found = compare(spec, ours, theirs)
            rows, wrong = rows + found.rows, wrong + found.differences
        print(f"  {spec.name}: {rows:,} rows, {wrong - before} differences", flush=True)
    return wrong


def proved(scratch: Path, engine: str, lake: lakewarden.Lake) -> int:
    """The largest date derived again by the other engine, all of them conserved; gives what differs or doesn't add up."""
    sizes = lake.table(BRONZE.name).group_by("event_date").len().collect()
    started, day = time.monotonic(), sizes.sort("len")["event_date"][-1]
    report = lakewarden.open(scratch / engine, engine=OTHER[engine]).verify(day)
    told = f"  {engine}'s {day}, verified by {OTHER[engine]}: {report.rows:,} rows, {report.differences} differences"
    print(f"{told}, {time.monotonic() - started:,.0f} s", flush=True)
    unlike = sum(lake.conserve(day).differences for day in dates(lake))
    print(f"  {engine}: {unlike} equations of conservation don't hold", flush=True)
    return report.differences + unlike


def dates(lake: lakewarden.Lake) -> list[date]:
    """Those that a lake has events of."""
    found: list[date] = lake.table(BRONZE.name).select("event_date").unique().sort("event_date").collect()["event_date"].to_list()
    return found


if __name__ == "__main__":
    sys.exit(main())
