"""What a Kafka broker runs on: Java, and the jars that `kafka-jars.txt` pins by their sha256, below `.tools/kafka`.

`spark_jars.py` gets Spark's jars by the same means.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
JARS = ROOT / ".tools" / "kafka"
PINNED = ROOT / "scripts" / "kafka-jars.txt"
REPOSITORY = os.environ.get("LAKEWARDEN_MAVEN") or "https://repo1.maven.org/maven2"
OLDEST_JAVA = 17
PACKAGES = ("openjdk-17-jre-headless", "default-jre-headless")  # a newer Debian has only the second
DEBIAN = Path("/etc/debian_version")
ATTEMPTS = 3
TIMEOUT_SECONDS = 30
PARALLEL = 8


class BrokerError(Exception):
    """Something that a user can act on: one sentence of what happened, and what to do next."""

    def __init__(self, what: str, then: str) -> None:
        super().__init__(f"{what}\nnext: {then}")


class UnavailableError(BrokerError):
    """Java or the jars can't be had here."""


def find_java(*, install: bool = False, what: str = "Kafka") -> str:
    """Path of a Java that is new enough, by JAVA_HOME or PATH; with `install` also by apt-get, as root on Debian."""
    home = os.environ.get("JAVA_HOME", "")
    seen = []
    for java in (os.path.join(home, "bin", "java") if home else None, shutil.which("java")):
        version = _java_version(java) if java else 0
        if java and version >= OLDEST_JAVA:
            return java
        if java:
            seen.append(f"{java} is version {version}" if version else f"{java} does not run")
    if install and _installed_by_apt():
        return find_java()
    found = "; ".join(seen) or f"JAVA_HOME is {home or 'empty'} and no java is on PATH"
    raise UnavailableError(
        f"{what} needs Java {OLDEST_JAVA} or later: {found}.",
        f"install it (Debian and Ubuntu: apt-get install {PACKAGES[0]}), or point JAVA_HOME at one, and run the same command again",
    )


def class_path(folder: Path = JARS, repository: str = REPOSITORY, pinned: Path = PINNED) -> str:
    """The class path of the pinned jars, the broker's without arguments; downloads those that are missing or damaged."""
    listed = _listed(pinned)
    if _wanting(folder, listed):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with locked(folder.with_name(f"{folder.name}.lock")):
                _download(folder, repository, _wanting(folder, listed))  # another process may have brought them meanwhile
        except OSError as error:
            raise UnavailableError(f"Can't write jars to {folder}: {error.strerror}.", "make room or give access there") from None
    return os.pathsep.join(str(folder / Path(path).name) for path in listed)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file's lock; whoever comes later waits."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _java_version(java: str) -> int:
    """Return Java's major version; 0 where it does not run."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=True, timeout=60).stderr
    except (OSError, subprocess.SubprocessError):
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found[1]) if found else 0


def _installed_by_apt() -> bool:
    """Install Java as root on Debian; False where that is not possible."""
    apt = shutil.which("apt-get")
    if not apt or os.geteuid() != 0 or not DEBIAN.exists():
        return False
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    installs = [[apt, "install", "-y", "--no-install-recommends", package] for package in PACKAGES]
    for command in (
        installs[0],
        [apt, "update"],
        *installs,
    ):  # without update first: where the lists are there, that takes long for nothing
        print(f"kafka: no Java {OLDEST_JAVA} here; {' '.join(command)}", file=sys.stderr)
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode == 0 and command[1] == "install":
            return True
    return False


def _listed(pinned: Path) -> dict[str, str]:
    """Return the jars' paths in a Maven repository, and the sha256 of each."""
    lines = [line.split() for line in pinned.read_text().splitlines() if not line.startswith("#")]
    return {path: sha256 for sha256, path in lines}


def _wanting(folder: Path, listed: dict[str, str]) -> dict[str, str]:
    """Return those of the jars that aren't there as they should be."""
    return {path: sha256 for path, sha256 in listed.items() if _sha256(folder / Path(path).name) != sha256}


def _sha256(path: Path) -> str:
    """Return a file's sha256; empty where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def _download(folder: Path, repository: str, wanted: dict[str, str]) -> None:
    if not wanted:
        return
    print(f"{folder.name}: getting {len(wanted)} jars from {repository} into {folder}", file=sys.stderr)
    with ThreadPoolExecutor(PARALLEL) as pool:
        jobs = [pool.submit(_fetch, f"{repository.rstrip('/')}/{path}", folder / Path(path).name, wanted[path]) for path in wanted]
        try:
            for job in as_completed(jobs):
                job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)  # what failed for one fails for the others
            raise


def _fetch(url: str, to: Path, sha256: str) -> None:
    """Download a file; it appears under its name only once its sha256 is right."""
    part = to.with_name(f".{to.name}.part")  # nobody else's: the caller holds the lock
    problem = ""
    for attempt in range(ATTEMPTS):
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer, part.open("wb") as file:
                shutil.copyfileobj(answer, file)
        except urllib.error.HTTPError as error:
            error.close()
            problem = f"the server says {error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            problem = str(getattr(error, "reason", None) or error or type(error).__name__)
        else:
            got = _sha256(part)
            if got == sha256:
                part.replace(to)
                return
            part.unlink()
            problem = f"its sha256 is {got} and should be {sha256}"
        if attempt + 1 < ATTEMPTS and not url.startswith("file:"):
            time.sleep(attempt + 1)
    raise UnavailableError(
        f"Can't get {url}: {problem}.",
        "look at the network (HTTPS_PROXY and SSL_CERT_FILE are honoured) or name a mirror of Maven Central with --repository or "
        "LAKEWARDEN_MAVEN, and run the same command again",
    )
