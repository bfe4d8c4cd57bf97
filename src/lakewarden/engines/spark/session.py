"""A Spark session that is quiet, answers on loopback only, and knows Delta tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lakewarden.errors import ConfigurationError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

QUIET: Final[Mapping[str, str]] = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
}
"""For a session on this machine: no page, no bars, no port that others could reach."""

MEANING: Final[Mapping[str, str]] = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
"""What the stages and the lake rely on; `check_session` wants the first of a session that was made elsewhere."""


def local_session(
    jars: Sequence[Path], folder: Path, *, cores: int = 2, memory: str = "2g", settings: Mapping[str, str] | None = None
) -> SparkSession:
    """Start Spark in a process of its own on this machine; stop it with `session.stop()`.

    Args:
        jars: what Spark needs beyond its own jars (`scripts/spark_jars.py` brings them).
        folder: where Spark may leave files of the session.
        cores: tasks at a time.
        memory: of the Java process.
        settings: more of Spark's own settings, which win over those above.

    Raises:
        ConfigurationError: PySpark isn't installed.
    """
    try:
        from pyspark.sql import SparkSession
    except ModuleNotFoundError:
        raise ConfigurationError(
            "PySpark isn't installed, and the Spark engine needs it.",
            state="nothing was changed",
            next="pip install 'lakewarden[spark]'  (in a checkout: make spark)",
        ) from None
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else workers run whatever python3 is on PATH
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")  # else it warns of the machine's name
    asked = {
        **QUIET,
        **MEANING,
        "spark.jars": ",".join(str(jar) for jar in jars),
        "spark.driver.memory": memory,
        "spark.local.dir": str(folder / "local"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.shuffle.partitions": str(cores),
        "spark.databricks.delta.snapshotPartitions": str(cores),  # of 50, each would be a task
        **(settings or {}),
    }
    builder = SparkSession.builder.master(f"local[{cores}]").appName("lakewarden")
    for name, value in asked.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    check_session(session)
    return session


def check_session(session: SparkSession) -> None:
    """Refuse a session that would change values on their way.

    Raises:
        ConfigurationError: its time zone isn't UTC.
    """
    zone = session.conf.get("spark.sql.session.timeZone")
    if zone != MEANING["spark.sql.session.timeZone"]:
        raise ConfigurationError(
            f"The Spark session's time zone is {zone}; times in the lake are UTC.",
            state="nothing was changed",
            next="set spark.sql.session.timeZone to UTC, and start again",
        )
