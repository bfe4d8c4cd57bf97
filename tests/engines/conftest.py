"""A small simulated bank with every fault, streamed once by the embedded engine; and a Spark session, where there can be one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest
from kafka_jars import UnavailableError, find_java
from spark_jars import spark_jars

import lakewarden
from lakewarden.tables import DUPLICATES

QUICK = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData",
    "spark.sql.adaptive.enabled": "false",
}


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One session for all tests of a process, on two cores."""
    pytest.importorskip("pyspark", reason="PySpark isn't installed here: make spark")
    from lakewarden.engines.spark.session import local_session

    try:
        find_java(what="Spark")
        jars = spark_jars()
    except UnavailableError as error:
        pytest.skip(str(error).replace("\n", " "))
    session = local_session(jars, tmp_path_factory.mktemp("spark"), memory="1g", settings=QUICK)
    try:
        yield session
    finally:
        gateway = session.sparkContext._gateway
        session.stop()
        gateway.shutdown()
        gateway.proc.stdin.close()  # Java ends with its input
        gateway.proc.wait(30)


@pytest.fixture(scope="session")
def streamed(tmp_path_factory: pytest.TempPathFactory) -> lakewarden.Lake:
    """Two days of a bank with every fault, in a lake."""
    folder = tmp_path_factory.mktemp("bank")
    lakewarden.simulate(folder / "sim", seed=11, days=2, customers=120, events_per_day=1000, faults="all", start=None)
    lake = lakewarden.init(folder / "lake")
    lake.reference_import(folder / "sim" / "reference")
    assert lake.stream(folder / "sim", once=True, batch_rows=700).ok
    return lake


@pytest.fixture(scope="session")
def cut(streamed: lakewarden.Lake) -> int:
    """A `seq` in the midst of the arrivals: that of an event whose id came before, so that the state of ids is asked."""
    return int(streamed.table(DUPLICATES.name).filter(pl.col("seq") >= 900).select(pl.col("seq").min()).collect().item())
