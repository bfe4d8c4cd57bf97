"""`lakewarden`: the Typer application, and the process's entry and exit."""

from __future__ import annotations

import atexit
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from lakewarden.cli import (
    backfill,
    compact,
    demo,
    events,
    incident,
    model,
    models,
    pins,
    proof,
    receipts,
    references,
    releases,
    snapshot,
    swap,
    tables,
)
from lakewarden.cli.edge import INTERRUPTED, OK, READER_GONE, explain, interrupted, tell
from lakewarden.cli.face import write_json
from lakewarden.cli.options import TaughtGroup, commands, examples
from lakewarden.errors import LakewardenError


class Root(TaughtGroup):
    """The top of the command line."""

    order = (
        "demo",
        "init",
        "simulate",
        "reference",
        "train",
        "model",
        "stream",
        "status",
        "tables",
        "sql",
        "verify",
        "conserve",
        "replay",
        "backfill",
        "snapshot",
        "compact",
        "pins",
        "release",
        "incident",
        "evidence",
        "receipts",
    )


app = commands(
    cls=Root,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 110,
        # An absent --help is told apart from None here, or Typer loads Pydantic to do so and the help takes twice as long.
        "default_map": {
            "help": False,
            **{
                group: {"help": False}
                for group in ("reference", "model", "release", "replay", "backfill", "snapshot", "pins", "incident", "receipts")
            },
        },
    },
    epilog=examples(
        "lakewarden demo                                  # three days end to end, in two minutes",
        "export LAKEWARDEN_LAKE=./lake                    # instead of --lake on every command",
        "lakewarden init",
        "lakewarden simulate --out sim --seed 7 --days 3  # events, labels and reference data",
        "lakewarden reference import sim/reference",
        "lakewarden train --from sim/labels/labels.csv --source sim",
        "lakewarden stream --source sim --once",
        "lakewarden status",
        'lakewarden sql "SELECT risk_band, count(*) AS n FROM risk_scores_gold GROUP BY 1"',
        "lakewarden COMMAND --help                        # each command has its own examples",
    ),
)


@app.callback(invoke_without_command=True)
def lakewarden(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    as_json: Annotated[bool, typer.Option("--json", hidden=True)] = False,
) -> None:
    """Score transactions for compliance, and prove every score.

    Events go in; scored and explained transactions come out, exactly once, and any day can be derived again and compared.
    """
    if version:
        from lakewarden import __version__

        if as_json:
            write_json({"ok": True, "version": __version__}, sys.stdout)
        else:
            typer.echo(f"lakewarden {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
    elif as_json:
        raise typer.BadParameter(f"--json goes behind the command: lakewarden {ctx.invoked_subcommand} ... --json", ctx=ctx)


for part in (demo.app, tables.app, events.app, models.app, proof.app, compact.app, incident.evidence_app):
    app.add_typer(part)
app.add_typer(references.app, name="reference")
app.add_typer(model.app, name="model")
app.add_typer(releases.app, name="release")
app.add_typer(swap.app, name="replay")
app.add_typer(backfill.app, name="backfill")
app.add_typer(snapshot.app, name="snapshot")
app.add_typer(pins.app, name="pins")
app.add_typer(incident.app, name="incident")
app.add_typer(receipts.app, name="receipts")


def _open_closed_streams() -> None:
    """Give a process that was started with `>&-` or `2>&-` a place to write to, so that nothing else takes that number."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, os.O_WRONLY)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8"))


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0 exactly when the command's report is ok."""
    as_json = "--json" in arguments  # read before parsing, so that a usage error is JSON too
    debug = os.environ.get("LAKEWARDEN_DEBUG") == "1"
    if not debug:
        warnings.simplefilter("ignore")
    try:
        code = typer.main.get_command(app).main(list(arguments), prog_name="lakewarden", standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:
            return tell(interrupted(), as_json)
        return code if isinstance(code, int) else OK
    except (BrokenPipeError, SystemExit):  # Typer turns a broken pipe into SystemExit; nothing else here raises it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return READER_GONE
    except Exception as error:  # noqa: BLE001  # the edge: whatever nobody foresaw ends here, in words
        if debug and not isinstance(error, LakewardenError | typer.TyperException):
            traceback.print_exc()
        return tell(explain(error), as_json)


def run() -> NoReturn:
    """The console script's entry.

    Ends the process without the interpreter's own end: libraries leave threads behind (an interrupted stream, a scan that a LIMIT
    cut short) that can abort or hang it then, and the exit code must stay what the report says. All commits are safe against a kill.
    """
    _open_closed_streams()
    code = main(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = READER_GONE
    atexit._run_exitfuncs()  # temporary folders
    os._exit(code)
