"""Whoever doesn't ask for Spark never loads it; whoever asks without having it is told what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from lakewarden.engines.spark.given import told
from lakewarden.engines.spark.session import check_session, local_session
from lakewarden.errors import ConfigurationError


def test_nothing_of_spark_is_loaded_unasked():
    program = "import sys, lakewarden, lakewarden.app, lakewarden.cli.main; print([m for m in sys.modules if 'spark' in m])"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


def test_pyspark_is_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(ConfigurationError, match=r"(?s)PySpark isn't installed.*next: pip install 'lakewarden\[spark\]'"):
        local_session([], tmp_path)


def test_a_session_of_another_time_zone_is_refused():
    session = SimpleNamespace(conf={"spark.sql.session.timeZone": "Europe/Berlin"})
    with pytest.raises(ConfigurationError, match="time zone is Europe/Berlin"):
        check_session(session)


def test_workers_without_this_package_are_told_of_in_words():
    with pytest.raises(ConfigurationError, match="isn't installed where Spark's workers run"), told():
        raise RuntimeError("in a worker: ModuleNotFoundError: No module named 'lakewarden'")
    with pytest.raises(RuntimeError, match="something else"), told():
        raise RuntimeError("something else")


JAVA_IS_KILLED = """
import os, signal
from lakewarden.engines.spark.session import session
from lakewarden.errors import StorageError
try:
    with session() as spark:
        os.kill(spark.sparkContext._gateway.proc.pid, signal.SIGKILL)
        spark.range(3).count()
except StorageError as error:
    print(error)
"""


def test_java_that_is_gone_is_an_error_in_words(spark):
    """In a process of its own; `spark` is asked for only to be skipped where there is none."""
    quick = {"LAKEWARDEN_SPARK_CORES": "1", "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
    ran = subprocess.run([sys.executable, "-c", JAVA_IS_KILLED], capture_output=True, text=True, env={**os.environ, **quick}, check=False)
    assert ran.returncode == 0, ran.stderr
    what, state, then = ran.stdout.splitlines()
    assert what == "Spark's Java process ended in the middle of the work, with exit code -9."
    assert state.startswith("state: what was committed stands")
    assert "LAKEWARDEN_SPARK_MEMORY, now 2g" in then
