"""A broker's process, as anybody finds it: by the note that its starter left in its folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from kafka_jars import BrokerError

STOP_SECONDS = 20


def running(data: Path) -> dict[str, Any] | None:
    """The `pid` and `port` of the broker that runs in a folder; None where none does."""
    try:
        state: dict[str, Any] = json.loads(state_file(data).read_text())
        return state if os.fsencode(configuration(data)) in _command_line(state["pid"]) else None  # a process id may be another's by now
    except (FileNotFoundError, ValueError, KeyError):
        return None


def stop(data: Path) -> int | None:
    """Stop the broker that runs in a folder, whoever started it; its process id, or None where none ran."""
    state = running(data)
    if state is None:
        return None
    pid = int(state["pid"])
    for act, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
        try:
            os.kill(pid, act)
            os.kill(pid, signal.SIGCONT)  # it may be paused
        except ProcessLookupError:
            break
        except PermissionError:
            raise BrokerError(f"Process {pid}, the broker of {data}, is another user's.", "stop it as that user") from None
        deadline = time.monotonic() + seconds
        while running(data) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not running(data):
            break
    state_file(data).unlink(missing_ok=True)
    return pid


def state_file(data: Path) -> Path:
    """Where a broker's starter notes its `pid` and `port`."""
    return data / "broker.json"


def configuration(data: Path) -> Path:
    """What the broker reads; its process is known by it."""
    return data.resolve() / "server.properties"


def _command_line(pid: int) -> bytes:
    """Return a process's command line; empty where there is none, or where it has ended and nobody asked yet how."""
    if os.path.isdir("/proc/self"):
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return b""
    return subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, check=False).stdout


def guard_of(pid: int) -> subprocess.Popen[bytes]:
    """Start a process that kills the broker once this one has ended, even if it was killed: the pipe between them closes then."""
    return subprocess.Popen(["/bin/sh", "-c", 'read -r _; kill -9 "$0"', str(pid)], stdin=subprocess.PIPE, start_new_session=True)
