"""`receipts list`, `receipts show`, `receipts verify`: what was done to the lake, by whom, and that the record of it is whole."""

from __future__ import annotations

from typing import Annotated

import typer

from lakewarden.cli.face import Face
from lakewarden.cli.lakes import opened
from lakewarden.cli.options import JsonOption, LakeOption, TaughtCommand, TaughtGroup, commands, examples

app = commands(
    cls=TaughtGroup,
    help="What was done, by whom, why: list, show, verify.",
    epilog=examples("lakewarden receipts list --lake ./lake", "lakewarden receipts verify --lake ./lake --key auditor.pem"),
)


@app.command(
    "list",
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden receipts list --lake ./lake",
        "lakewarden receipts list --lake ./lake --incident INC-DATA01-000003",
        "lakewarden receipts list --lake ./lake --json | jq -r .head.hash     # write it down: verify --head finds what was cut off",
    ),
)
def list_(
    incident: Annotated[str | None, typer.Option("--incident", metavar="ID", help="Only those of this incident.")] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="Only those of this kind: release.create, or release for all of them.")
    ] = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the receipts, newest first, and the head: number and hash of the newest."""
    with Face("receipts list", as_json) as face:
        face.show(opened(lake).receipts(incident=incident, kind=kind))


@app.command(
    cls=TaughtCommand,
    epilog=examples("lakewarden receipts show 0 --lake ./lake", "lakewarden receipts show 12 --lake ./lake --json | jq .outcome"),
)
def show(
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=0, help="The receipt's number, as `receipts list` gives it.")],
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one receipt, whole."""
    with Face("receipts show", as_json) as face:
        face.show(opened(lake).receipt_show(number))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden receipts verify --lake ./lake",
        "lakewarden receipts verify --lake ./lake --key auditor.pem",
        'lakewarden receipts verify --lake ./lake --key auditor.pem --head "$(cat head.txt)"',
    ),
)
def verify(
    *,
    keys: Annotated[
        list[str], typer.Option("--key", metavar="FILE", help="A PEM file with public keys that you hold; may be given several times.")
    ] = [],  # noqa: B006  # Typer copies it, and tells an absent option by it
    head: Annotated[
        str | None, typer.Option("--head", metavar="HASH", help="The hash of a receipt that you wrote down: it must be there still.")
    ] = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify every receipt and the chain that they make.

    Names what was edited, dropped, reordered, forged or cut off, by number, and ends with exit code 1 then. Without --key the
    public keys in the lake are believed, which whoever can write the lake could have replaced.
    """
    with Face("receipts verify", as_json) as face:
        face.show(opened(lake).receipts_verify(keys, head))
