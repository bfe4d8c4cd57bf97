"""The Spark driver killed again and again while it streams a topic: 0 lost, 0 doubled, and the embedded engine finishes what it began."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import psutil
import pytest
from kafka_jars import UnavailableError, find_java

import lakewarden
from lakewarden.tables import ALERTS, BRONZE, DLQ, DQ_RESULTS, DUPLICATES, GOLD, PIPELINE_RUNS, SILVER

KILLS = int(os.environ.get("LAKEWARDEN_KILLS", "10"))
TABLES = (SILVER, GOLD, DLQ, DUPLICATES, DQ_RESULTS, PIPELINE_RUNS, ALERTS)
STEPS = [
    ("write transactions_bronze", 1),
    ("bronze is written", 1),
    *((f"write {spec.name}", 1) for spec in TABLES[:6]),
    ("a table is written", 2),
    ("publish", 3),
]
"""Of a recovery with the micro-batch that was begun, and of the next one."""

QUICK = (
    "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData -XX:ReservedCodeCacheSize=128m "
    "-XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
)
"""For a Java process that lives for seconds: the quick compiler, whose code is larger. That jars are sound, their pinned hashes say."""

UNCOMPILED = "--conf spark.sql.codegen.wholeStage=false --conf spark.sql.codegen.factoryMode=NO_CODEGEN pyspark-shell"
"""Spark's own code for a few rows: run as it is, as in `tests/engines`."""

PROGRAM = Path(__file__).with_name("killed_spark.py")
SECONDS = 280


@pytest.fixture(scope="module")
def spark_there() -> None:
    pytest.importorskip("pyspark", reason="PySpark isn't installed here: make spark")
    try:
        find_java(what="Spark")
    except UnavailableError as error:
        pytest.skip(str(error).replace("\n", " "))


def stream(lake: Path, source: str, step: str, nth: int) -> subprocess.Popen[bytes]:
    left = lake.with_name("left")  # what the killed couldn't clear away
    left.mkdir(exist_ok=True)
    few = {
        "TMPDIR": str(left),
        "LAKEWARDEN_SPARK_CORES": "1",
        "LAKEWARDEN_SPARK_MEMORY": "1g",
        "JAVA_TOOL_OPTIONS": QUICK,
        "PYSPARK_SUBMIT_ARGS": UNCOMPILED,
    }
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(lake), source, step, str(nth)], stderr=subprocess.PIPE, env={**os.environ, **few}
    )


def ended(process: subprocess.Popen[bytes]) -> None:
    """It killed itself, or came to an end of the events; and nothing of it lives on."""
    java = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    try:
        _, said = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
        gone = psutil.wait_procs(java, timeout=30)[1]
        assert not gone, f"outlived its driver: {gone}"
    assert process.returncode in (0, -signal.SIGKILL), said.decode()[-2000:]


@pytest.mark.timeout(60 * KILLS)
def test_a_driver_killed_at_every_step_loses_and_doubles_nothing(spark_there, kafka_broker, tmp_path):
    topic = kafka_broker.new_topic(3)
    source = kafka_broker.uri(topic)
    simulation = tmp_path / "sim"
    made = lakewarden.simulate(source, seed=5, days=1, customers=100, events_per_day=70 * KILLS, faults="all", companions=simulation)
    lake = lakewarden.init(tmp_path / "lake")
    lake.reference_import(simulation / "reference")

    moments, killed = random.Random(20261128), 0
    for number in range(KILLS):
        step, nth = STEPS[number % len(STEPS)]
        process = stream(tmp_path / "lake", source, step, nth if number < len(STEPS) else moments.randint(1, 2))
        if number >= len(STEPS) and number % 2:  # beyond the steps, at any instant as well
            time.sleep(moments.uniform(8, 25))
            process.kill()
        ended(process)
        killed += process.returncode == -signal.SIGKILL
    assert killed == KILLS, "each was killed on the way"

    assert lake.stream(source, once=True).ok  # the other engine takes over what was left undone
    bronze = lake.table(BRONZE.name).select("seq", "source_partition", "source_offset", "event_date").collect()
    assert bronze.height == sum(end - low for low, end in kafka_broker.offsets(topic).values())
    assert bronze.select("source_partition", "source_offset").is_unique().all()
    assert bronze["seq"].sort().to_list() == list(range(bronze.height))
    assert made.ok
    for day in bronze["event_date"].unique().sort().to_list():
        assert lake.verify(day).differences == 0
        assert lake.conserve(day).ok
    assert lake.table(PIPELINE_RUNS.name).select(pl.col("batch").is_unique().all()).collect().item()
