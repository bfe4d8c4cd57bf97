"""Three ways in one run: embedded, our Spark engine, and the job written by hand for Spark; from files in one go and from a topic in
micro-batches. Each in processes of its own, on the same cores, with the same model; rate, memory, per-part times, one core against two.

Needs `make spark` and Java; skipped without. `python benchmarks/spark.py measure WAY SOURCE LAKE SIMULATION CORES` is one measurement.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import psutil
from row import Row
from throughput import child

HERE = Path(__file__).parent
MICRO_BATCH = 20_000
BATCH = 200_000
PARTITIONS = 4
MEMORY = "3g"
TUNED = {"spark.sql.adaptive.enabled": "true"}
"""What a job of wide rows wants otherwise than ours."""

WARMING = 2
"""Whole runs before the one that counts, whichever way: Java goes on compiling for that long."""


class Peak:
    """The most memory that this process and its children held at one time, looked at every half second; shared pages count once each."""

    def __init__(self) -> None:
        self.bytes = 0
        self._ended = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Peak:
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._looking.join()

    def _look(self) -> None:
        mine = psutil.Process()
        while not self._ended.wait(0.5):
            held = 0
            for process in (mine, *mine.children(recursive=True)):
                try:
                    held += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.bytes = max(self.bytes, held)


def by_lakewarden(engine: str, source: str, lake_path: Path, simulation: Path) -> dict[str, Any]:
    """A stream until the source is exhausted; some whole ones before it, in the same process."""
    import lakewarden
    from lakewarden.engines.spark import session

    with session.session() if engine == "spark" else nullcontext():  # it stays for all that is opened meanwhile
        started = time.monotonic()
        for number in range(WARMING):
            warm = lake_path.with_name(f"{lake_path.name}-warm-{number}")
            shutil.copytree(lake_path, warm)
            lakewarden.open(warm, engine=engine).stream(simulation, once=True, batch_rows=BATCH)
            shutil.rmtree(warm)
        warming, topic = time.monotonic() - started, source.startswith("kafka")
        told = lakewarden.open(lake_path, engine=engine).stream(source, once=True, batch_rows=MICRO_BATCH if topic else BATCH)
        return {**told.to_dict(), "warming_seconds": warming}


def by_hand(source: str, lake_path: Path, simulation: Path, out: Path, cores: int) -> dict[str, Any]:
    """The hand-written job: some whole batches, then the one that counts."""
    from spark_by_hand import run_batch, run_stream
    from spark_by_hand_model import Model

    from lakewarden.engines.spark.session import jars, local_session, stop

    spark = local_session(jars(), out / "session", cores=cores, memory=MEMORY, settings=TUNED)
    model, reference = Model.of_lake(lake_path), simulation / "reference"
    try:
        for number in range(WARMING):
            run_batch(spark, simulation / "events", out / f"warm-{number}", model, reference)
        started = time.monotonic()
        if source.startswith("kafka"):
            bootstrap, topic = source.removeprefix("kafka://").split("/")
            rows, seconds = run_stream(spark, bootstrap, topic, out / "stream", model, reference, MICRO_BATCH)
            later = seconds[1:] or seconds
            return {"rows": rows, "seconds": time.monotonic() - started, "batch_seconds": sum(later) / len(later)}
        return {"rows": run_batch(spark, simulation / "events", out / "batch", model, reference), "seconds": time.monotonic() - started}
    finally:
        stop(spark)


def measure(way: str, source: str, lake: str, simulation: str, cores: str) -> None:
    """One measurement on so many cores of the machine, as a line of JSON."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])  # Java's compiler and collector would use the others
    folder = Path(lake)
    with Peak() as peak:
        if way == "by hand":
            told = by_hand(source, folder, Path(simulation), folder.with_name(f"{folder.name}-by-hand"), int(cores))
        else:
            told = by_lakewarden(way, source, folder, Path(simulation))
    print(json.dumps({**told, "peak_gb": peak.bytes / 1e9}))


