"""Which engine a command runs on: asked for, taken from the environment, refused."""

import shlex
import sys

import pytest
import typer

import lakewarden
from lakewarden.app_engine import ENGINES
from lakewarden.cli.main import app
from lakewarden.cli.options import Engine
from lakewarden.errors import LakeError


def leaves(command, path=()):
    if hasattr(command, "commands"):
        for name, child in command.commands.items():
            yield from leaves(child, (*path, name))
    else:
        yield " ".join(path), command


COMMANDS = dict(leaves(typer.main.get_command(app)))
ON_AN_ENGINE = {
    name: command for name, command in COMMANDS.items() if any("--engine" in getattr(parameter, "opts", []) for parameter in command.params)
}


@pytest.fixture
def without_spark(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)


@pytest.fixture
def lake(tmp_path):
    return lakewarden.init(tmp_path / "lake").house.store.root


@pytest.fixture
def asked(monkeypatch):
    """The engines that lakes were opened on; none of them is opened any further."""
    engines = []

    def opened(path, *, engine="embedded"):
        engines.append(engine)
        raise LakeError("closed", state="nothing was done", next="nothing")

    monkeypatch.setattr("lakewarden.app.open", opened)
    return engines


def example(name):
    """A command's first example, as arguments, without its engine."""
    return shlex.split(COMMANDS[name].epilog.splitlines()[0].split("lakewarden ", 1)[1], comments=True)


def test_the_choices_are_the_engines_that_there_are():
    assert tuple(one.value for one in Engine) == ENGINES


def test_what_works_on_tables_has_the_option_and_what_looks_or_signs_has_not():
    steps = ("plan", "run", "validate", "swap", "undo", "clean")
    works = {
        "stream",
        "verify",
        "conserve",
        "compact",
        "snapshot take",
        *(f"{of} {step}" for of in ("replay", "backfill") for step in steps),
    }
    assert set(ON_AN_ENGINE) == works


@pytest.mark.parametrize("name", ON_AN_ENGINE)
def test_a_command_opens_its_lake_on_the_engine_that_is_asked_for(face, asked, name):
    for options in ((), ("--engine", "spark"), ("--engine=embedded",)):
        assert face(*example(name), "--lake", "somewhere", *options).code == 1
    assert asked == ["embedded", "spark", "embedded"]


def test_the_engine_may_come_from_the_environment_and_the_option_wins(face, asked):
    on_spark = {"LAKEWARDEN_ENGINE": "spark"}
    face("verify", "--date", "2026-01-05", "--lake", "x", env=on_spark)
    face("verify", "--date", "2026-01-05", "--lake", "x", "--engine", "embedded", env=on_spark)
    face("status", "--lake", "x", env=on_spark)
    face("verify", "--date", "2026-01-05", "--lake", "x", env={"LAKEWARDEN_ENGINE": ""})
    assert asked == ["spark", "embedded", "embedded", "embedded"]


@pytest.mark.parametrize(("options", "env"), [(("--engine", "flink"), {}), ((), {"LAKEWARDEN_ENGINE": "flink"})])
def test_an_engine_that_is_not_there_is_refused(face, asked, options, env):
    ran = face("stream", "--source", "x", "--lake", "x", *options, env=env)
    assert (ran.code, ran.stdout, asked) == (2, "", [])
    assert "--engine" in ran.stderr
    assert "'flink' is not one of 'embedded', 'spark'" in ran.stderr
    assert "next: lakewarden stream --help" in ran.stderr


@pytest.mark.usefixtures("without_spark")
def test_without_pyspark_it_is_said_what_to_install(face, lake):
    ran = face("verify", "--date", "2026-01-05", "--lake", lake, "--engine", "spark")
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr.splitlines() == [
        "error: PySpark isn't installed, and the Spark engine needs it.",
        "state: nothing was changed",
        "next: pip install 'lakewarden[spark]'  (in a checkout: make spark)",
    ]


@pytest.mark.usefixtures("without_spark")
def test_a_stream_that_finds_no_pyspark_leaves_the_lake_as_it_was(face, lake, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one.jsonl").write_text('{"transaction_id": "T1"}\n')
    before = lakewarden.open(lake).status().data["published"]
    ran = face("stream", "--source", "in", "--once", "--lake", lake, "--json", env={"LAKEWARDEN_ENGINE": "spark"})
    assert ran.code == 1
    assert ran.data["error"]["kind"] == "ConfigurationError"
    assert ran.data["error"]["next"].startswith("pip install 'lakewarden[spark]'")
    assert lakewarden.open(lake).status().data["published"] == before
    with lakewarden.open(lake).writing("run-after"):  # nobody holds it
        pass
