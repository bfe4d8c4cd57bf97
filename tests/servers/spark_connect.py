"""A Spark Connect server in a process of its own, on loopback and a free port, until the context ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

SECONDS = 120
SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"


@contextmanager
def spark_connect(jars: Sequence[Path], folder: Path, settings: Mapping[str, str], python: str = sys.executable) -> Iterator[str]:
    """Gives the server's address, as `SPARK_REMOTE` names it.

    Args:
        jars: what Spark needs beyond its own.
        folder: for its log, and whatever it leaves.
        settings: Spark's own; Delta's among them.
        python: that of the workers.
    """
    import pyspark

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    asked = {"spark.connect.grpc.binding.address": "127.0.0.1", "spark.connect.grpc.binding.port": str(port), **settings}
    submit = [Path(pyspark.__file__).parent / "bin" / "spark-submit", "--class", SERVER, "--jars", ",".join(map(str, jars))]
    command = [*submit, *(word for name, value in asked.items() for word in ("--conf", f"{name}={value}")), "spark-internal"]
    log = folder / "connect.log"
    with log.open("wb") as out:
        workers = {"PYSPARK_PYTHON": python, "SPARK_LOCAL_IP": "127.0.0.1"}
        mine = {name: value for name, value in os.environ.items() if name != "SPARK_REMOTE"}
        server = subprocess.Popen(command, cwd=folder, stdout=out, stderr=out, env={**mine, **workers})
        try:
            wait(port, server, log)
            yield f"sc://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(60)


def wait(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    """Until it answers."""
    deadline = time.monotonic() + SECONDS
    while True:
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.2)
        else:
            return
