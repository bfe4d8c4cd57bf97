"""The command line as a user has it: the installed console script in a process of its own, and its entry called in this one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from lakewarden.cli.main import main

SCRIPT = Path(sys.executable).with_name("lakewarden")


@dataclass(frozen=True)
class Ran:
    code: int
    stdout: str
    stderr: str

    @property
    def data(self) -> dict:
        """The one JSON object on stdout; fails when there is anything else."""
        lines = self.stdout.splitlines()
        assert len(lines) == 1, f"stdout held {len(lines)} lines:\n{self.stdout}\nstderr:\n{self.stderr}"
        data = json.loads(lines[0])
        assert isinstance(data, dict)
        assert (self.code == 0) is data["ok"], f"exit code {self.code} with ok={data['ok']}\n{self.stderr}"
        return data


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LAKEWARDEN_")}
    return {**kept, "COLUMNS": "120", **(extra or {})}


@pytest.fixture
def cli(tmp_path: Path) -> Callable[..., Ran]:
    def run(*arguments: object, env: Mapping[str, str] | None = None, cwd: Path = tmp_path, timeout: float = 120) -> Ran:
        done = subprocess.run(
            [SCRIPT, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=cwd,
            env=clean_environment(env),
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """As `cli`, without a new interpreter for each of many commands: what they say and their exit code are made before a process ends."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("LAKEWARDEN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: object, env: Mapping[str, str] | None = None) -> Ran:
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capfd.readouterr()
        assert "Traceback" not in said.out + said.err
        return Ran(code, said.out, said.err)

    return run
