"""One invocation's face: the only writer of stdout while a command works, and where its report is shown."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import date, time, timedelta
from typing import TYPE_CHECKING, Protocol, Self, TextIO

import typer

from lakewarden.cli.bars import Bars

if TYPE_CHECKING:
    from types import TracebackType

    from lakewarden.progress import OnProgress


class Report(Protocol):
    """What every method of the lake returns."""

    @property
    def ok(self) -> bool:
        """Whether the command did what it was asked, and found what it checks to be so."""
        ...

    def to_dict(self) -> dict[str, object]:
        """The report as data that JSON can hold."""
        ...


def ready(value: object) -> object:
    """`value` as JSON can hold it: times in ISO 8601, bytes as text, NaN and infinities as null, the rest as text."""
    result: object
    match value:
        case None | bool() | int() | str():
            result = value
        case float():
            result = value if math.isfinite(value) else None
        case date() | time():
            result = value.isoformat()
        case timedelta():
            result = value.total_seconds()
        case bytes() | bytearray() | memoryview():
            result = bytes(value).decode("utf-8", errors="backslashreplace")
        case Mapping():
            result = {str(key): ready(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            result = [ready(item) for item in value]
        case _:
            result = str(value)
    return result


def write_json(data: Mapping[str, object], out: TextIO) -> None:
    """Write `data` as one JSON object on one line."""
    out.write(json.dumps(ready(data), ensure_ascii=False, allow_nan=False) + "\n")
    out.flush()


class Face:
    """Keeps stdout for the report while a command works, draws progress, and shows the report.

    Libraries print to the process's stdout (some from C++), which would spoil the one JSON object that a script reads.
    So between enter and exit file descriptor 1 points at stderr, and only `show` holds the real one.
    """

    def __init__(self, command: str, as_json: bool) -> None:
        self._command = command
        self._as_json = as_json
        self._bars = Bars()
        self._out: TextIO = sys.stdout
        self._stack = ExitStack()

    @property
    def progress(self) -> OnProgress:
        """The callback for `on_progress`; draws on stderr, on a terminal only, from the second second on."""
        return self._bars.update

    @property
    def out(self) -> TextIO:
        """The real stdout, for a view that draws itself."""
        return self._out

    def line(self, report: Report) -> None:
        """Write a report as one JSON object on a line of its own, with more to follow."""
        write_json({**report.to_dict(), "ok": bool(report.ok)}, self._out)

    def __enter__(self) -> Self:
        sys.stdout.flush()
        kept, private = os.dup(1), os.dup(1)
        os.dup2(2, 1)
        self._stack.callback(_restore, kept)
        self._out = self._stack.enter_context(os.fdopen(private, "w", encoding="utf-8", errors="backslashreplace"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.close()
        self._stack.close()

    def show(self, report: Report) -> None:
        """Show the report; a report that is not ok ends the command with exit code 1.

        Raises:
            typer.Exit: with code 1 when the report is not ok.
        """
        self._bars.close()
        data = {"ok": report.ok, **report.to_dict()}
        data["ok"] = bool(report.ok)
        if self._as_json:
            write_json(data, self._out)
        else:
            from lakewarden.cli.render import render  # Rich loads here, after the work

            render(self._command, data, self._out)
        if not report.ok:
            raise typer.Exit(1)


def _restore(kept: int) -> None:
    sys.stdout.flush()
    os.dup2(kept, 1)
    os.close(kept)
