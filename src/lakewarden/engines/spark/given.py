"""The Spark session that is there already: of this process, of the cluster that it runs on, or of a server of Spark Connect."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from lakewarden.errors import ConfigurationError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

REMOTE: Final = "SPARK_REMOTE"
PORT: Final = 15002
"""Of Spark Connect, where the address names none."""

SECONDS: Final = 10
"""How long a server may take to answer; Spark's own client would try again for minutes."""

ABSENT: Final = "No module named 'lakewarden'"
"""What a worker says without it."""


def present() -> SparkSession | None:
    """The session that this process has; one of Spark Connect is known to the thread alone that made it."""
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession() or SparkSession._instantiatedSession  # the first is that of the thread


def given() -> SparkSession | None:
    """The session that there is; None where this process has to start one.

    Raises:
        ConfigurationError: the server of Spark Connect that `SPARK_REMOTE` names can't be used.
        ModuleNotFoundError: PySpark isn't installed.
    """
    from pyspark.sql import SparkSession

    there = present()
    remote = os.environ.get(REMOTE, "")
    if there is not None or not (remote or os.environ.get("DATABRICKS_RUNTIME_VERSION")):
        return there
    named = urlsplit(remote)
    try:
        if named.scheme == "sc" and named.hostname is not None:
            socket.create_connection((named.hostname, named.port or PORT), timeout=SECONDS).close()
        made = SparkSession.builder.getOrCreate()
        made.conf.set("spark.sql.session.timeZone", "UTC")
    except Exception as error:
        if not remote:
            raise
        said = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ConfigurationError(
            f"Spark Connect at {remote.partition(';')[0]} can't be used: {said[:300]}",  # behind a ; there may be a token
            state="nothing was changed",
            next=f"look whether the server runs (sc://HOST:{PORT}), or unset {REMOTE} for a session on this machine",
        ) from error
    return made


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Says in words what goes wrong in the workers' surroundings.

    Raises:
        ConfigurationError: they don't have this package.
    """
    try:
        yield
    except Exception as error:
        if ABSENT not in str(error):
            raise
        raise ConfigurationError(
            "Lakewarden isn't installed where Spark's workers run.",
            state="what was committed stands, and what was begun is finished by the next start",
            next="install the version there that is here (lakewarden --version), and run the command again",
        ) from error
