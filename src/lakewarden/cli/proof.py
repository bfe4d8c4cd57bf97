"""`verify`, `conserve`: proofs that anyone can repeat."""

from __future__ import annotations

from lakewarden.cli.face import Face
from lakewarden.cli.lakes import opened
from lakewarden.cli.options import DateOption, Engine, EngineOption, JsonOption, LakeOption, TaughtCommand, commands, examples, parsed_date

app = commands()


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden verify --lake ./lake --date 2026-03-01",
        "lakewarden verify --lake ./lake --date 2026-03-01 --json | jq .differences",
        "lakewarden verify --lake ./lake --date 2026-03-01 --engine spark   # whichever engine wrote it",
    ),
)
def verify(date: DateOption, engine: EngineOption = Engine.embedded, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Derive a date again from bronze and compare every row.

    Uses the releases that were recorded when the rows were first written. Prints the first differences and ends with
    exit code 1 when there are any. Nothing is changed.
    """
    with Face("verify", as_json) as face:
        day = parsed_date(date)
        face.show(opened(lake, engine).verify(day, on_progress=face.progress))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden conserve --lake ./lake --date 2026-03-01",
        "lakewarden conserve --lake ./lake --date 2026-03-01 --json",
    ),
)
def conserve(date: DateOption, engine: EngineOption = Engine.embedded, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """State, by count and amount, that nothing was lost.

    received = bronze; bronze = silver + dead letters + duplicates; silver = gold. Ends with exit code 1 when an equation
    does not hold.
    """
    with Face("conserve", as_json) as face:
        day = parsed_date(date)
        face.show(opened(lake, engine).conserve(day))
