"""Peak memory with a million accounts: every account seen, all state in place, all tables written."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from row import Row
from throughput import child


def run(scratch: Path, simulation: Path) -> list[Row]:
    figures = json.loads(child(__file__, str(scratch / "million"), str(simulation)))
    note = f"{figures['accounts']} accounts seen in {figures['rows']} events; KYC and limits for all of them"
    return [Row("peak_memory_1m_accounts", figures["peak_gb"], "GB", goal=3.0, note=note)]


def main(lake_path: str, simulation: str) -> None:
    import polars as pl

    import lakewarden

    lake = lakewarden.init(lake_path)
    lake.reference_import(Path(simulation) / "reference")
    report = lake.stream(simulation, once=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    accounts = lake.table("transactions_silver").select(pl.col("account_id").n_unique()).collect().item()
    print(json.dumps({"rows": report.rows, "peak_gb": peak, "accounts": accounts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
