"""Operations of a process that reaches its Spark cluster by Spark Connect: the same rows, and what can't be had is said."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import lakewarden
from makers.rows import assert_same_lake
from servers.spark_connect import spark_connect

from .conftest import DAYS, QUICK


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory, jars: list[Path]) -> Iterator[str]:
    """The address of a server."""
    from lakewarden.engines.spark.session import CODE, LOCAL, MEANING

    settings = {**MEANING, **LOCAL, **CODE, **QUICK, "spark.master": "local[2]", "spark.sql.shuffle.partitions": "2"}
    with spark_connect(jars, tmp_path_factory.mktemp("connect"), {**settings, "spark.ui.enabled": "false"}) as address:
        yield address


@pytest.fixture
def command(remote: str) -> Callable[..., dict]:
    """Run a command on Spark, in a process of its own; gives its report."""

    def run(*arguments: object) -> dict:
        told = [sys.executable, "-m", "lakewarden", *map(str, arguments), "--engine", "spark", "--json"]
        done = subprocess.run(told, capture_output=True, text=True, check=False, env={**os.environ, "SPARK_REMOTE": remote})
        assert "Traceback" not in done.stderr
        return json.loads(done.stdout)

    return run


@pytest.mark.soak
def test_a_lake_is_streamed_verified_and_conserved(command, unstreamed: Path, simulated: Path, streamed: lakewarden.Lake, tmp_path: Path):
    lake = tmp_path / "lake"
    shutil.copytree(unstreamed, lake)
    assert command("stream", "--source", simulated, "--once", "--batch-rows", 1100, "--lake", lake)["ok"]
    assert_same_lake(lakewarden.open(lake), streamed)
    for day in DAYS:
        verified = command("verify", "--date", day, "--lake", lake)
        assert (verified["ok"], verified["differences"]) == (True, 0)
        assert command("conserve", "--date", day, "--lake", lake)["ok"]


@pytest.mark.soak
def test_a_topic_is_refused_in_words(command, unstreamed: Path, kafka_broker, tmp_path: Path):
    lake = tmp_path / "lake"
    shutil.copytree(unstreamed, lake)
    error = command("stream", "--source", kafka_broker.uri(kafka_broker.new_topic(1)), "--once", "--lake", lake)["error"]
    assert error["kind"] == "ConfigurationError"
    assert "over Spark Connect" in error["what"]
    assert "--engine embedded" in error["next"]


def test_a_server_that_is_not_there_is_an_error_in_words(streamed: lakewarden.Lake):
    pytest.importorskip("pyspark", reason="PySpark isn't installed here: make spark")
    told = ["verify", "--date", DAYS[0], "--lake", streamed.house.store.root, "--engine", "spark", "--json"]
    remote = {"SPARK_REMOTE": "sc://127.0.0.1:1/;token=secret"}
    done = subprocess.run(
        [sys.executable, "-m", "lakewarden", *told], capture_output=True, text=True, check=False, env={**os.environ, **remote}
    )
    error = json.loads(done.stdout)["error"]
    assert error["what"].startswith("Spark Connect at sc://127.0.0.1:1/ can't be used")
    assert "secret" not in done.stdout + done.stderr
