"""`pins list`, `pins release`: what is held so that it can be restored."""

from __future__ import annotations

from typing import Annotated

import typer

from lakewarden.cli.face import Face
from lakewarden.cli.lakes import opened
from lakewarden.cli.options import JsonOption, LakeOption, TaughtCommand, TaughtGroup, commands, examples


class Pins(TaughtGroup):
    """The commands of pins."""

    order = ("list", "release")


app = commands(
    cls=Pins,
    help="What is held so that it can be restored: list it, let go of it.",
    epilog=examples(
        "lakewarden pins list --lake ./lake",
        'lakewarden pins release pin-000003-risk_scores_gold-17 --reason "the replay was accepted" --lake ./lake',
    ),
)


@app.command(
    "list",
    cls=TaughtCommand,
    epilog=examples("lakewarden pins list --lake ./lake", "lakewarden pins list --json | jq '.pins[] | {id, until, bytes}'"),
)
def list_(lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """List what is held: table, rows, bytes, until when, and why."""
    with Face("pins list", as_json) as face:
        face.show(opened(lake).pins())


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        'lakewarden pins release pin-000003-risk_scores_gold-17 --reason "the replay was accepted" --lake ./lake',
        'lakewarden pins release pin-000003-risk_scores_gold-17 --reason "space" --json | jq .receipt',
    ),
)
def release(
    pin_id: Annotated[str, typer.Argument(metavar="ID", help="The pin's id, as `pins list` gives it.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; goes into the receipt.")],
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let go of what a pin holds: what replaced it can't be undone from then on.

    The files go with the next vacuum after the grace period.
    """
    with Face("pins release", as_json) as face:
        face.show(opened(lake).pin_release(pin_id, reason))
