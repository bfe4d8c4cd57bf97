"""`model list`, `show`, `promote`, `rollback`, `watch`, `decisions`: which model scores, and back to a former one (runbook section 6)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from lakewarden.cli.face import Face
from lakewarden.cli.lakes import opened
from lakewarden.cli.options import IncidentOption, JsonOption, LakeOption, TaughtCommand, TaughtGroup, commands, examples, parsed_date
from lakewarden.cli.signals import GracefulStop
from lakewarden.errors import UsageError

if TYPE_CHECKING:
    from lakewarden.app import Lake
    from lakewarden.operations.status import Report


class Model(TaughtGroup):
    """The commands of a model, in the order in which an operator needs them."""

    order = ("list", "show", "rollback", "approve", "call-off", "watch", "decisions", "promote")


app = commands(
    cls=Model,
    help="Which model scores: list, roll back, watch, promote.",
    epilog=examples(
        "lakewarden model list --lake ./lake",
        'lakewarden model rollback --reason "false alarms doubled" --dry-run --lake ./lake',
        'lakewarden model rollback --reason "false alarms doubled" --watch 24h --replay --lake ./lake',
        "lakewarden model decisions --version 2 --band HIGH --lake ./lake",
    ),
)


class Alias(StrEnum):
    """What a version is promoted to."""

    production = "production"
    staging = "staging"


class Demoted(StrEnum):
    """The stage of a version that is replaced."""

    archived = "archived"
    staging = "staging"


class Band(StrEnum):
    """A risk band."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


WhyOption = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; required; goes into plan and receipt.")]
DemoteOption = Annotated[Demoted, typer.Option("--demote-to", help="The stage of the version that is replaced.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the plan and store nothing.")]
WatchOption = Annotated[
    str | None, typer.Option("--watch", metavar="DURATION", help="Stay and record figures before and after, for so long: 24h, 30m.")
]
EveryOption = Annotated[
    float | None, typer.Option("--interval", metavar="S", min=0.1, help="Seconds between two looks while watching (60).")
]
ReplayOption = Annotated[
    bool, typer.Option("--replay", help="Plan the replay of the dates that the replaced version decided; it is not run.")
]
ResumeOption = Annotated[str | None, typer.Option("--resume", metavar="ID", help="Finish this change, which was killed.")]


@app.command(
    "list", cls=TaughtCommand, epilog=examples("lakewarden model list --lake ./lake", "lakewarden model list --json | jq .in_force")
)
def list_(lake: LakeOption = None, as_json: JsonOption = False) -> None:
    """List the versions of the model, newest first.

    Stage, aliases, metrics, what each decided; and the changes that were made, with how to finish one that was killed.
    """
    with Face("model list", as_json) as face:
        face.show(opened(lake).models())


