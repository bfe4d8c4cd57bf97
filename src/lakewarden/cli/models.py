"""`train`: a model from labelled transactions."""

from __future__ import annotations

from typing import Annotated

import typer

from lakewarden.cli.face import Face
from lakewarden.cli.lakes import opened
from lakewarden.cli.options import (
    IncidentOption,
    JsonOption,
    LakeOption,
    MappingOption,
    ReasonOption,
    TaughtCommand,
    commands,
    examples,
)

app = commands()


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden train --lake ./lake --from sim/labels/labels.csv --source sim",
        "lakewarden train --lake ./lake --from sim/labels/labels.csv     # of events that the lake has, or of a simulation",
        "lakewarden train --lake ./lake --from handbook.parquet --source handbook.parquet --mapping examples/handbook.yaml",
    ),
)
def train(
    *,
    labels: Annotated[str, typer.Option("--from", metavar="LABELS", help="CSV or Parquet: transaction_id, is_fraud, known_time, ...")],
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            metavar="PATH",
            help="Events that the labels belong to; without, the lake's silver or the simulation that LABELS lies in.",
        ),
    ] = None,
    mapping: MappingOption = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the model's own randomness.")] = 7,
    reason: ReasonOption = None,
    incident: IncidentOption = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train, register and release a model.

    Trains the classifier and the anomaly detector on labelled transactions. A running stream takes the new release up
    at its next micro-batch. Leaves a receipt.
    """
    with Face("train", as_json) as face:
        said = {"reason": reason, "incident": incident}
        face.show(opened(lake).train(labels, source=source, mapping=mapping, seed=seed, **said, on_progress=face.progress))
