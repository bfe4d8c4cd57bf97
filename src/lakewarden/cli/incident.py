"""`incident list`, `incident show`: what broke, and what the product itself saw."""

from __future__ import annotations

from typing import Annotated

import typer

from lakewarden.cli.face import Face
from lakewarden.cli.lakes import opened
from lakewarden.cli.options import JsonOption, LakeOption, TaughtCommand, TaughtGroup, commands, examples

app = commands(
    cls=TaughtGroup,
    help="What broke, by the runbook's codes: list, show.",
    epilog=examples("lakewarden incident list --lake ./lake", "lakewarden incident show INC-S01-000001 --lake ./lake"),
)


@app.command(
    "list",
    cls=TaughtCommand,
    epilog=examples("lakewarden incident list --lake ./lake", "lakewarden incident list --json | jq '.incidents[0].detail'"),
)
def list_(lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """List the lake's incidents, newest first.

    A gap in the source (events that the broker deleted before they were read, or a topic that was made anew) opens one by itself.
    """
    with Face("incident list", as_json) as face:
        face.show(opened(lake).incidents())


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden incident show INC-S01-000001 --lake ./lake", "lakewarden incident show INC-S01-000001 --lake ./lake --json"
    ),
)
def show(
    incident: Annotated[str, typer.Argument(metavar="ID", help="The incident's id, as `incident list` gives it.")],
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one incident with its facts, such as the range of offsets that is lost."""
    with Face("incident show", as_json) as face:
        face.show(opened(lake).incident_show(incident))