@app.command(cls=TaughtCommand, epilog=examples("lakewarden model show 2 --lake ./lake", "lakewarden model show 2 --json | jq .pinned_by"))
def show(
    version: Annotated[str, typer.Argument(metavar="VERSION", help="The version, as `model list` gives it.")],
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show all of one version: tags, metrics, releases that pinned it, when it was in force, what it decided."""
    with Face("model show", as_json) as face:
        face.show(opened(lake).model_show(version))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        'lakewarden model rollback --reason "false alarms doubled" --dry-run --lake ./lake   # the plan, and why this target',
        'lakewarden model rollback --reason "false alarms doubled" --incident INC-ML01-000002 --watch 24h --replay --lake ./lake',
        'lakewarden model rollback --to 1 --model-only --reason "keep the new limits" --lake ./lake',
        'lakewarden model rollback --to scorecard --reason "no model can be trusted" --lake ./lake',
        "lakewarden model rollback --resume change-1f0c9a7b3d52 --lake ./lake                # after a kill",
    ),
)
def rollback(
    *,
    to: Annotated[
        str | None, typer.Option("--to", metavar="VERSION", help="A version, or scorecard; without, the last known good.")
    ] = None,
    reason: WhyOption = None,
    incident: IncidentOption = None,
    model_only: Annotated[bool, typer.Option("--model-only", help="Keep the present rules, thresholds, references and contract.")] = False,
    demote_to: DemoteOption = Demoted.archived,
    replay: ReplayOption = False,
    watch: WatchOption = None,
    interval: EveryOption = None,
    dry_run: DryRunOption = False,
    resume: ResumeOption = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a former model back, with rules and thresholds of its release.

    Aliases and tags move, the former release comes into force whole, a running stream takes it up at its next micro-batch
    without a restart. Without --to the last known good is found from receipts and registry, and the plan says why.
    The same command again, or --resume, finishes one that was killed. Leaves a receipt.
    """
    with Face("model rollback", as_json) as face:
        _check(watch, alias=Alias.production)
        of = opened(lake)
        if resume is None:
            done = of.model_rollback(
                reason=reason or "",
                to=to,
                incident=incident,
                model_only=model_only,
                demote_to=demote_to.value,
                replay=replay,
                dry_run=dry_run,
            )
        else:
            done = of.model_resume(resume)
        _end(face, of, done, None if dry_run else watch, interval)


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        'lakewarden model promote 3 --alias staging --reason "to be tried" --lake ./lake',
        'lakewarden model promote 3 --reason "better on last month" --demote-to staging --watch 24h --lake ./lake',
        'lakewarden model promote 3 --with-release --reason "with the rules it was tried with" --dry-run --lake ./lake',
    ),
)
def promote(
    *,
    version: Annotated[str | None, typer.Argument(metavar="VERSION", help="The version, as `model list` gives it.")] = None,
    alias: Annotated[Alias, typer.Option("--alias", help="staging changes the registry only.")] = Alias.production,
    reason: WhyOption = None,
    incident: IncidentOption = None,
    with_release: Annotated[
        bool, typer.Option("--with-release", help="Take rules, thresholds, references and contract of its release too.")
    ] = False,
    demote_to: DemoteOption = Demoted.archived,
    replay: ReplayOption = False,
    watch: WatchOption = None,
    interval: EveryOption = None,
    dry_run: DryRunOption = False,
    resume: ResumeOption = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a version the alias production or staging.

    In production it scores from the next micro-batch on, under the present rules and thresholds; --with-release takes those
    of its own release. The version that it replaces is archived, or goes to staging. Leaves a receipt.
    """
    with Face("model promote", as_json) as face:
        _check(watch, alias=alias)
        of = opened(lake)
        if resume is not None:
            done = of.model_resume(resume)
        elif version is None:
            raise UsageError("no version is named", state="nothing was changed", next="lakewarden model list")
        else:
            done = of.model_promote(
                version,
                reason=reason or "",
                alias=alias.value,
                incident=incident,
                with_release=with_release,
                demote_to=demote_to.value,
                replay=replay,
                dry_run=dry_run,
            )
        _end(face, of, done, None if dry_run else watch, interval)


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden model approve change-1f0c9a7b3d52 --lake ./lake",
        "LAKEWARDEN_ACTOR=second.person lakewarden model approve change-1f0c9a7b3d52 --json | jq -r .next",
    ),
)
def approve(
    change: Annotated[str, typer.Argument(metavar="CHANGE", help="The change's id, as `model list` gives it.")],
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve a change of the model, as a second person.

    `conf/operations.yaml` says which changes ask for it (`second_person`). Who planned the change can't approve it.
    """
    with Face("model approve", as_json) as face:
        face.show(opened(lake).model_approve(change))


@app.command(
    "call-off",
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden model call-off change-1f0c9a7b3d52 --lake ./lake",
        "lakewarden model call-off change-1f0c9a7b3d52 --json | jq .receipt",
    ),
)
def call_off(
    change: Annotated[str, typer.Argument(metavar="CHANGE", help="The change's id, as `model list` gives it.")],
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a change that waits for approval and was not begun."""
    with Face("model call-off", as_json) as face:
        face.show(opened(lake).model_call_off(change))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden model watch change-1f0c9a7b3d52 --for 24h --lake ./lake",
        "lakewarden model watch change-1f0c9a7b3d52 --for 30m --interval 10 --json | jq .kpis",
    ),
)
def watch(
    change: Annotated[str, typer.Argument(metavar="CHANGE", help="The change's id, as `model list` gives it.")],
    *,
    length: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long: 24h, 30m.")],
    interval: EveryOption = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record figures before and after a change, and say whether it has stabilised.

    Ctrl-C ends it early; what was recorded until then is kept, and the receipt says how long that was. Ends with exit code 1
    when it was watched to the end and has not stabilised.
    """
    with Face("model watch", as_json) as face:
        face.show(_watched(face, opened(lake), change, length, interval))


@app.command(
    cls=TaughtCommand,
    epilog=examples(
        "lakewarden model decisions --version 2 --lake ./lake",
        "lakewarden model decisions --version 2 --from 2026-01-05 --to 2026-01-06 --band HIGH --limit 20 --lake ./lake",
        "lakewarden model decisions --version 2 --out decided-by-2.parquet --json | jq .by_date",
    ),
)
def decisions(
    *,
    version: Annotated[str, typer.Option("--version", metavar="VERSION", help="The version, or scorecard.")],
    first: Annotated[str | None, typer.Option("--from", metavar="YYYY-MM-DD", help="The first event_date.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="YYYY-MM-DD", help="The last event_date.")] = None,
    band: Annotated[Band | None, typer.Option("--band", help="Only this band.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=0, help="Most rows that are shown, the newest ones.")] = 50,
    out: Annotated[str | None, typer.Option("--out", metavar="FILE", help="Write all rows to FILE.parquet or FILE.csv.")] = None,
    lake: LakeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what a version decided: counts by date and band, and the rows."""
    with Face("model decisions", as_json) as face:
        days = (parsed_date(first) if first else None, parsed_date(last) if last else None)
        chosen = None if band is None else band.value
        face.show(opened(lake).model_decisions(version, first=days[0], last=days[1], band=chosen, limit=limit, out=out))


def _check(watch: str | None, alias: Alias) -> None:
    """Refuse a watch that can't be, before anything is changed."""
    if watch is None:
        return
    from lakewarden.operations.change.watch import duration

    duration(watch)
    if alias is Alias.staging:
        raise UsageError("what goes to staging changes no release", state="nothing was changed", next="leave --watch out")


def _end(face: Face, of: Lake, done: Report, watch: str | None, interval: float | None) -> None:
    """Show what was done; watched first, where that was asked for."""
    if watch is None:
        face.show(done)
        return
    from lakewarden.operations.status import Report

    typer.echo(f"{done.data['id']}: release {done.data['release']} is in force, receipt {done.data['receipt']}. Watching.", err=True)
    seen = _watched(face, of, str(done.data["id"]), watch, interval)
    verdict = {"stabilised": seen.data["stabilised"]}
    face.show(
        Report(
            {**done.data, **verdict, "watch": {name: value for name, value in seen.data.items() if name != "id"}}, ok=done.ok and seen.ok
        )
    )


def _watched(face: Face, of: Lake, change: str, length: str, interval: float | None) -> Report:
    from lakewarden.settings import WatchSettings

    settings = WatchSettings() if interval is None else WatchSettings(every_seconds=interval)
    with GracefulStop(say=False) as stop:
        return of.model_watch(change, length, settings=settings, stop=stop.event, on_progress=face.progress)
