"""`replay approve`, `freeze`, `swap`, `can-undo`, `undo`: a replay takes production's place, or gives it back (runbook 4.2 step 6)."""

from __future__ import annotations

from typing import Annotated

import typer

from lakewarden.cli.face import Face
from lakewarden.cli.lakes import opened
from lakewarden.cli.options import Engine, EngineOption, IncidentOption, JsonOption, LakeOption, TaughtCommand, examples
from lakewarden.cli.replay import IdArgument, app

__all__ = ["app"]


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden replay approve replay-1f0c9a7b3d52 --lake ./lake",
        "LAKEWARDEN_ACTOR=second.person lakewarden replay approve replay-1f0c9a7b3d52 --json | jq .who",
    ),
)
def approve(replay_id: IdArgument, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Approve the swap of a validated replay, as a second person.

    Binds to the plan and to the validation that you saw: after another validation it has to be given again. `conf/operations.yaml` says
    which acts ask for it (`second_person`). Who planned the replay can't approve it.
    """
    with Face("replay approve", as_json) as face:
        face.show(opened(lake).replay_approve(replay_id))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden replay freeze replay-1f0c9a7b3d52 --lake ./lake",
        "lakewarden replay freeze replay-1f0c9a7b3d52 --thaw --lake ./lake",
    ),
)
def freeze(
    replay_id: IdArgument,
    thaw: Annotated[bool, typer.Option("--thaw", help="Take the notice back.")] = False,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell readers that a replay's dates are under replay.

    The published point carries the notice, and `status` and `sql` show it; nothing is locked. A swap takes it back by itself.
    """
    with Face("replay freeze", as_json) as face:
        face.show(opened(lake).replay_freeze(replay_id, thaw=thaw))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden replay swap replay-1f0c9a7b3d52 --lake ./lake",
        "lakewarden replay swap replay-1f0c9a7b3d52 --json | jq .swap_seconds",
    ),
)
def swap(replay_id: IdArgument, engine: EngineOption = Engine.embedded, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Put a validated replay in production's place, in all tables at once.

    Readers see the old rows or the new ones, never a mixture. What is replaced is pinned. What a stream appended since the plan stays.
    A stream that runs carries it out between two micro-batches; else this command does. Cut short, the same command finishes it.
    """
    with Face("replay swap", as_json) as face:
        face.show(opened(lake, engine).replay_swap(replay_id, on_progress=face.progress))


@app.command(
    "can-undo",
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden replay can-undo replay-1f0c9a7b3d52 --lake ./lake", "lakewarden replay can-undo replay-1f0c9a7b3d52 --json | jq .until"
    ),
)
def can_undo(replay_id: IdArgument, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Say whether a swap can be undone, why, and until when.

    Ends with exit code 1 where it can't.
    """
    with Face("replay can-undo", as_json) as face:
        face.show(opened(lake).replay_can_undo(replay_id))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        'lakewarden replay undo replay-1f0c9a7b3d52 --reason "the new limits were wrong" --lake ./lake',
        'lakewarden replay undo replay-1f0c9a7b3d52 --reason "see incident" --incident INC-DATA01-000003 --json | jq .receipt',
    ),
)
def undo(
    replay_id: IdArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; goes into the receipt.")],
    incident: IncidentOption = None,
    engine: EngineOption = Engine.embedded,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put back what a swap replaced, exactly.

    Possible as long as it is pinned. Rows that arrived since the replay's plan stay. A swap that still waits is called off instead.
    """
    with Face("replay undo", as_json) as face:
        face.show(opened(lake, engine).replay_undo(replay_id, reason, incident=incident, on_progress=face.progress))
