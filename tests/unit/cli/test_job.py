import importlib
import json
import os
import sys
import tomllib
import types
from pathlib import Path

import pytest

from lakewarden.cli import job

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a job's task in this interpreter, as its host does; gives what the task showed."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["lakewarden-job", *arguments])
        job.main()
        return capsys.readouterr().out

    return run


@pytest.fixture
def task_values(monkeypatch):
    """Stands in for Databricks' `dbutils.jobs.taskValues`, which exists inside a job only."""
    held = {}
    values = types.SimpleNamespace(set=lambda key, value: held.update({key: value}))
    runtime = types.ModuleType("databricks.sdk.runtime")
    runtime.dbutils = types.SimpleNamespace(jobs=types.SimpleNamespace(taskValues=values))
    for name in ("databricks", "databricks.sdk"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, runtime.__name__, runtime)
    return held


def descriptor(number):
    return os.fstat(number).st_dev, os.fstat(number).st_ino


def test_the_entry_point_is_declared():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["lakewarden-job"]
    module, _, name = declared.partition(":")
    assert getattr(importlib.import_module(module), name) is job.main


def test_commands_that_go_well_return_and_show_their_reports(run, tmp_path):
    before = descriptor(1)
    made = json.loads(run("init", "--json", f"--lake={tmp_path}/lake"))
    assert made["ok"] is True
    assert json.loads(run("status", "--json", f"--lake={tmp_path}/lake"))["ok"] is True  # the interpreter lived on
    assert descriptor(1) == before


def test_a_command_that_fails_raises_with_its_name_and_code(run, tmp_path, capsys):
    before = descriptor(1)
    with pytest.raises(RuntimeError, match=r"^lakewarden replay run replay-000000000000 ended with exit code 1$"):
        run("replay", "run", "replay-000000000000", f"--lake={tmp_path}/none")
    assert "error: " in capsys.readouterr().err
    assert descriptor(1) == before


def test_a_misused_command_raises(run, capsys):
    with pytest.raises(RuntimeError, match=r"^lakewarden conserve ended with exit code 2$"):
        run("conserve", "--date=", "--lake=somewhere")  # a job's parameter that was left empty, and is needed
    assert "--date" in capsys.readouterr().err


def test_what_was_left_empty_is_left_out_and_nothing_else():
    given = ["replay", "plan", "--release=", "--incident=", "", "--reason=a b", "--as-recorded", "=", "--", "-"]
    assert job.arranged(given) == ("", ["replay", "plan", "--reason=a b", "--as-recorded", "=", "--", "-"])


def test_a_field_of_the_report_is_handed_on(run, tmp_path, task_values):
    run("init", f"--lake={tmp_path}/lake")
    made = json.loads(run("--hand-on=id", "release", "create", "--json", f"--lake={tmp_path}/lake"))
    assert made["id"]
    assert task_values == {"id": made["id"]}


@pytest.mark.parametrize("arguments", [["--json", "--hand-on=nothing"], ["--hand-on=id"]], ids=["no such field", "no JSON"])
def test_a_field_that_is_not_there_raises(run, tmp_path, task_values, arguments):
    run("init", f"--lake={tmp_path}/lake")
    with pytest.raises(RuntimeError, match="no field"):
        run(arguments[-1], "release", "list", f"--lake={tmp_path}/lake", *arguments[:-1])
    assert task_values == {}


def test_what_failed_hands_nothing_on(run, tmp_path, task_values):
    with pytest.raises(RuntimeError, match="exit code 1"):
        run("--hand-on=ok", "status", "--json", f"--lake={tmp_path}/none")
    assert task_values == {}


def test_outside_a_job_nothing_is_begun_that_could_not_be_handed_on(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "databricks.sdk.runtime", None)
    with pytest.raises(RuntimeError, match="Nothing was done"):
        run("--hand-on=ok", "init", "--json", f"--lake={tmp_path}/lake")
    assert not (tmp_path / "lake").exists()
