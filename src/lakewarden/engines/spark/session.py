"""A Spark session that is quiet, answers on loopback only, and knows Delta tables; or the one that there is."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lakewarden.engines.spark.given import given, told
from lakewarden.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CODE: Final[Mapping[str, str]] = {"spark.sql.codegen.cache.maxEntries": "500"}
"""Of generated code Spark remembers 100 pieces. A micro-batch with Delta's own queries has about 130 that come again, which would be
compiled again each time, and 8 that are new with each (decision 0024)."""

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
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}
"""What the stages and the lake rely on; `check_session` wants the first of a session that was made elsewhere."""

LOCAL: Final[Mapping[str, str]] = {
    "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "spark.hadoop.fs.AbstractFileSystem.file.impl": "org.apache.hadoop.fs.local.RawLocalFs",
    "spark.sql.adaptive.enabled": "false",
    "spark.scheduler.mode": "FAIR",
    "spark.executorEnv.POLARS_MAX_THREADS": "1",
}
"""For local folders and few cores: no checksum files beside ours, which others would not keep up; tasks as planned, one core each."""

PACKAGES: Final = "io.delta:delta-spark_4.1_2.13:4.4.0,org.apache.spark:spark-sql-kafka-0-10_2.13:4.1.1"
"""What Spark gets from Maven Central by itself where no jars were brought (`scripts/spark-jars.txt` pins them)."""

LOG: Final = "spark.log"
"""In a session's folder: what Java and the workers have to say."""

OUT_OF_MEMORY: Final = 52
"""The exit code of Spark's Java process that had no memory left."""

JARS: Final = "LAKEWARDEN_SPARK_JARS"
MEMORY: Final = "LAKEWARDEN_SPARK_MEMORY"
CORES: Final = "LAKEWARDEN_SPARK_CORES"

NOT_INSTALLED: Final = ConfigurationError(
    "PySpark isn't installed, and the Spark engine needs it.",
    state="nothing was changed",
    next="pip install 'lakewarden[spark]'  (in a checkout: make spark)",
)


@contextlib.contextmanager
def session() -> Iterator[SparkSession]:
    """The session that this process has, that a cluster gives it (Databricks, `SPARK_REMOTE`), or one of its own on this machine.

    One of its own ends with the context; another stays.

    Raises:
        ConfigurationError: PySpark isn't installed, there is no Java, or the session would change values on their way.
    """
    try:
        there = given()
    except ModuleNotFoundError:
        raise NOT_INSTALLED from None
    if there is not None:
        check_session(there)
        with told():
            yield there
        return
    with tempfile.TemporaryDirectory(prefix="lakewarden-spark-") as folder:
        memory = os.environ.get(MEMORY) or "2g"
        made = local_session(jars(), Path(folder), cores=int(os.environ.get(CORES) or os.cpu_count() or 2), memory=memory)
        try:
            with told():
                yield made
        except Exception as error:
            code = _ended(made, error)
            if code is None:
                raise
            why = ": it had no memory left" if code == OUT_OF_MEMORY else ""
            raise StorageError(
                f"Spark's Java process ended in the middle of the work, with exit code {code}{why}.",
                state="what was committed stands, and what was begun is finished by the next start",
                next=f"give Java more memory ({MEMORY}, now {memory}) or take fewer events at a time, and run the command again",
            ) from error
        finally:
            stop(made)


def jars() -> list[Path]:
    """The jars that were brought: in the folder that `LAKEWARDEN_SPARK_JARS` names, or in a checkout's `.tools/spark`; else none."""
    named = os.environ.get(JARS)
    folder = Path(named) if named else Path(__file__).parents[4] / ".tools" / "spark"
    return sorted(folder.glob("*.jar"))


def local_session(
    jars: Sequence[Path], folder: Path, *, cores: int = 2, memory: str = "2g", settings: Mapping[str, str] | None = None
) -> SparkSession:
    """Start Spark in a process of its own on this machine; end it with `stop`.

    Args:
        jars: what Spark needs beyond its own jars (`scripts/spark_jars.py` brings them); none: it gets them itself.
        folder: where Spark may leave files of the session.
        cores: tasks at a time.
        memory: of the Java process.
        settings: more of Spark's own settings, which win over those above.

    Raises:
        ConfigurationError: PySpark isn't installed, or there is no Java.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession
    except ModuleNotFoundError:
        raise NOT_INSTALLED from None
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else workers run whatever python3 is on PATH
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")  # else it warns of the machine's name
    asked = {
        **QUIET,
        **MEANING,
        **LOCAL,
        **CODE,
        **({"spark.jars": ",".join(str(jar) for jar in jars)} if jars else {"spark.jars.packages": PACKAGES}),
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
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _stderr_to(folder / LOG):
            made = builder.getOrCreate()
    except (PySparkException, OSError) as error:
        raise ConfigurationError(
            f"Spark can't be started: {str(error).splitlines()[0]}",
            state="nothing was changed",
            next="install Java 17 or 21 (Debian: apt-get install openjdk-17-jre-headless) or point JAVA_HOME at one",
        ) from None
    check_session(made)
    return made


@contextlib.contextmanager
def _stderr_to(file: Path) -> Iterator[None]:
    """Processes that start meanwhile write to a file instead of our stderr, for as long as they live.

    Ours is read by people and scripts; Java and Spark's workers warn and trace on it. With LAKEWARDEN_DEBUG=1 they may.
    """
    if os.environ.get("LAKEWARDEN_DEBUG") == "1":
        yield
        return
    kept, log = os.dup(2), os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o644)
    os.dup2(log, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(log)


def _ended(made: SparkSession, error: Exception) -> int | None:
    """The exit code of a session's Java process, None where it lives."""
    from py4j.protocol import Py4JError

    process = made.sparkContext._gateway.proc
    if isinstance(error, Py4JError | OSError):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)  # its socket closes a little earlier
    code: int | None = process.poll()
    return code


def stop(made: SparkSession) -> None:
    """End a session of this process, and its Java process with it; one whose Java process is gone is forgotten."""
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    gateway = made.sparkContext._gateway
    if gateway.proc.poll() is None:
        made.stop()
        gateway.shutdown()
        if gateway.proc.stdin is not None:
            gateway.proc.stdin.close()  # Java ends with its input
        gateway.proc.wait(30)
    SparkContext._gateway = SparkContext._jvm = SparkContext._active_spark_context = None  # else the next session would speak to this one
    SparkSession._instantiatedSession = None


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
