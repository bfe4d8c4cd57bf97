"""`incident open`, `list`, `show`, `note`, `close`; `evidence`: what broke, what was done, and the file that proves it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from lakewarden.cli.face import Face
from lakewarden.cli.lakes import opened
from lakewarden.cli.options import JsonOption, LakeOption, ReasonOption, TaughtCommand, TaughtGroup, commands, examples, parsed_date
from lakewarden.errors import UsageError

if TYPE_CHECKING:
    from lakewarden.audit.incident import Impact

app = commands(
    cls=TaughtGroup,
    help="What broke, by the runbook's codes: open, list, show, note, close.",
    epilog=examples(
        'lakewarden incident open INC-DATA01 "wrong FX rates on 6 January" --lake ./lake',
        "lakewarden incident list --open --lake ./lake",
        "lakewarden incident show INC-S01-000001 --lake ./lake",
    ),
)
evidence_app = commands()

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The incident's id, as `incident list` gives it.")]
SeverityOption = Annotated[
    str | None, typer.Option("--severity", metavar="LEVEL", help="critical, high, medium or low; without, the usual one of the code.")
]
OwnerOption = Annotated[
    str | None, typer.Option("--owner", metavar="ROLE", help="A role in the lake's conf/contacts.yaml; without, the usual one of the code.")
]
SinceOption = Annotated[str | None, typer.Option("--impact-from", metavar="TIME", help="Since when: 2026-01-06T08:00:00Z.")]
UntilOption = Annotated[str | None, typer.Option("--impact-to", metavar="TIME", help="Until when.")]
TablesOption = Annotated[str | None, typer.Option("--tables", metavar="A,B", help="The tables that are hit, with commas between.")]
DatesOption = Annotated[
    str | None, typer.Option("--dates", metavar="FROM[..TO]", help="The event dates that are hit: 2026-01-05..2026-01-07, or one of them.")
]


@app.command(
    "open",
    cls=TaughtCommand,
    epilog=examples(
        'lakewarden incident open INC-ML01 "alerts doubled since version 12" --lake ./lake',
        'lakewarden incident open INC-DATA01 "wrong FX rates" --tables risk_scores_gold --dates 2026-01-06 --lake ./lake',
    ),
)
def open_(
    code: Annotated[str, typer.Argument(metavar="CODE", help="INC-S01, INC-B01, INC-DQ01, INC-ML01 or INC-DATA01.")],
    title: Annotated[str, typer.Argument(metavar="TITLE", help="What happened, in a sentence.")],
    severity: SeverityOption = None,
    owner: OwnerOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    tables: TablesOption = None,
    dates: DatesOption = None,
    reason: ReasonOption = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open an incident by hand.

    An open one of the same code and title is noted as seen again instead. Leaves a receipt.
    """
    with Face("incident open", as_json) as face:
        impact = _impact(since, until, tables, dates)
        face.show(opened(lake).incident_open(code, title, severity=severity, owner=owner, impact=impact, reason=reason))


@app.command(
    "list",
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden incident list --lake ./lake",
        "lakewarden incident list --open --code INC-S01 --lake ./lake",
        "lakewarden incident list --json | jq '.incidents[0].detail'",
    ),
)
def list_(
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are open.")] = False,
    code: Annotated[str | None, typer.Option("--code", metavar="CODE", help="Only those of this code.")] = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the lake's incidents, newest first.

    A gap in the source (events that the broker deleted before they were read, or a topic that was made anew) opens one by itself.
    """
    with Face("incident list", as_json) as face:
        face.show(opened(lake).incidents(open_only=open_only, code=code))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden incident show INC-S01-000001 --lake ./lake", "lakewarden incident show INC-S01-000001 --lake ./lake --json"
    ),
)
def show(incident: IdArgument, lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """Show one incident: its facts, its notes, its owner, and the receipts of what was done about it."""
    with Face("incident show", as_json) as face:
        face.show(opened(lake).incident_show(incident))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        'lakewarden incident note INC-S01-000001 "the broker was restarted" --lake ./lake',
        'lakewarden incident note INC-S01-000001 "over to the data team" --owner tech-owner --severity low --lake ./lake',
    ),
)
def note(
    incident: IdArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is to be noted.")],
    severity: Annotated[str | None, typer.Option("--severity", metavar="LEVEL", help="Change it to critical, high, medium or low.")] = None,
    owner: Annotated[str | None, typer.Option("--owner", metavar="ROLE", help="Hand it over to a role in conf/contacts.yaml.")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    tables: TablesOption = None,
    dates: DatesOption = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a note to an incident, with author and time; severity, owner and impact change where they are given.

    Leaves a receipt. A closed incident takes notes too.
    """
    with Face("incident note", as_json) as face:
        impact = _impact(since, until, tables, dates)
        face.show(opened(lake).incident_note(incident, text, severity=severity, owner=owner, impact=impact))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        'lakewarden incident close INC-S01-000001 --cause "retention of 1 h" --remediation "raised to 7 days" --lake ./lake',
    ),
)
def close(
    incident: IdArgument,
    cause: Annotated[str, typer.Option("--cause", metavar="TEXT", help="The root cause; it can't be closed without.")] = "",
    remediation: Annotated[str, typer.Option("--remediation", metavar="TEXT", help="What was done; it can't be closed without.")] = "",
    since: SinceOption = None,
    until: UntilOption = None,
    tables: TablesOption = None,
    dates: DatesOption = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close an incident with its cause and what was done. Leaves a receipt.

    Where the same trouble is seen again, a new incident is opened that refers to this one.
    """
    with Face("incident close", as_json) as face:
        impact = _impact(since, until, tables, dates)
        face.show(opened(lake).incident_close(incident, cause, remediation, impact=impact))


@evidence_app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden evidence INC-S01-000001 --lake ./lake",
        "lakewarden evidence INC-S01-000001 --lake ./lake --out case-17.zip --key auditor.pem",
    ),
)
def evidence(
    *,
    incident: IdArgument,
    out: Annotated[str | None, typer.Option("--out", metavar="FILE", help="The zip to write; ID.zip here without.")] = None,
    keys: Annotated[
        list[str], typer.Option("--key", metavar="FILE", help="A PEM file with public keys that you hold, to verify the receipts with.")
    ] = [],  # noqa: B006  # Typer copies it, and tells an absent option by it
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pack an incident's evidence into one zip: a page to read and print, and the data behind it.

    Holds the incident's record, its receipts with the verification of their chain and the public keys, the conservation statements and
    run records of the dates that were hit, the published point with the version of every table, and SHA256SUMS.
    """
    with Face("evidence", as_json) as face:
        face.show(opened(lake).evidence(incident, out, keys))


def _impact(since: str | None, until: str | None, tables: str | None, dates: str | None) -> Impact:
    from lakewarden.audit.incident import Impact

    first, _, last = (dates or "").partition("..")
    return Impact(
        since=_time(since),
        until=_time(until),
        tables=[name.strip() for name in (tables or "").split(",") if name.strip()],
        first_date=parsed_date(first) if dates else None,
        last_date=parsed_date(last or first) if dates else None,
    )


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no time", state="nothing was done", next="write it as 2026-01-06T08:00:00Z") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
