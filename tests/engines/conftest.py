"""One small simulated bank with every fault, streamed once by the embedded engine: what both engines are held to. And a Spark session.

Every test that asks for `engine` runs on both. Spark starts once a process, and only where a test needs it; a job costs it about half a
second however few the rows are, so lakes are few and small, and what several tests look at is made once.
"""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from kafka_jars import UnavailableError, find_java
from spark_jars import spark_jars

import lakewarden
from lakewarden.app_engine import ENGINES, SPARK
from lakewarden.tables import DUPLICATES

HERE = Path(__file__).parent
DAYS = ("2026-01-05", "2026-01-06")

QUICK = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData "
    "-XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote",
    "spark.sql.adaptive.enabled": "false",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}
"""For tables of a few rows: no compiling for the long run, neither by Java nor by Spark, and logs read in one piece."""


SOAK = {
    "test_dates_verify_behind_swaps[spark]",
    "test_dates_verify_behind_undone_swaps[spark]",
    "test_dates_of_history_verify_and_are_conserved[spark]",
    "test_rows_that_were_derived_count_instead_of_those_that_are_stored[spark]",
    "test_a_state_is_carried_on_in_any_number_of_shards[1]",
}
"""On Spark a quarter of a minute and more each, of what others prove on the way: `make soak`."""


@pytest.hookimpl(tryfirst=True)  # before marks are looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """PySpark leaves its sockets to the garbage collector, which would be an error here; ours are closed, as all other tests see."""
    for item in items:
        if item.path.is_relative_to(HERE):
            if item.name in SOAK:
                item.add_marker(pytest.mark.soak)
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
            item.add_marker(pytest.mark.timeout(900))  # some begin with Spark's start and a lake, and machines may be busy


@pytest.fixture(autouse=True)
def _sockets_go_here() -> Iterator[None]:
    """Whatever PySpark left is collected before the next test, which may not be one of these."""
    yield
    _collect()


def _collect() -> None:
    if "pyspark" in sys.modules:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.fixture(scope="session")
def jars() -> list[Path]:
    """Those that Spark needs beyond its own; a test is skipped, with the reason, where Spark can't be had."""
    pytest.importorskip("pyspark", reason="PySpark isn't installed here: make spark")
    try:
        find_java(what="Spark")
        return spark_jars()
    except UnavailableError as error:
        pytest.skip(str(error).replace("\n", " "))


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory, jars: list[Path]) -> Iterator[Any]:
    """One session for all tests of a process, on two cores; operations on Spark use it and leave it alone."""
    from lakewarden.engines.spark.session import local_session, stop

    with pytest.MonkeyPatch.context() as patched:
        # so that Spark's workers find `makers`, which tests ask them to run
        patched.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")])))
        session = local_session(jars, tmp_path_factory.mktemp("spark"), memory="1g", settings=QUICK)
    try:
        yield session
    finally:
        stop(session)
        _collect()


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """The engine that a lake's operations run on; Spark where there can be one."""
    if request.param == SPARK:
        request.getfixturevalue("spark")
    return str(request.param)


@pytest.fixture(scope="session")
def open_on(engine: str) -> Callable[[Path], lakewarden.Lake]:
    """Opens a lake on the engine at hand."""
    return lambda path: lakewarden.open(path, engine=engine)


@contextlib.contextmanager
def written_by_spark(rows: int) -> Iterator[None]:
    """Tables with more rows than so many in a micro-batch are written by Spark; it usually takes many more until it is worth while."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lakewarden.engines.spark.engine.SMALL_ROWS", rows)
        yield


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days of a bank with every fault."""
    out = tmp_path_factory.mktemp("bank") / "sim"
    lakewarden.simulate(out, seed=11, days=2, customers=120, events_per_day=1000, faults="all", start=None)
    return out


@pytest.fixture(scope="session")
def unstreamed(tmp_path_factory: pytest.TempPathFactory, simulated: Path) -> Path:
    """A lake that knows the bank's reference data, and has seen no event."""
    path = tmp_path_factory.mktemp("unstreamed") / "lake"
    lakewarden.init(path).reference_import(simulated / "reference")
    return path


@pytest.fixture(scope="session")
def streamed(tmp_path_factory: pytest.TempPathFactory, simulated: Path, unstreamed: Path) -> lakewarden.Lake:
    """The two days, streamed by the embedded engine; nobody changes this lake."""
    path = tmp_path_factory.mktemp("streamed") / "lake"
    shutil.copytree(unstreamed, path)
    lake = lakewarden.open(path)
    assert lake.stream(simulated, once=True, batch_rows=700).ok
    return lake


@pytest.fixture(scope="session")
def cut(streamed: lakewarden.Lake) -> int:
    """A `seq` in the midst of the arrivals: that of an event whose id came before, so that the state of ids is asked."""
    return int(streamed.table(DUPLICATES.name).filter(pl.col("seq") >= 900).select(pl.col("seq").min()).collect().item())
