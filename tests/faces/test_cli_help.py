"""Help: quick, complete, and taught by example."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer

from lakewarden.cli.main import app

HEAVY = (
    "catboost",
    "cryptography",
    "deltalake",
    "duckdb",
    "jsonschema",
    "lakewarden.app",
    "mlflow",
    "numba",
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "pydantic",
    "pyspark",
    "rapidfuzz",
    "rich.console",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "yaml",
)


def leaves(command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    if hasattr(command, "commands"):
        for name, child in command.commands.items():
            yield from leaves(child, (*path, name))
    else:
        yield path, command


LAKEWARDEN = typer.main.get_command(app)
COMMANDS = dict(leaves(LAKEWARDEN))
NAMES = [" ".join(path) for path in COMMANDS]


def parsed(arguments: list[str]) -> str:
    """The full path of the command that these arguments reach; raises a usage error where they don't parse."""
    command, name, context = LAKEWARDEN, "lakewarden", None
    while hasattr(command, "commands"):
        context = command.make_context(name, list(arguments), parent=context)
        name, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
    return command.make_context(name, list(arguments), parent=context).command_path


def loaded_by(code: str) -> list[str]:
    program = f"import io, json, sys\n{code}\nprint(json.dumps([name for name in {HEAVY!r} if name in sys.modules]), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stderr.splitlines()[-1])


@pytest.mark.parametrize(
    "code",
    [
        "import lakewarden; lakewarden.__version__",
        "import lakewarden.cli.main",
        "from lakewarden.cli.main import main; main(['--help'])",
        "from lakewarden.cli.main import main; main(['stream', '--help'])",
        "from lakewarden.cli.main import main; main(['reference', 'import', '--help'])",
        "from lakewarden.cli.main import main; main(['incident', 'open', '--help'])",
        "from lakewarden.cli.main import main; main(['receipts', 'verify', '--help'])",
    ],
)
def test_nothing_heavy_loads_for_the_help(code: str):
    assert loaded_by(code) == []


def test_the_check_for_heavy_modules_sees_them():
    assert "polars" in loaded_by("import polars")


def test_the_commands_that_users_count_on_are_all_there():
    assert set(NAMES) >= {
        "init",
        "simulate",
        "train",
        "stream",
        "status",
        "tables",
        "sql",
        "verify",
        "conserve",
        "replay plan",
        "replay run",
        "replay validate",
        "replay list",
        "replay show",
        "replay clean",
        "model list",
        "model show",
        "model rollback",
        "model watch",
        "model decisions",
        "model promote",
        "demo",
        "reference import",
        "reference list",
        "release create",
        "release list",
        "release show",
        "incident open",
        "incident list",
        "incident show",
        "incident note",
        "incident close",
        "evidence",
        "receipts list",
        "receipts show",
        "receipts verify",
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_examples_and_the_two_common_options(face, name: str):
    ran = face(*name.split(), "--help")
    assert ran.code == 0
    assert "\nExamples:\n" in ran.stdout
    assert f"  lakewarden {name}" in ran.stdout.split("\nExamples:\n")[1]
    assert "--lake PATH" in ran.stdout
    assert "--json" in ran.stdout


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_says_what_it_does(path: tuple[str, ...]):
    for parameter in COMMANDS[path].params:
        assert getattr(parameter, "help", None), f"{' '.join(path)} {parameter.name}"


@pytest.mark.parametrize("name", NAMES)
def test_every_example_parses_and_is_of_its_own_command(name: str):
    lines = [line for line in COMMANDS[tuple(name.split())].epilog.splitlines() if "lakewarden" in line]
    assert lines
    for line in lines:
        words = shlex.split(line.split("lakewarden ", 1)[1], comments=True)
        words = words[: next((at for at, word in enumerate(words) if word in "|>"), len(words))]
        assert parsed(words) == f"lakewarden {name}"


def test_without_arguments_the_help_is_shown(cli):
    ran = cli()
    assert (ran.code, ran.stderr) == (0, "")
    assert ran.stdout == cli("--help").stdout


def test_the_version_is_the_package_s(cli):
    import lakewarden as package

    assert cli("--version").stdout == f"lakewarden {package.__version__}\n"
    assert cli("--version", "--json").data == {"ok": True, "version": package.__version__}


def test_python_dash_m_is_the_same_command_line(cli):
    done = subprocess.run([sys.executable, "-m", "lakewarden", "--help"], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == cli("--help", env={"COLUMNS": "80"}).stdout
