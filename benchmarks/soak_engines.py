"""Both engines over the same events: each streams them into a lake of its own, and each verifies the other's, date by date.

python benchmarks/soak_engines.py --events 2000000    # ends with 1 where a row differs
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import lakewarden
from lakewarden.engines.spark.session import session
from lakewarden.tables import BRONZE

OTHER = {"embedded": "spark", "spark": "embedded"}


def main() -> int:
    """Stream, verify and conserve; say what was seen."""
    top = argparse.ArgumentParser(prog="soak_engines.py", description=__doc__)
    top.add_argument("--events", type=int, default=2_000_000)
    top.add_argument("--batch-rows", type=int, default=250_000)
    given = top.parse_args()
    differences = 0
    with tempfile.TemporaryDirectory(prefix="lakewarden-engines-") as folder:
        scratch = Path(folder)
        lakewarden.simulate(
            scratch / "sim", seed=23, days=2, customers=max(100, given.events // 40), events_per_day=given.events // 2, faults="all"
        )
        os.environ.setdefault("LAKEWARDEN_SPARK_MEMORY", "4g")
        with session():
            for engine in OTHER:
                differences += streamed_and_verified(scratch, engine, given.batch_rows)
                shutil.rmtree(scratch / engine)
    print("ok" if not differences else f"NOT ok: {differences} differences")
    return 1 if differences else 0


def streamed_and_verified(scratch: Path, engine: str, batch_rows: int) -> int:
    """A lake of one engine, verified by the other; gives what differs or doesn't add up."""
    lake = lakewarden.init(scratch / engine)
    lake.reference_import(scratch / "sim" / "reference")
    started = time.monotonic()
    told = lakewarden.open(scratch / engine, engine=engine).stream(scratch / "sim", once=True, batch_rows=batch_rows)
    print(f"{engine}: {told.rows:,} events in {time.monotonic() - started:,.0f} s", flush=True)
    other, found = lakewarden.open(scratch / engine, engine=OTHER[engine]), 0
    days = lake.table(BRONZE.name).select("event_date").unique().sort("event_date").collect()["event_date"]
    for day in days:
        report, statement = other.verify(day), other.conserve(day)
        found += report.differences + statement.differences
        print(f"  {day}: {report.rows:,} rows, {report.differences} differences, conserved: {statement.ok}", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
