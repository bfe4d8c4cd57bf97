"""Whoever doesn't ask for Spark never loads it; whoever asks without having it is told what to do."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

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
