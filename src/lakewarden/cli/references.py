"""`reference import`, `reference list`: KYC, limits, watchlists, FX and the like."""

from __future__ import annotations

from typing import Annotated

import typer

from lakewarden.cli.face import Face
from lakewarden.cli.lakes import opened
from lakewarden.cli.options import IncidentOption, JsonOption, LakeOption, ReasonOption, TaughtCommand, TaughtGroup, commands, examples

app = commands(
    cls=TaughtGroup,
    help="KYC, limits, watchlists, FX: bring in, list.",
    epilog=examples("lakewarden reference import sim/reference --lake ./lake", "lakewarden reference list --lake ./lake"),
)


@app.command(
    "import",
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden reference import sim/reference --lake ./lake            # a folder: kyc.csv, limits.csv, fx.csv, ...",
        "lakewarden reference import kyc-2026-03.csv --kind kyc --lake ./lake",
        "lakewarden reference import sdn.csv --kind watchlist --lake ./lake  # OFAC SDN, as published",
        "lakewarden reference import consolidated.xml --lake ./lake          # UN consolidated list, as published",
    ),
)
def import_(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A CSV, Parquet or XML file, or a folder of them.")],
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="kyc, limits, counterparties, watchlist, fx, countries, currencies or mcc; told from the name without.",
        ),
    ] = None,
    reason: ReasonOption = None,
    incident: IncidentOption = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a new version of reference data in, screen names against the watchlists, and make a release.

    The version before stays: rows scored under it can still be derived again. Leaves a receipt.
    """
    with Face("reference import", as_json) as face:
        face.show(opened(lake).reference_import(path, kind=kind, reason=reason, incident=incident))


@app.command(
    "list",
    cls=TaughtCommand,
    epilog=examples("lakewarden reference list --lake ./lake", "lakewarden reference list --lake ./lake --json"),
)
def list_(lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """List the reference data of the release in force: kind, version, rows."""
    with Face("reference list", as_json) as face:
        face.show(opened(lake).references())
