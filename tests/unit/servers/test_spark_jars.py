"""The jars that Spark is given belong to the PySpark and the delta-spark that the lock file names."""

from __future__ import annotations

import tomllib

import spark_jars
from kafka_jars import ROOT


def test_the_pinned_jars_are_of_the_locked_versions():
    locked = {each["name"]: each.get("version") for each in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    lines = [line.split() for line in spark_jars.PINNED.read_text().splitlines() if not line.startswith("#")]
    assert all(len(sha256) == 64 for sha256, _ in lines)
    jars = {path.rpartition("/")[2] for _, path in lines}
    assert f"delta-spark_4.1_2.13-{locked['delta-spark']}.jar" in jars
    assert f"spark-sql-kafka-0-10_2.13-{locked['pyspark']}.jar" in jars
    assert locked["pyspark"] == "4.1.1"  # the jars that PySpark ships itself are left out of the list
