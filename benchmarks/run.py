"""Every benchmark in one run: results to `benchmarks/results/latest.json` and a table in `docs/benchmarks.md`.

python benchmarks/run.py                  all of them, about half an hour on 2 cores
python benchmarks/run.py handbook memory  some of them; the other rows of the last run are kept, marked as such
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path

import components
import help
import kafka
import latency
import memory
import replay
import spark
import throughput
from row import Row

import lakewarden

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "latest.json"
TABLE = HERE.parent / "docs" / "benchmarks.md"
EVENTS = 2_000_000
MILLION_CUSTOMERS = 980_000
PACKAGES = ("lakewarden", "polars", "confluent-kafka", "deltalake", "numpy", "numba", "catboost", "mlflow-skinny", "pyspark", "delta-spark")


def circumstances() -> dict[str, str]:
    """When, on what and with which versions: every row carries it, so that a row stands for itself."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), ""
    )
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    installed = {found.name.replace("_", "-"): found.version for found in distributions()}
    return {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores ({model or platform.processor()}), {memory_gb:.0f} GB, Python {platform.python_version()}",
        "versions": ", ".join(f"{name} {installed[name]}" for name in PACKAGES if name in installed),
    }


def handbook_rows(scratch: Path) -> list[dict[str, object]]:
    import handbook

    return list(handbook.run())


def benchmarks(scratch: Path) -> dict[str, Callable[[], list[Row] | list[dict[str, object]]]]:
    big, clean, history, million = (scratch / name for name in ("big", "clean", "history", "million-events"))

    def simulate_big() -> None:
        if not big.exists():
            lakewarden.simulate(history, seed=8, days=14, events_per_day=20_000, faults="none")
            lakewarden.simulate(big, seed=7, days=4, customers=60_000, events_per_day=EVENTS // 4, faults="default")

    def simulate_million() -> None:
        if not million.exists():
            lakewarden.simulate(million, seed=9, days=1, customers=MILLION_CUSTOMERS, events_per_day=3_700_000, faults="none")

    def trained() -> None:
        simulate_big()
        if not (scratch / "trained").exists():
            throughput.child(str(HERE / "throughput.py"), "prepare", str(scratch / "trained"), str(big))

    def latencies() -> list[Row]:
        trained()
        simulate_million()
        return latency.run(scratch, million)

    def topics() -> list[Row]:
        trained()
        simulate_million()
        return kafka.run(scratch, big, million)

    def simulate_clean() -> None:
        if not clean.exists():
            lakewarden.simulate(clean, seed=7, days=4, customers=60_000, events_per_day=EVENTS // 4, faults="none")

    def components_() -> list[Row]:
        simulate_clean()
        return components.run(scratch, clean / "events")

    def throughputs() -> list[Row]:
        simulate_big()
        simulate_clean()
        return throughput.run(scratch, big, clean)

    def replays() -> list[Row]:
        trained()
        return replay.run(scratch, scratch / "trained", big)

    def memories() -> list[Row]:
        simulate_million()
        return memory.run(scratch, million)

    return {
        "help": help.run,
        "components": components_,
        "throughput": throughputs,
        "latency": latencies,
        "kafka": topics,
        "replay": replays,
        "memory": memories,
        "handbook": lambda: handbook_rows(scratch),
        "spark": lambda: spark.run(scratch),
    }


def main(chosen: list[str]) -> None:
    before = {row["name"]: row for row in json.loads(RESULTS.read_text())} if RESULTS.exists() and chosen else {}
    rows: dict[str, dict[str, object]] = dict(before)
    facts = circumstances()
    with tempfile.TemporaryDirectory(prefix="lakewarden-bench-") as folder:
        for name, work in benchmarks(Path(folder)).items():
            if chosen and name not in chosen:
                continue
            started = time.monotonic()
            print(f"{name} ...", file=sys.stderr, flush=True)
            found = [row.to_dict() if isinstance(row, Row) else row for row in work()]
            rows.update({str(row["name"]): {**row, **facts} for row in found})
            print(
                f"{name}: {time.monotonic() - started:.0f} s",
                *(f"  {r['name']} = {r['value']} {r['unit']}" for r in found),
                sep="\n",
                file=sys.stderr,
                flush=True,
            )
            write(list(rows.values()))


def write(rows: list[dict[str, object]]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    lines = ["# Benchmarks", "", "Written by `make bench`; the figures are those of `benchmarks/results/latest.json`."]
    for measured in sorted({str(row["measured"]) for row in rows}, reverse=True):
        group = [row for row in rows if row["measured"] == measured]
        lines += ["", f"## {measured}", "", f"{group[0]['machine']}; {group[0]['versions']}.", "", *table(group)]
    TABLE.write_text("\n".join(lines) + "\n")


def table(rows: list[dict[str, object]]) -> list[str]:
    head = [
        "| name | value | unit | held against | its value | ratio | goal | note |",
        "| --- | ---: | --- | --- | ---: | ---: | ---: | --- |",
    ]
    for row in rows:
        numbers = [figure(row.get(key)) for key in ("anchor_value", "ratio", "goal")]
        cells = [row["name"], figure(row["value"]), row["unit"], row.get("anchor") or "", *numbers, row.get("note") or ""]
        head.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return head


def figure(value: object) -> str:
    if not isinstance(value, int | float):
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


if __name__ == "__main__":
    main(sys.argv[1:])
