"""Both engines over the same events, each into a lake of its own: the same rows in every table, by hash, and each verifies the other's.

python benchmarks/soak_engines.py --events 2000000    # of a simulated bank with every fault; ends with 1 where a row differs
python benchmarks/soak_engines.py --handbook          # the Fraud Detection Handbook's transactions, which LAKEWARDEN_DATA has
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

HERE = Path(__file__).resolve().parent
HANDBOOK = Path(os.environ.get("LAKEWARDEN_DATA", HERE.parents[1] / "shared" / "data")) / "handbook.parquet"
MAPPING = HERE.parent / "examples" / "handbook.yaml"
OTHER = {"embedded": "spark", "spark": "embedded"}
COMPARED = [spec for spec in (BRONZE, *DERIVED) if spec.per_event]


def main() -> int:
    """Stream, compare, verify and conserve; say what was seen."""
    top = argparse.ArgumentParser(prog="soak_engines.py", description=__doc__)
    top.add_argument("--events", type=int, default=2_000_000)
    top.add_argument("--batch-rows", type=int, default=250_000)
    top.add_argument("--handbook", action="store_true")
    given = top.parse_args()
    if given.handbook and not HANDBOOK.is_file():
        print(f"skipped: the Handbook's transactions aren't here: {HANDBOOK}")
        return 0
    with tempfile.TemporaryDirectory(prefix="lakewarden-engines-") as folder:
        scratch = Path(folder)
        source, mapping = (HANDBOOK, MAPPING) if given.handbook else (simulated(scratch / "sim", given.events), None)
        os.environ.setdefault("LAKEWARDEN_SPARK_MEMORY", "3g")
        with session():
            lakes = {engine: streamed(scratch, engine, source, mapping, given.batch_rows) for engine in OTHER}
            wrong = compared(lakes) + sum(proved(scratch, engine, lake) for engine, lake in lakes.items())
    print("ok" if not wrong else f"NOT ok: {wrong} differences")
    return 1 if wrong else 0


def simulated(out: Path, events: int) -> Path:
    """Two days of a bank with every fault."""
    lakewarden.simulate(out, seed=23, days=2, customers=max(100, events // 40), events_per_day=events // 2, faults="all")
    return out


def streamed(scratch: Path, engine: str, source: Path, mapping: Path | None, batch_rows: int) -> lakewarden.Lake:
    """A lake of one engine, opened on the embedded one."""
    lake = lakewarden.init(scratch / engine)
    if (source / "reference").is_dir():
        lake.reference_import(source / "reference")
    started = time.monotonic()
    told = lakewarden.open(scratch / engine, engine=engine).stream(source, once=True, mapping=mapping, batch_rows=batch_rows)
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
