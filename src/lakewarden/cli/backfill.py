"""`backfill plan`, `run`, `validate`, ...: bring historical files in, in front of all that a lake has (runbook section 5)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lakewarden.cli.face import Face
from lakewarden.cli.lakes import opened
from lakewarden.cli.options import (
    Engine,
    EngineOption,
    IncidentOption,
    JsonOption,
    LakeOption,
    TaughtCommand,
    TaughtGroup,
    commands,
    examples,
    parsed_date,
)


class Backfill(TaughtGroup):
    """The commands of a backfill, in the order in which they are run."""

    order = ("plan", "run", "validate", "approve", "swap", "can-undo", "undo", "list", "show", "clean")


app = commands(
    cls=Backfill,
    help="Bring historical files in, in front of all that the lake has; undo that.",
    epilog=examples(
        'lakewarden backfill plan --source history --reason "two years of cards" --lake ./lake',
        "lakewarden backfill run backfill-1f0c9a7b3d52 --lake ./lake",
        "lakewarden backfill validate backfill-1f0c9a7b3d52 --lake ./lake",
        "lakewarden backfill swap backfill-1f0c9a7b3d52 --lake ./lake",
        'lakewarden backfill undo backfill-1f0c9a7b3d52 --reason "the wrong files" --lake ./lake',
    ),
)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The backfill's id, as `backfill plan` and `backfill list` give it.")]


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        'lakewarden backfill plan --source history --reason "two years of cards" --line-of-business cards --lake ./lake',
        'lakewarden backfill plan --source cards.parquet --mapping cards.yaml --to 2018-04-30 --reason "onboarding" --lake ./lake',
        'lakewarden backfill plan --source history --reason "what if?" --dry-run --json | jq .predictions',
    ),
)
def plan(
    *,
    source: Annotated[str, typer.Option("--source", metavar="PATH", help="A file or a folder of historical events.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; goes into the plan.")],
    mapping: Annotated[Path | None, typer.Option("--mapping", metavar="FILE", help="YAML that maps other column names.")] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="The first event_date; without it, the oldest.")] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="The last event_date; without it, the last before live data.")
    ] = None,
    release: Annotated[
        str | None, typer.Option("--release", metavar="ID", help="Derive under this release: its id, or the beginning of it.")
    ] = None,
    line_of_business: Annotated[str | None, typer.Option("--line-of-business", metavar="TEXT", help="Whose events these are.")] = None,
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="What was agreed on; goes into the plan.")] = None,
    incident: IncidentOption = None,
    chunk_rows: Annotated[
        int | None, typer.Option("--chunk-rows", metavar="N", min=1, max=500_000, help="Events committed at a time (250000).")
    ] = None,
    sample_rows: Annotated[int | None, typer.Option("--sample-rows", metavar="N", min=1, help="Events read for the plan (200000).")] = None,
    most_dead: Annotated[
        float | None, typer.Option("--max-dead-letters", metavar="SHARE", min=0, max=1, help="Share that may be dead letters (0.05).")
    ] = None,
    most_live: Annotated[
        float | None, typer.Option("--max-live-ids", metavar="SHARE", min=0, max=1, help="Share of ids that live data may have (0.001).")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and store nothing.")] = False,
    engine: EngineOption = Engine.embedded,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at historical files, check what it takes to bring them in, predict, and store the plan.

    Nothing is loaded yet. Ends with exit code 1 when a precondition does not hold; each says what to do next.
    """
    with Face("backfill plan", as_json) as face:
        chosen = {
            "chunk_rows": chunk_rows,
            "sample_rows": sample_rows,
            "max_dead_letter_share": most_dead,
            "max_live_share": most_live,
        }
        face.show(
            opened(lake, engine).backfill_plan(
                source,
                reason=reason,
                mapping=mapping,
                first=None if first is None else parsed_date(first),
                last=None if last is None else parsed_date(last),
                release=release,
                incident=incident,
                line_of_business=line_of_business,
                note=note,
                dry_run=dry_run,
                settings={name: value for name, value in chosen.items() if value is not None},
            )
        )


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden backfill run backfill-1f0c9a7b3d52 --lake ./lake", "lakewarden backfill run backfill-1f0c9a7b3d52 --json | jq .loaded"
    ),
)
def run(backfill_id: IdArgument, engine: EngineOption = Engine.embedded, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Load the files of a plan into staging and derive them, into its sandbox.

    No production table is written. A run that was killed is carried on by the same command; no row is written twice.
    """
    with Face("backfill run", as_json) as face:
        face.show(opened(lake, engine).backfill_run(backfill_id, on_progress=face.progress))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden backfill validate backfill-1f0c9a7b3d52 --lake ./lake",
        "lakewarden backfill validate backfill-1f0c9a7b3d52 --json | jq '.gates[] | select(.ok | not)'",
    ),
)
def validate(backfill_id: IdArgument, engine: EngineOption = Engine.embedded, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Judge what was run, before anybody sees it.

    Conservation, data quality, dead letters, ids that live data have too, dates. Ends with exit code 1 when a gate stops.
    Leaves report.json and report.html in the backfill's folder.
    """
    with Face("backfill validate", as_json) as face:
        face.show(opened(lake, engine).backfill_validate(backfill_id))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden backfill approve backfill-1f0c9a7b3d52 --lake ./lake",
        "LAKEWARDEN_ACTOR=second.person lakewarden backfill approve backfill-1f0c9a7b3d52 --json | jq .who",
    ),
)
def approve(backfill_id: IdArgument, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Approve the swap of a validated backfill, as a second person.

    Binds to the plan and to the validation that you saw. `conf/operations.yaml` says which acts ask for it (`second_person`). Who
    planned the backfill can't approve it.
    """
    with Face("backfill approve", as_json) as face:
        face.show(opened(lake).backfill_approve(backfill_id))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden backfill swap backfill-1f0c9a7b3d52 --lake ./lake", "lakewarden backfill swap backfill-1f0c9a7b3d52 --json | jq .due"
    ),
)
def swap(backfill_id: IdArgument, engine: EngineOption = Engine.embedded, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Bring a validated backfill into every table at once.

    Readers see all of it or nothing. Rows that are there stay as they are; events that come from now on see the history.
    A stream that runs carries it out between two micro-batches; else this command does. Cut short, the same command finishes it.
    """
    with Face("backfill swap", as_json) as face:
        face.show(opened(lake, engine).backfill_swap(backfill_id, on_progress=face.progress))


@app.command(
    "can-undo",
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden backfill can-undo backfill-1f0c9a7b3d52 --lake ./lake",
        "lakewarden backfill can-undo backfill-1f0c9a7b3d52 --json | jq .live_rows_that_saw_it",
    ),
)
def can_undo(backfill_id: IdArgument, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Say whether a backfill can be taken out again, and why.

    Ends with exit code 1 where it can't.
    """
    with Face("backfill can-undo", as_json) as face:
        face.show(opened(lake).backfill_can_undo(backfill_id))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        'lakewarden backfill undo backfill-1f0c9a7b3d52 --reason "the wrong files" --lake ./lake',
        'lakewarden backfill undo backfill-1f0c9a7b3d52 --reason "see incident" --incident INC-DATA01-000003 --json | jq .receipt',
    ),
)
def undo(
    backfill_id: IdArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; goes into the receipt.")],
    incident: IncidentOption = None,
    engine: EngineOption = Engine.embedded,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a backfill's rows out of every table again, exactly.

    Every other row stays. A swap that still waits is called off instead.
    """
    with Face("backfill undo", as_json) as face:
        face.show(opened(lake, engine).backfill_undo(backfill_id, reason, incident=incident, on_progress=face.progress))


@app.command(
    "list",
    cls=TaughtCommand,
    epilog=examples("lakewarden backfill list --lake ./lake", "lakewarden backfill list --json | jq -r '.backfills[0].id'"),
)
def list_(lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """List the backfills, newest first."""
    with Face("backfill list", as_json) as face:
        face.show(opened(lake).backfills())


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden backfill show backfill-1f0c9a7b3d52 --lake ./lake",
        "lakewarden backfill show backfill-1f0c9a7b3d52 --json | jq .document",
    ),
)
def show(backfill_id: IdArgument, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Show one backfill: its state, its verdict, its document, its plan."""
    with Face("backfill show", as_json) as face:
        face.show(opened(lake).backfill_show(backfill_id))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden backfill clean backfill-1f0c9a7b3d52 --lake ./lake",
        "lakewarden backfill clean backfill-1f0c9a7b3d52 --json | jq .bytes",
    ),
)
def clean(backfill_id: IdArgument, engine: EngineOption = Engine.embedded, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Remove a backfill's sandbox; its plan and its reports stay.

    What was swapped in stays too, and can be undone as before.
    """
    with Face("backfill clean", as_json) as face:
        face.show(opened(lake, engine).backfill_clean(backfill_id))
