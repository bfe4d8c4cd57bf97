"""The one place where errors become words, JSON and exit codes; no traceback gets past it."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from typer import TyperException

from lakewarden.cli.face import write_json
from lakewarden.errors import LakewardenError, Transient, UsageError

OK: Final = 0
NOT_OK: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130
READER_GONE: Final = 141

_STORAGE_ERRNOS: Final = {
    errno.ENOSPC: "free some space, then run the same command again",
    errno.EDQUOT: "raise the quota or free some space, then run the same command again",
    errno.EROFS: "choose a place that can be written to",
    errno.EACCES: "check who owns the file, or run as a user who may use it",
    errno.EPERM: "check who owns the file, or run as a user who may use it",
    errno.EIO: "check the disk, then run the same command again",
}


@dataclass(frozen=True)
class Failure:
    """An error as the user meets it.

    Attributes:
        what: what happened, with identifiers.
        state: what state remains.
        next: the command to run next, or advice.
        kind: the error's class, for scripts to branch on.
        transient: whether the same call may succeed later.
        code: the process's exit code.
    """

    what: str
    state: str
    next: str
    kind: str
    transient: bool = False
    code: int = NOT_OK


def explain(error: BaseException) -> Failure:
    """Put any error into words; one that nobody foresaw is written to a log file and named by a short id."""
    if isinstance(error, LakewardenError):
        code = USAGE if isinstance(error, UsageError) else NOT_OK
        return Failure(error.what, error.state, error.next, type(error).__name__, isinstance(error, Transient), code)
    if isinstance(error, TyperException):
        return _misused(error)
    if isinstance(error, KeyboardInterrupt):
        return interrupted()
    if isinstance(error, OSError) and error.errno in _STORAGE_ERRNOS:
        place = f" ({error.filename})" if error.filename else ""
        what = f"the storage refused: {error.strerror}{place}"
        return Failure(what, "what was committed before stays committed", _STORAGE_ERRNOS[error.errno], "StorageError", True)
    return _unforeseen(error)


def interrupted() -> Failure:
    """What a forced stop leaves."""
    state = "what was committed stays committed; nothing is half-visible"
    return Failure("interrupted", state, "run the same command again to carry on", "Interrupted", True, INTERRUPTED)


def tell(failure: Failure, as_json: bool) -> int:
    """Show the failure (JSON on stdout, or words on stderr) and return the exit code."""
    if as_json:
        error = asdict(failure)
        error.pop("code")
        write_json({"ok": False, "error": error}, sys.stdout)
    elif sys.stderr.isatty():
        _panel(failure)
    else:
        lines = [f"error: {failure.what}"]
        lines += [f"state: {failure.state}"] if failure.state else []
        lines += [f"next: {failure.next}"] if failure.next else []
        print("\n".join(lines), file=sys.stderr, flush=True)
    return failure.code


def _misused(error: TyperException) -> Failure:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "lakewarden"
    return Failure(error.format_message(), "nothing was done", f"{path} --help", "UsageError", code=USAGE)


def _unforeseen(error: BaseException) -> Failure:
    name = uuid4().hex[:8]
    text = "".join(traceback.format_exception(error))
    log = Path(tempfile.gettempdir()) / f"lakewarden-error-{name}.log"
    try:
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(f"lakewarden {' '.join(sys.argv[1:])}\n{text}")
        where = f"the details are in {log}; please report them"
    except OSError:  # the temporary folder is full or read-only, and that must not hide the error itself
        where = "the details could not be written; run again with LAKEWARDEN_DEBUG=1 to see them"
    what = f"internal error {name}: {type(error).__name__}"
    return Failure(what, "what was committed before stays committed", where, "InternalError")


def _panel(failure: Failure) -> None:
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    text = Text(failure.what, style="bold")
    if failure.state:
        text.append("\nState  ", style="dim not bold").append(failure.state, style="not bold")
    if failure.next:
        text.append("\nNext   ", style="dim not bold").append(failure.next, style="cyan not bold")
    Console(stderr=True).print(Panel(text, title=failure.kind, title_align="left", border_style="red", expand=False))
