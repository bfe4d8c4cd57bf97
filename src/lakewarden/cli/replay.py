"""`replay plan`, `run`, `validate`, ...: derive dates again beside production and compare them (runbook section 4); see `cli.swap`."""

from __future__ import annotations

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
from lakewarden.errors import UsageError


class Replay(TaughtGroup):
    """The commands of a replay, in the order in which they are run."""

    order = ("plan", "run", "validate", "approve", "freeze", "swap", "can-undo", "undo", "list", "show", "clean")


app = commands(
    cls=Replay,
    help="Derive dates again in a sandbox, compare, swap them in, undo that.",
    epilog=examples(
        'lakewarden replay plan --from 2026-01-05 --to 2026-01-06 --as-recorded --reason "is it still so?" --lake ./lake',
        "lakewarden replay run replay-1f0c9a7b3d52 --lake ./lake",
        "lakewarden replay validate replay-1f0c9a7b3d52 --lake ./lake",
        "lakewarden replay swap replay-1f0c9a7b3d52 --lake ./lake",
        'lakewarden replay undo replay-1f0c9a7b3d52 --reason "the new limits were wrong" --lake ./lake',
    ),
)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The replay's id, as `replay plan` and `replay list` give it.")]


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        'lakewarden replay plan --from 2026-01-05 --to 2026-01-06 --release 3f9a2c --reason "corrected limits" --lake ./lake',
        "lakewarden replay plan --from 2026-01-05 --to 2026-01-05 --as-recorded --reason audit --incident INC-DATA01-000003 --lake ./lake",
        'lakewarden replay plan --from 2026-01-05 --to 2026-01-06 --release 3f9a2c --account A000123 --reason "its limits were wrong"',
        'lakewarden replay plan --from 2026-01-05 --to 2026-01-05 --as-recorded --reason "what if?" --dry-run --json | jq .predictions',
    ),
)
def plan(
    *,
    first: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="The first event_date.")],
    last: Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="The last event_date.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; goes into the plan.")],
    release: Annotated[
        str | None, typer.Option("--release", metavar="ID", help="Derive every row under this release: its id, or the beginning of it.")
    ] = None,
    as_recorded: Annotated[bool, typer.Option("--as-recorded", help="Derive each row under the release recorded for it.")] = False,
    incident: IncidentOption = None,
    most_moves: Annotated[
        float | None,
        typer.Option("--max-band-moves", metavar="SHARE", min=0, max=1, help="Share of transactions that may change band (0.05)."),
    ] = None,
    chunk_rows: Annotated[
        int | None, typer.Option("--chunk-rows", metavar="N", min=1, max=500_000, help="Events derived and committed at a time (250000).")
    ] = None,
    accounts: Annotated[
        list[str] | None, typer.Option("--account", metavar="ID", help="Only this account's events; give it again for more.")
    ] = None,
    carry_on: Annotated[
        bool, typer.Option("--carry-on", help="Go on to the newest date: later windows look back on what is replayed.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and store nothing.")] = False,
    engine: EngineOption = Engine.embedded,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check what a replay needs, predict what it does, and store the plan.

    Nothing is derived yet. Ends with exit code 1 when a precondition does not hold; each says what to do next.
    """
    with Face("replay plan", as_json) as face:
        if as_recorded is (release is not None):
            raise UsageError(
                "a replay is under one release or as recorded", state="nothing was planned", next="--release ID or --as-recorded"
            )
        days = parsed_date(first), parsed_date(last)
        of = opened(lake, engine)
        chosen = {"max_band_move_share": most_moves, "chunk_rows": chunk_rows}
        changed = {name: value for name, value in chosen.items() if value is not None}
        face.show(
            of.replay_plan(
                *days,
                reason=reason,
                release=release,
                incident=incident,
                accounts=accounts or (),
                carry_on=carry_on,
                dry_run=dry_run,
                settings=changed,
            )
        )


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden replay run replay-1f0c9a7b3d52 --lake ./lake",
        "lakewarden replay run replay-1f0c9a7b3d52 --json | jq .counts",
        "lakewarden replay run replay-1f0c9a7b3d52 --lake ./lake --engine spark",
    ),
)
def run(replay_id: IdArgument, engine: EngineOption = Engine.embedded, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Derive the dates of a plan again, into its sandbox.

    No production table is written. A run that was killed is carried on by the same command; no row is written twice.
    """
    with Face("replay run", as_json) as face:
        face.show(opened(lake, engine).replay_run(replay_id, on_progress=face.progress))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden replay validate replay-1f0c9a7b3d52 --lake ./lake",
        "lakewarden replay validate replay-1f0c9a7b3d52 --json | jq '.gates[] | select(.ok | not)'",
    ),
)
def validate(replay_id: IdArgument, engine: EngineOption = Engine.embedded, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Compare a sandbox with what is published, and judge it.

    Counts, amounts, bands, alerts, rules, conservation; every differing row in a class. Ends with exit code 1 when a gate stops.
    Leaves report.json, report.html and differences.parquet in the replay's folder.
    """
    with Face("replay validate", as_json) as face:
        face.show(opened(lake, engine).replay_validate(replay_id, on_progress=face.progress))


@app.command(
    "list",
    cls=TaughtCommand,
    epilog=examples("lakewarden replay list --lake ./lake", "lakewarden replay list --json | jq -r '.replays[0].id'"),
)
def list_(lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """List the replays, newest first."""
    with Face("replay list", as_json) as face:
        face.show(opened(lake).replays())


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden replay show replay-1f0c9a7b3d52 --lake ./lake", "lakewarden replay show replay-1f0c9a7b3d52 --json | jq .plan"
    ),
)
def show(replay_id: IdArgument, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Show one replay: its plan, its state, its verdict."""
    with Face("replay show", as_json) as face:
        face.show(opened(lake).replay_show(replay_id))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden replay clean replay-1f0c9a7b3d52 --lake ./lake",
        "lakewarden replay clean replay-1f0c9a7b3d52 --archive --lake ./lake --json",
        "lakewarden replay clean --older-than 30 --lake ./lake         # every replay planned longer ago",
    ),
)
def clean(
    replay_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The replay's id; without it, --older-than.")] = None,
    archive: Annotated[bool, typer.Option("--archive", help="Keep the rows first, one compressed file a table.")] = False,
    older_than: Annotated[
        float | None, typer.Option("--older-than", metavar="DAYS", min=0, help="All that were planned longer ago.")
    ] = None,
    engine: EngineOption = Engine.embedded,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove a replay's sandbox; its plan and its reports stay.

    What was swapped in stays too, and can be undone as before: what it replaced is pinned.
    """
    with Face("replay clean", as_json) as face:
        if (replay_id is None) is (older_than is None):
            raise UsageError("Name one replay, or an age.", state="nothing was removed", next="replay clean ID, or --older-than DAYS")
        of = opened(lake, engine)
        face.show(of.replay_clean(replay_id, archive=archive) if replay_id else of.replays_clean(older_than or 0.0, archive=archive))
