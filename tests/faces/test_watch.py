"""`status --watch` and what `stream` tells beside its report, as the console script a user has."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest

import lakewarden

SCRIPT = Path(sys.executable).with_name("lakewarden")
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("LAKEWARDEN_", "OTEL_"))}
EVENT = {"event_time": "2026-01-05T10:00:00Z", "account_id": "A1", "amount": 1, "currency": "EUR", "channel": "POS", "country": "DE"}


@pytest.fixture
def lake(tmp_path) -> Path:
    lakewarden.init(tmp_path / "lake")
    return tmp_path / "lake"


@pytest.fixture
def events(tmp_path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jsonl").write_text("".join(json.dumps({**EVENT, "transaction_id": f"T{n}"}) + "\n" for n in range(20)))
    return folder


def started(*arguments: object, **options: object) -> subprocess.Popen:
    command = [SCRIPT, *map(str, arguments)]
    return subprocess.Popen(
        command, text=True, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


def ended(process: subprocess.Popen, number: int = signal.SIGINT) -> tuple[int, str, str]:
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_watching_prints_an_object_a_line_and_leaves_with_0(lake: Path, number: int):
    process = started("status", "--lake", lake, "--watch", "--interval", 0.1, "--json")
    looks = [json.loads(process.stdout.readline()) for _ in range(3)]
    code, rest, err = ended(process, number)
    looks += [json.loads(line) for line in rest.splitlines()]
    assert (code, err) == (0, "")
    assert all(look["ok"] and look["state"] is None for look in looks)
    assert len({look["time"] for look in looks}) == len(looks)


def test_without_a_terminal_it_is_lines_too(lake: Path):
    process = started("status", "--lake", lake, "--watch", "--interval", 0.1)
    assert json.loads(process.stdout.readline())["published"]["point"] == 0
    assert ended(process)[0] == 0


def test_a_running_stream_is_watched_scraped_and_logged(lake: Path, events: Path, tmp_path: Path):
    stream = started("stream", "--lake", lake, "--source", events, "--metrics-port", 0, "--log", tmp_path / "log", "--json")
    url = re.fullmatch(r"Metrics at (http://127\.0\.0\.1:\d+/metrics)\n", stream.stderr.readline())[1]
    watcher = started("status", "--lake", lake, "--watch", "--interval", 0.1, "--json")
    while (look := json.loads(watcher.stdout.readline()))["state"] != "streaming" or look["pulse"]["rows"] < 20:
        assert stream.poll() is None
    assert look["stream"]["run_id"] == look["pulse"]["run_id"]
    assert (look["pulse"]["counts"]["gold"], look["pulse"]["metrics_url"]) == (20, url)
    with build_opener(ProxyHandler({})).open(url, timeout=10) as answer:
        assert b"lakewarden_events_total 20.0" in answer.read()
    code, out, _ = ended(stream)
    assert (code, json.loads(out)["rows"]) == (0, 20)
    while (look := json.loads(watcher.stdout.readline()))["state"] != "stopped":
        assert look["state"] in ("streaming", None)
    assert ended(watcher)[0] == 0
    assert [json.loads(line)["event"] for line in (tmp_path / "log").read_text().splitlines()][-1] == "stream.stopped"


def test_with_the_log_on_stderr_and_json_there_is_nothing_else(lake: Path, events: Path):
    stream = started("stream", "--lake", lake, "--source", events, "--metrics-port", 0, "--log", "-", "--log-level", "debug", "--json")
    first = json.loads(stream.stderr.readline())
    assert (first["event"], first["metrics_url"][:17]) == ("stream.started", "http://127.0.0.1:")
    while json.loads(stream.stderr.readline())["event"] != "micro_batch.published":
        pass
    code, out, err = ended(stream)
    assert (code, json.loads(out)["ok"]) == (0, True)
    assert json.loads(err.splitlines()[-1])["event"] == "stream.stopped"
    assert all(json.loads(line) for line in err.splitlines())


def test_a_taken_port_is_a_clear_error(cli, lake: Path, events: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = cli("stream", "--lake", lake, "--source", events, "--once", "--metrics-port", port, "--json").data["error"]
    assert error["kind"] == "ConfigurationError"
    assert str(port) in error["what"]
    assert "--metrics-port" in error["next"]


def said(terminal: int) -> bytes:
    """What was written to a terminal within a moment."""
    try:
        return os.read(terminal, 65536) if select.select([terminal], [], [], 0.2)[0] else b""
    except OSError:  # Linux ends a terminal without writers this way
        return b""


def test_on_a_terminal_it_is_drawn_and_leaves_with_0(lake: Path, events: Path):
    lakewarden.open(lake).stream(events, once=True)
    main, child = pty.openpty()
    environment = {**ENVIRONMENT, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    command = [SCRIPT, "status", "--lake", lake, "--watch", "--interval", "0.1"]
    process = subprocess.Popen(command, stdin=child, stdout=child, stderr=child, env=environment)
    os.close(child)
    drawn, deadline = b"", time.monotonic() + 60
    try:
        while b"dead letters" not in drawn and time.monotonic() < deadline:
            drawn += said(main)
        assert b"dead letters" in drawn
        process.send_signal(signal.SIGINT)
        while process.poll() is None and time.monotonic() < deadline:
            drawn += said(main)
    finally:
        process.kill()
        code = process.wait(60)
        os.close(main)
    assert code == 0
    assert "stopped" in drawn.decode()
    assert b"\x1b[?1049h" in drawn  # the alternate screen: what stood in the terminal before comes back
    assert b"Traceback" not in drawn
