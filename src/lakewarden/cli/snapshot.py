"""`snapshot take`, `list`, `verify`, `undo`: what was known of a date, kept as evidence (runbook 4.2 step 6, 5.2 step 4)."""

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
    ReasonOption,
    TaughtCommand,
    TaughtGroup,
    commands,
    examples,
)


class Snapshot(TaughtGroup):
    """The commands of snapshots."""

    order = ("take", "list", "verify", "undo")


app = commands(
    cls=Snapshot,
    help="Keep what is known of a date as evidence: take, list, verify, undo.",
    epilog=examples(
        "lakewarden snapshot take --lake ./lake              # every past date that needs one",
        "lakewarden snapshot list --lake ./lake",
        "lakewarden snapshot verify --lake ./lake",
    ),
)

DateArgument = Annotated[str | None, typer.Argument(metavar="[DATE]", help="One date, YYYY-MM-DD.")]


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden snapshot take --lake ./lake                                # every past date that has none, or an outdated one",
        "lakewarden snapshot take 2026-03-01 --lake ./lake",
        'lakewarden snapshot take --from 2026-03-01 --to 2026-03-07 --reason "after replay-1f0c9a7b3d52" --incident INC-DATA01-000003',
        "lakewarden snapshot take --json | jq '.snapshots[] | {date, rows, sha256, receipt}'",
    ),
)
def take(
    date: DateArgument = None,
    first: Annotated[str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="First date of a range.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="Last date of a range.")] = None,
    reason: ReasonOption = None,
    incident: IncidentOption = None,
    engine: EngineOption = Engine.embedded,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep what silver and gold say of a date, one row a transaction, in `regulatory_snapshots`.

    Each date must add up first (as `conserve` says). Where a snapshot says the same already, it stays; where not, the new one takes its
    place in one commit, and the old one stays pinned for seven years. Each snapshot leaves a receipt, with a SHA-256 over its rows. A
    running stream carries it out between two micro-batches; else this command does. Cut short, the same command finishes it.
    """
    with Face("snapshot take", as_json) as face:
        lakehouse = opened(lake, engine)
        face.show(lakehouse.snapshot_take(date, first=first, last=last, reason=reason, incident=incident, on_progress=face.progress))


@app.command(
    "list",
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden snapshot list --lake ./lake",
        "lakewarden snapshot list --history --lake ./lake",
        "lakewarden snapshot list --json | jq '.due[]'",
    ),
)
def list_(
    history: Annotated[bool, typer.Option("--history", help="Those as well that were replaced or taken back.")] = False,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the snapshots that stand, and the dates that need one."""
    with Face("snapshot list", as_json) as face:
        face.show(opened(lake).snapshot_list(history=history))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden snapshot verify --lake ./lake                   # all that stand",
        "lakewarden snapshot verify 2026-03-01 --json | jq '.snapshots[] | {ok, current}'",
    ),
)
def verify(date: DateArgument = None, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Prove that snapshots hold the very rows that their signed receipts tell.

    Also says whether silver and gold would give the same today. Ends with exit code 1 when a row was changed, or the chain of receipts
    is broken; an outdated snapshot is no failure.
    """
    with Face("snapshot verify", as_json) as face:
        face.show(opened(lake).snapshot_verify(date, on_progress=face.progress))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        'lakewarden snapshot undo 2026-03-01 --reason "taken before the replay was approved" --lake ./lake',
        'lakewarden snapshot undo 2026-03-01 --reason "see incident" --incident INC-DATA01-000003 --json | jq .receipt',
    ),
)
def undo(
    date: Annotated[str, typer.Argument(metavar="DATE", help="The snapshot's date, YYYY-MM-DD.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; goes into the receipt.")],
    incident: IncidentOption = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a date's snapshot back: the one before it stands again, or none.

    What is taken back stays pinned for seven years too.
    """
    with Face("snapshot undo", as_json) as face:
        face.show(opened(lake).snapshot_undo(date, reason, incident=incident, on_progress=face.progress))