def prepared(scratch: Path, events: int) -> tuple[Path, Path]:
    """A simulation, and a lake that has a model of it, a small part of its events (which warms Spark up), and no more."""
    import lakewarden

    simulation, lake_path = scratch / f"spark-{events}", scratch / "spark-lake"
    if not simulation.exists():
        lakewarden.simulate(simulation, seed=17, days=2, customers=20_000, events_per_day=events // 2, faults="default")
    if not lake_path.exists():
        small = scratch / "spark-small"
        lakewarden.simulate(small, seed=18, days=1, customers=500, events_per_day=3_000, faults="default")
        lake = lakewarden.init(lake_path)
        lake.reference_import(simulation / "reference")
        lake.train(simulation / "labels" / "labels.csv", source=simulation)
        lake.stream(small, once=True)
    return simulation, lake_path


def run(scratch: Path, events: int = 200_000) -> list[Row]:
    """All ways, from files and from a topic; rows for `latest.json`."""
    try:
        import kafka
        from kafka_broker import Broker
        from kafka_jars import find_java

        find_java(what="Spark")
        import pyspark  # noqa: F401
    except Exception as error:  # noqa: BLE001  # whatever is missing, it is said and skipped
        print(f"spark: skipped: {error}", file=sys.stderr)
        return []
    simulation, trained = prepared(scratch, events)
    told: dict[str, dict[str, Any]] = {}

    def one(name: str, way: str, source: str, cores: int = 2) -> None:
        lake_path = scratch / f"spark-{name.replace(' ', '-')}"
        shutil.copytree(trained, lake_path)
        os.sync()
        environment = {"LAKEWARDEN_SPARK_CORES": str(cores), "LAKEWARDEN_SPARK_MEMORY": MEMORY}
        told[name] = json.loads(child(__file__, "measure", way, source, str(lake_path), str(simulation), str(cores), **environment))
        print(f"spark: {name}: {told[name]['rows'] / told[name]['seconds']:,.0f} events/s", file=sys.stderr, flush=True)
        shutil.rmtree(lake_path)

    for name, way in (("embedded batch", "embedded"), ("spark batch", "spark"), ("by hand batch", "by hand")):
        one(name, way, str(simulation))
    one("spark batch, one core", "spark", str(simulation), 1)
    with Broker(scratch / "spark-broker", partitions=PARTITIONS) as broker:
        broker.create_topic("few", PARTITIONS)
        kafka.produce(f"127.0.0.1:{broker.port}", "few", list(kafka.lines(simulation)))
        for name, way in (("embedded stream", "embedded"), ("spark stream", "spark"), ("by hand stream", "by hand")):
            one(name, way, broker.uri("few"))
    return rows_of(told)


def rows_of(told: dict[str, dict[str, Any]]) -> list[Row]:
    """The figures as rows; ratios are of rates of one run."""
    rate = {name: one["rows"] / one["seconds"] for name, one in told.items()}
    size = {name: f"{one['rows']:,} events" for name, one in told.items()}
    found = [
        Row(f"spark_{kind}_{way.replace(' ', '_')}", rate[f"{way} {kind}"], "events/s", note=size[f"{way} {kind}"])
        for kind in ("batch", "stream")
        for way in ("embedded", "spark", "by hand")
    ]
    batch, stream = rate["embedded batch"] / rate["spark batch"], rate["embedded stream"] / rate["spark stream"]
    found += [
        Row("spark_batch_ratio", batch, "x", "embedded / spark engine, from files", goal=5),
        Row("spark_stream_ratio", stream, "x", f"embedded / spark engine, from a topic, micro-batches of {MICRO_BATCH:,}", goal=20),
        Row("spark_overhead", rate["by hand batch"] / rate["spark batch"], "x", "by hand / spark engine, from files", goal=1.5),
        Row("spark_overhead_stream", rate["by hand stream"] / rate["spark stream"], "x", "by hand / spark engine, from a topic", goal=1.5),
        Row("spark_scaling", rate["spark batch"] / rate["spark batch, one core"], "x", "local[2] / local[1], from files"),
    ]
    found += [Row(f"spark_peak_{name.replace(' ', '_').replace(',', '')}", one["peak_gb"], "GB") for name, one in told.items()]
    parts = told["spark batch"]["stage_seconds"]
    found += [Row(f"spark_part_{part}", seconds, "s", note=size["spark batch"]) for part, seconds in parts.items()]
    return found


if __name__ == "__main__":
    sys.path.append(str(HERE.parent / "scripts"))
    if sys.argv[1] == "measure":
        measure(*sys.argv[2:])
    else:
        for row in run(Path(sys.argv[1]), int(sys.argv[2])):
            print(json.dumps(row.to_dict()))
