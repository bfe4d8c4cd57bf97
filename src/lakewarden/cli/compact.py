"""`compact`: small files merged when nobody streams."""

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
    commands,
    examples,
)

app = commands()


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden compact --lake ./lake",
        'lakewarden compact --lake ./lake --fan 2 --reason "before the month\'s reports"   # as few files as can be',
        "lakewarden compact --lake ./lake --json | jq '.tables[] | {table, files_before, files_after}'",
    ),
)
def compact(
    *,
    fan: Annotated[
        int | None, typer.Option("--fan", metavar="N", min=2, help="Files of one size in one partition that are merged (25, as a stream).")
    ] = None,
    reason: ReasonOption = None,
    incident: IncidentOption = None,
    engine: EngineOption = Engine.embedded,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Merge small files until there is nothing left to merge, where no stream does it.

    A stream compacts by itself, beside its micro-batches; so this is refused while one runs. No row changes. Readers move to the merged
    files at once; the old ones stay for a stream's vacuum. Leaves a receipt.
    """
    with Face("compact", as_json) as face:
        face.show(opened(lake, engine).compact(fan=fan, reason=reason, incident=incident, on_progress=face.progress))
