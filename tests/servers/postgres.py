"""PostgreSQL as a fixture: a cluster of our own in a temporary folder, behind a Unix socket only, stopped at the end.

Tests that use it are skipped, with the reason, where there is no PostgreSQL and it can't be installed.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

DEBIAN = Path("/usr/lib/postgresql")
USERS = ("postgres", "nobody")
"""Who runs the server where the tests are root's: it refuses to be."""

INSTALL_SECONDS = 240
START_SECONDS = 60


class Postgres:
    """A running server.

    Args:
        folder: holds the cluster and the socket.
    """

    def __init__(self, folder: Path) -> None:
        self._socket = folder

    def url(self, database: str) -> str:
        """The address of a database, as `LAKEWARDEN_DATABASE_URL` takes it."""
        return f"postgresql+psycopg://tests@/{database}?host={self._socket}"

    def new_database(self) -> str:
        """Make an empty database and return its address."""
        import psycopg

        name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(host=str(self._socket), user="tests", dbname="postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # our own name
        return self.url(name)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """The server, one for all tests of a process."""
    pytest.importorskip("psycopg", reason="psycopg isn't installed")
    programs, run_as = _programs(), _run_as()
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # not pytest's folder: another user has to reach it, and a socket's path must be short
    server: subprocess.Popen[bytes] | None = None
    try:
        folder.chmod(0o755)
        place = folder / "server"
        place.mkdir()
        if run_as:
            shutil.chown(place, run_as[1])
        as_user = ["setpriv", "--reuid", run_as[0], "--regid", run_as[0], "--clear-groups"] if run_as else []
        made = subprocess.run(
            [*as_user, programs / "initdb", "-D", place / "data", "-U", "tests", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            cwd=place,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        if made.returncode:
            pytest.skip(f"PostgreSQL can't make a cluster here: {made.stderr.strip()[-300:]}")
        options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={place}", "-c", "fsync=off", "-c", "shared_buffers=16MB"]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen([*as_user, programs / "postgres", "-D", place / "data", *options], cwd=place, stdout=log, stderr=log)
        _wait_until_it_answers(server, place, folder / "log")
        yield Postgres(place)
    finally:
        if server is not None:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> str:
    """The address of a fresh database."""
    return postgres_server.new_database()


def _programs() -> Path:
    """Where `initdb` and `postgres` are; installs them as root where they are missing, else skips the test."""
    found = _found()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        with (Path(tempfile.gettempdir()) / "lakewarden-tests-postgres.lock").open("w") as lock:  # several test processes start at once
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = _found()
            if found is None:
                _install()
                found = _found()
    if found is None:
        pytest.skip("PostgreSQL isn't installed: there is no initdb on PATH or below /usr/lib/postgresql")
    return found


def _found() -> Path | None:
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(DEBIAN.glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


def _install() -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-q", "-y", "--no-install-recommends", "postgresql"]):
        try:
            subprocess.run(command, env=environment, capture_output=True, timeout=INSTALL_SECONDS, check=True)
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"PostgreSQL isn't installed, and {' '.join(command[:2])} failed: {error}")


def _run_as() -> tuple[str, int] | None:
    """The user that the server runs as, by ids; None: the one who runs the tests."""
    if os.geteuid() != 0:
        return None
    if not shutil.which("setpriv"):
        pytest.skip("PostgreSQL doesn't run as root, and there is no setpriv to run it as another user")
    for name in USERS:
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return str(found.pw_uid), found.pw_uid
    pytest.skip(f"PostgreSQL doesn't run as root, and there is none of the users {', '.join(USERS)}")


def _wait_until_it_answers(server: subprocess.Popen[bytes], place: Path, log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            psycopg.connect(host=str(place), user="tests", dbname="postgres", connect_timeout=5).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"PostgreSQL did not answer within {START_SECONDS} s: {log.read_text(errors='replace')[-500:]}")
