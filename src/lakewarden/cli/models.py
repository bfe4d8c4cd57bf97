"""`train`: a model from labelled transactions."""

from __future__ import annotations

from typing import Annotated

import typer

from lakewarden.cli.face import Face
from lakewarden.cli.lakes import opened
from lakewarden.cli.options import JsonOption, LakeOption, MappingOption, TaughtCommand, commands, examples

app = commands()


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden train --lake ./lake --from sim/labels/labels.csv --source sim",
        "lakewarden train --lake ./lake --from sim/labels/labels.csv     # from what the lake has in silver",
        "lakewarden train --lake ./lake --from handbook.parquet --source handbook.parquet --mapping examples/handbook.yaml",
    ),
)
def train(
    labels: Annotated[str, typer.Option("--from", metavar="LABELS", help="CSV or Parquet: transaction_id, is_fraud, known_time, ...")],
    source: Annotated[
        str | None, typer.Option("--source", metavar="PATH", help="Events that the labels belong to; the lake's silver without.")
    ] = None,
    mapping: MappingOption = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train, register and release a model.

    Trains the classifier and the anomaly detector on labelled transactions. A running stream takes the new release up
    at its next micro-batch.
    """
    with Face("train", as_json) as face:
        face.show(opened(lake).train(labels, source=source, mapping=mapping, on_progress=face.progress))
