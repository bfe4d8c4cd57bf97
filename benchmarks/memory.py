"""Peak memory with a million accounts: every account seen, all state in place, all tables written. The stream in a process of its own."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from row import Row
from throughput import child

import lakewarden


def run(scratch: Path, simulation: Path) -> list[Row]:
    lakewarden.init(scratch / "million").reference_import(simulation / "reference")
    figures = json.loads(child(__file__, str(scratch / "million"), str(simulation)))
    note = f"{figures['accounts']} accounts seen in {figures['rows']} events; KYC and limits for all of them"
    return [
        Row("peak_memory_1m_accounts", figures["peak_gb"], "GB", goal=3.0, note=note),
        Row("file_to_gold_1m_accounts", figures["rows"] / figures["seconds"], "events/s", note=f"{note}; no model"),
    ]


def main(lake_path: str, simulation: str) -> None:
    import polars as pl

    lake = lakewarden.open(lake_path)
    report = lake.stream(simulation, once=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    accounts = lake.table("transactions_silver").select(pl.col("account_id").n_unique()).collect().item()
    print(json.dumps({"rows": report.rows, "seconds": report.seconds, "peak_gb": peak, "accounts": accounts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
