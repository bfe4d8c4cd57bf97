"""Errors at the edge: one JSON object or three plain lines, the right exit code, never a traceback."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(sys.executable).with_name("lakewarden")

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "NO_COLOR" and not name.startswith("LAKEWARDEN_")}
USAGE_ERRORS = {
    "an option is missing": ["stream"],
    "an option is unknown": ["stream", "--source", "x", "--frobnicate"],
    "a command is unknown": ["streem"],
    "a value is of the wrong kind": ["simulate", "--out", "x", "--days", "many"],
    "a value is out of range": ["simulate", "--out", "x", "--days", "0"],
    "a choice is unknown": ["simulate", "--out", "x", "--faults", "some"],
    "an argument is missing": ["sql"],
    "there is one argument too many": ["status", "now"],
    "a group has no command": ["release"],
    "no lake was named": ["status"],
    "a date is no date": ["verify", "--lake", "x", "--date", "yesterday"],
}


@pytest.mark.parametrize("arguments", USAGE_ERRORS.values(), ids=USAGE_ERRORS.keys())
def test_a_usage_error_is_json_when_json_was_asked_for(face, arguments: list[str]):
    ran = face(*arguments, "--json")
    assert ran.code == 2
    assert ran.data["error"].keys() == {"what", "state", "next", "kind", "transient"}
    assert ran.data["error"]["kind"] == "UsageError"
    assert ran.data["error"]["what"]
    assert ran.data["error"]["next"]
    assert ran.stderr == ""


@pytest.mark.parametrize("arguments", USAGE_ERRORS.values(), ids=USAGE_ERRORS.keys())
def test_a_usage_error_is_three_lines_on_stderr_without_json(cli, arguments: list[str]):
    ran = cli(*arguments)
    assert (ran.code, ran.stdout) == (2, "")
    assert [line.split(":")[0] for line in ran.stderr.splitlines()] == ["error", "state", "next"]


def test_a_command_that_was_nearly_right_is_suggested(cli):
    assert "Did you mean 'stream'?" in cli("streem").stderr


def test_json_before_the_command_is_told_where_it_goes(cli):
    ran = cli("--json", "status", "--lake", "x")
    assert ran.code == 2
    assert "lakewarden status ... --json" in ran.data["error"]["what"]


def test_the_lake_may_come_from_the_environment(cli, tmp_path):
    ran = cli("status", "--json", env={"LAKEWARDEN_LAKE": str(tmp_path / "nowhere")})
    assert ran.data["error"]["kind"] == "LakeError"
    assert "nowhere" in ran.data["error"]["what"]


def on_a_terminal(arguments: list[str], **env: str) -> str:
    """What the command writes when stdout and stderr are a terminal."""
    main, child = pty.openpty()
    process = subprocess.Popen(
        [SCRIPT, *arguments], stdin=child, stdout=child, stderr=child, env={**ENVIRONMENT, "TERM": "xterm-256color", **env}
    )
    os.close(child)
    said = b""
    try:
        while chunk := os.read(main, 65536):
            said += chunk
    except OSError:  # Linux ends a terminal without writers this way
        pass
    finally:
        os.close(main)
        process.wait(timeout=60)
    return said.decode()


def test_a_terminal_gets_a_panel_in_colour():
    said = on_a_terminal(["status"])
    assert "UsageError" in said
    assert "╭" in said
    assert "\x1b[31m" in said


def test_no_color_is_honoured():
    said = on_a_terminal(["status"], NO_COLOR="1")
    assert "╭" in said
    assert "\x1b[31m" not in said
    assert "\x1b[36m" not in said


def test_help_has_bold_headings_on_a_terminal_only(cli):
    assert "\x1b[1mExamples:\x1b[0m" in on_a_terminal(["stream", "--help"])
    assert "\x1b" not in on_a_terminal(["stream", "--help"], NO_COLOR="1")
    assert "\x1b" not in cli("stream", "--help").stdout


def test_a_reader_that_leaves_early_is_no_error():
    done = subprocess.run(
        f"{SCRIPT} --help | head -c 1", shell=True, capture_output=True, text=True, timeout=60, check=False, env=ENVIRONMENT
    )
    assert done.stdout == "U"
    assert done.stderr == ""


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_change_no_exit_code(closed: str):
    done = subprocess.run(f"{SCRIPT} status {closed}", shell=True, capture_output=True, text=True, timeout=60, check=False, env=ENVIRONMENT)
    assert done.returncode == 2
    assert done.stdout == ""
