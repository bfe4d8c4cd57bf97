"""What must hold before history is brought in, checked one by one (runbook section 5.1)."""

from __future__ import annotations

import shlex
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from lakewarden.lake import orders
from lakewarden.operations.backfill.journal import AT_WORK, listed
from lakewarden.operations.replay.plan import Precondition

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lakewarden.flow.release import Release
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.operations.backfill.plan import Scope
    from lakewarden.operations.backfill.sample import Sample


def check(
    lake: Lakehouse,
    scope: Scope,
    earliest: date | None,
    found: Sample,
    release: Release,
    predicted: Mapping[str, Any],
    code_version: str,
) -> tuple[Precondition, ...]:
    """Check every precondition; one that fails doesn't keep the others from being checked.

    Args:
        earliest: the earliest date that the lake has; None where it is empty.
        found: what a sample of the files holds.
    """
    return (
        _readable(scope, found),
        _is_history(lake, scope, earliest, found),
        _loads(release, code_version),
        _has_space(lake, int(predicted["space_bytes"])),
        _alone(lake),
    )


def stream_instead(scope: Scope, lake: str) -> str:
    """The command that takes the same files as late events."""
    mapped = f" --mapping {shlex.quote(str(scope.mapping['path']))}" if scope.mapping else ""
    return f"lakewarden stream --source {shlex.quote(scope.source)}{mapped} --once --lake {shlex.quote(lake)}"


def _readable(scope: Scope, found: Sample) -> Precondition:
    size = sum(int(file["bytes"]) for file in scope.files)
    told = f"{len(scope.files)} files, {size / 1e6:,.1f} MB; {found.loaded.read:,} events read ({found.fraction:.0%}), "
    if not found.loaded.kept:
        span = f"{scope.span.first or 'the oldest'} to {scope.span.last}"
        return Precondition("files", False, told + f"none of {span}.", "give other dates, or another --source")
    days = sorted(found.dates)
    told += f"{found.loaded.kept:,} of them of {days[0]} to {days[-1]}"
    dead = f"; of {found.flow_rows:,} run through the stages {found.dead_letters:,} became dead letters." if found.flow_rows else "."
    return Precondition("files", True, told + dead)


def _is_history(lake: Lakehouse, scope: Scope, earliest: date | None, found: Sample) -> Precondition:
    """All of it lies before everything that the lake has."""
    if earliest is None:
        return Precondition("before live data", True, "The lake has no events yet.")
    last, streamed = earliest - timedelta(days=1), stream_instead(scope, lake.store.root)
    if scope.last_given and scope.span.last >= earliest:
        told = f"The lake has events from {earliest} on, and the dates go up to {scope.span.last}."
        return Precondition("before live data", False, told, f"give --to {last}, or stream those files as late events instead: {streamed}")
    if not scope.last_given and found.newest is not None and found.newest >= earliest:
        told = f"The lake has events from {earliest} on, and the files have events of {found.newest}."
        return Precondition("before live data", False, told, f"give --to {last}, or stream those files as late events instead: {streamed}")
    return Precondition("before live data", True, f"It ends before {earliest}, the earliest date that the lake has.")


def _loads(release: Release, code_version: str) -> Precondition:
    told = f"Release {release.id} is loaded with rules, references and {'model' if release.model else 'no model'}."
    other = f" Made by code {release.code_version}; this is {code_version}." if release.code_version != code_version else ""
    return Precondition("release", True, told + other)


def _has_space(lake: Lakehouse, needed: int) -> Precondition:
    free = lake.store.free_bytes()
    if free is None:
        return Precondition("space", True, "The object store has no limit that is known here.")
    told = f"{needed / 1e6:,.1f} MB are asked for, {free / 1e6:,.1f} MB are free."
    return Precondition("space", free >= needed, told, "" if free >= needed else "free space on the lake's disk, then plan again")


def _alone(lake: Lakehouse) -> Precondition:
    waiting = orders.pending(lake.store)
    if waiting:
        one = waiting[0]
        told = f"Order {one.number} ({one.kind} of {one.subject}) is under way."
        return Precondition("alone", False, told, f"lakewarden {one.kind.replace('.', ' ')} {one.subject} (finishes it)")
    busy = [row for row in listed(lake.store) if row["state"] in AT_WORK]
    if busy:
        told = f"{busy[0]['id']} is {busy[0]['state']}: one backfill at a time, since each goes right below the one before."
        return Precondition("alone", False, told, f"finish it, or lakewarden backfill clean {busy[0]['id']}")
    return Precondition("alone", True, "No order and no other backfill is under way.")
