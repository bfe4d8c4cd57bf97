"""Azurite, the emulator of Azure Blob storage, as a fixture: installed below `.tools`, started on a free port, stopped at the end.

Tests that use it are skipped, with the reason, where there is no Node.js or the package can't be installed.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import pytest

PACKAGE = "azurite@3"
TOOLS = Path(__file__).resolve().parents[2] / ".tools"
HOME = TOOLS / "azurite"
MAIN = HOME / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
INSTALL_SECONDS = 240
START_SECONDS = 60

# The emulator's one account and its key, the same for everybody: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Azurite:
    """A running emulator.

    Attributes:
        url: where it answers, without the account.
        options: what obstore and delta-rs take as storage options; with it goes `environment`.
        environment: variables that a process needs, which alone are enough for `az://container/path`.
    """

    url: str

    @property
    def options(self) -> dict[str, str]:
        return {"azure_storage_use_emulator": "true", "azure_allow_http": "true"}

    @property
    def environment(self) -> dict[str, str]:
        return {"AZURE_STORAGE_USE_EMULATOR": "true", "AZURE_ALLOW_HTTP": "true", "AZURITE_BLOB_STORAGE_URL": self.url}

    def new_container(self) -> str:
        """Make an empty container and return its name."""
        name = f"t{uuid.uuid4().hex}"
        path = f"/{ACCOUNT}/{name}"
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-12-02"}
        signed = "\n".join(
            ["PUT", *[""] * 11, *(f"{key}:{value}" for key, value in sorted(headers.items())), f"/{ACCOUNT}{path}", "restype:container"]
        )
        signature = base64.b64encode(hmac.new(base64.b64decode(KEY), signed.encode(), hashlib.sha256).digest()).decode()
        headers |= {"Authorization": f"SharedKey {ACCOUNT}:{signature}", "Content-Length": "0"}
        request = urllib.request.Request(f"{self.url}{path}?restype=container", method="PUT", headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 201
        return name


@pytest.fixture(scope="session")
def azurite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """The emulator, one for all tests of a process."""
    node = _installed()
    place = tmp_path_factory.mktemp("azurite")
    port = _free_port()
    command = [node, str(MAIN), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(place)]
    with (place / "server.log").open("wb") as log:
        server = subprocess.Popen([*command, "--skipApiVersionCheck", "--disableTelemetry", "--silent"], stdout=log, stderr=log)
    try:
        _wait_until_it_answers(server, port, place / "server.log")
        yield Azurite(f"http://127.0.0.1:{port}")
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.fixture
def azurite(azurite_server: Azurite, monkeypatch: pytest.MonkeyPatch) -> Azurite:
    """The emulator with its variables set in this process, so that `az://container/path` reaches it."""
    for name, value in azurite_server.environment.items():
        monkeypatch.setenv(name, value)
    return azurite_server


@pytest.fixture
def azure_root(azurite: Azurite) -> str:
    """`az://` and a fresh container, ready to be used by this process and by those that inherit its variables."""
    return f"az://{azurite.new_container()}"


def _installed() -> str:
    """Return Node.js's path, the package being there; skips the test otherwise."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node:
        pytest.skip("Azurite needs Node.js, which isn't on PATH")
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "azurite.lock").open("w") as lock:  # several test processes start at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not MAIN.exists():
            if not npm:
                pytest.skip("Azurite isn't installed and npm isn't on PATH")
            HOME.mkdir(exist_ok=True)
            command = [npm, "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(HOME), PACKAGE]
            try:
                done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
            except subprocess.TimeoutExpired:
                pytest.skip(f"npm could not install {PACKAGE} within {INSTALL_SECONDS} s")
            if done.returncode or not MAIN.exists():
                pytest.skip(f"npm could not install {PACKAGE}: {done.stderr.strip()[-300:]}")
    return node


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_it_answers(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/{ACCOUNT}?comp=list", timeout=5).close()
        except urllib.error.HTTPError as answer:
            answer.close()
            return  # it answers; that it refuses an unsigned request is as it should be
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(
        f"Azurite did not answer within {START_SECONDS} s (exit code {server.poll()}): {log.read_text(errors='replace')[-500:]}"
    )
