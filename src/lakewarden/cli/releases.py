"""`release create`, `release list`, `release show`: the pinned versions that turn an event into a score."""

from __future__ import annotations

from typing import Annotated

import typer

from lakewarden.cli.face import Face
from lakewarden.cli.lakes import opened
from lakewarden.cli.options import IncidentOption, JsonOption, LakeOption, ReasonOption, TaughtCommand, TaughtGroup, commands, examples

app = commands(
    cls=TaughtGroup,
    help="Pinned rules, data, model, code: make, list, show.",
    epilog=examples("lakewarden release list --lake ./lake", "lakewarden release create --lake ./lake"),
)


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden release create --lake ./lake      # after editing the lake's conf/*.yaml",
        'lakewarden release create --lake ./lake --reason "limits raised by the board" --incident INC-DQ01-000002',
        "lakewarden release create --lake ./lake --json | jq -r .id",
    ),
)
def create(reason: ReasonOption = None, incident: IncidentOption = None, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Make a release of the lake's present rules, contract, thresholds, reference data and model.

    A release is named by its content: the same content is the same release, and making it again changes nothing.
    A running stream takes it up at its next micro-batch. A new release leaves a receipt.
    """
    with Face("release create", as_json) as face:
        face.show(opened(lake).release_create(reason=reason, incident=incident))


@app.command(
    "list",
    cls=TaughtCommand,
    epilog=examples("lakewarden release list --lake ./lake", "lakewarden release list --lake ./lake --json"),
)
def list_(lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """List the lake's releases, newest first."""
    with Face("release list", as_json) as face:
        face.show(opened(lake).releases())


@app.command(
    cls=TaughtCommand,
    epilog=examples("lakewarden release show 3f9a2c --lake ./lake", "lakewarden release show 3f9a2c --lake ./lake --json"),
)
def show(
    release: Annotated[str, typer.Argument(metavar="ID", help="The release's id, or the beginning of it.")],
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what one release pins."""
    with Face("release show", as_json) as face:
        face.show(opened(lake).release_show(release))
