"""A command as a task of a job: run by an interpreter that lives on after it, as Databricks runs the tasks of a wheel.

The console script's own entry ends its process, which such an interpreter takes for a crash. Here a command that went well returns, and
one that didn't raises, which is all that a job looks at.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from lakewarden.cli import main as cli
from lakewarden.cli.edge import OK

if TYPE_CHECKING:
    from typing import BinaryIO

HAND_ON: Final = "--hand-on="
"""Before the command: the field of its report that later tasks of the job ask for. Not an option of any command."""

_LEFT_EMPTY: Final = re.compile(r"(--[a-z-]+=)?")


def main() -> None:
    """Run the command that `sys.argv` names, show its report on `sys.stdout`, and return; the entry point `lakewarden-job`.

    `--option=` without a value is left out: so a job's parameter is optional where its default is empty. With `--hand-on=FIELD` before
    the command, that field of its JSON report becomes a task value of the same name: `{{tasks.TASK.values.FIELD}}`.

    Raises:
        RuntimeError: the command's exit code isn't 0, or there is nothing to hand on. What happened stands on stderr, or in the report.
    """
    field, arguments = arranged(sys.argv[1:])
    values = _task_values() if field else None  # before the command: what can't be handed on isn't begun
    with _caught() as caught:
        code = cli.main(arguments)
        sys.stdout.flush()
        caught.seek(0)
        report = caught.read().decode("utf-8", errors="backslashreplace")
    sys.stdout.write(report)
    sys.stdout.flush()
    sys.stderr.flush()
    if code != OK:
        raise RuntimeError(f"lakewarden {' '.join(_words(arguments))} ended with exit code {code}")
    if values is not None:
        values.set(key=field, value=_field(report, field))


def arranged(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """The field to hand on (or nothing), and the command with its arguments, those that were left empty taken out."""
    field = arguments[0].removeprefix(HAND_ON) if arguments and arguments[0].startswith(HAND_ON) else ""
    return field, [given for given in arguments if not _LEFT_EMPTY.fullmatch(given) and not given.startswith(HAND_ON)]


@contextlib.contextmanager
def _caught() -> Iterator[BinaryIO]:
    """What is written to file descriptor 1 meanwhile: there a report goes, and the host's `sys.stdout` may be something else."""
    sys.stdout.flush()
    kept = os.dup(1)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 1)
        try:
            yield file
        finally:
            os.dup2(kept, 1)
            os.close(kept)


def _words(arguments: Sequence[str]) -> Iterator[str]:
    """The command's name and what it works on; not its options, which may be long."""
    for given in arguments:
        if given.startswith("-"):
            return
        yield given


def _task_values() -> Any:  # noqa: ANN401  # Databricks' own object, which has no types
    try:
        return importlib.import_module("databricks.sdk.runtime").dbutils.jobs.taskValues
    except (ImportError, AttributeError, ValueError) as error:
        raise RuntimeError(f"{HAND_ON}FIELD is for a task of a Databricks job, and this is none ({error}). Nothing was done.") from error


def _field(report: str, name: str) -> object:
    lines = report.splitlines()
    try:
        return json.loads(lines[-1])[name]
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise RuntimeError(f"the report has no field {name!r} to hand on: give the command --json, and a field that it has") from error
