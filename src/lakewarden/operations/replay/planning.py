"""Build the plan of a replay from the lake as it is published (runbook sections 4.1, 4.2 step 1)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING

import polars as pl

from lakewarden.errors import UsageError
from lakewarden.operations import release
from lakewarden.operations.in_effect import in_effect, on_date
from lakewarden.operations.replay.plan import Plan, Precondition
from lakewarden.operations.replay.preconditions import Scope, check
from lakewarden.operations.replay.predictions import predict
from lakewarden.tables import BRONZE, DLQ, SILVER

if TYPE_CHECKING:
    from lakewarden.flow.release import Release
    from lakewarden.lake.lakehouse import Lakehouse, Snapshot
    from lakewarden.settings import ReplaySettings


def build(
    lake: Lakehouse,
    dates: tuple[date, date],
    *,
    release_prefix: str | None,
    reason: str,
    incident: str | None,
    who: str,
    now: datetime,
    code_version: str,
    settings: ReplaySettings,
    load: Callable[[str], Release],
    accounts: tuple[str, ...] = (),
) -> Plan:
    """Build a plan; nothing is stored. A precondition that doesn't hold is in the plan, not raised.

    Args:
        release_prefix: a release's id or the beginning of it; None: as recorded.
        accounts: whose events are replayed; none named: all.

    Raises:
        UsageError: the dates are the wrong way round, or there is no reason.
        LakeError: there is no such release, or nothing is published.
    """
    if dates[0] > dates[1]:
        raise UsageError(f"{dates[0]} is after {dates[1]}.", state="nothing was planned", next="give the earlier date as --from")
    if not reason.strip():
        raise UsageError("A replay needs a reason.", state="nothing was planned", next='lakewarden replay plan ... --reason "why"')
    release_id = None if release_prefix is None else release.show(lake.store, release_prefix).id
    snapshot = lake.snapshot()
    scope = Scope.of(snapshot, dates)
    under = _standing(lake, snapshot, scope)
    if release_id is None and len(under) == 1:
        release_id = under.copy().pop()
    predictions = predict(snapshot, scope, settings)
    needed = int(predictions["bytes"] * settings.space_factor)
    used = [release_id] if release_id else _recorded(snapshot, scope)
    return Plan(
        who=who,
        time=now.isoformat(),
        dates=dates,
        release=release_id,
        reason=reason.strip(),
        incident=incident,
        stretch=scope.stretch,
        cut=scope.cut,
        preconditions=(
            *check(lake, snapshot, scope, used, load, needed, code_version),
            *_alike(under, release_id),
            *_accounts(snapshot, scope, accounts),
        ),
        predictions={**predictions, "releases": used},
        point=snapshot.point.point,
        versions=dict(snapshot.point.versions),
        code_version=code_version,
        settings=settings,
        accounts=tuple(sorted(set(accounts))),
    )


def newest_date(lake: Lakehouse) -> date:
    """The newest date that has published events; the earliest date there is where none has."""
    found = lake.table(BRONZE.name).select(pl.col("event_date").max()).collect().item()
    return found if isinstance(found, date) else date.min


def _standing(lake: Lakehouse, snapshot: Snapshot, scope: Scope) -> set[str | None]:
    """What the dates stand under: releases of replays that were swapped in over them; None: as bronze recorded."""
    standing = in_effect(lake.store, snapshot.point.order)
    found: set[str | None] = set()
    for layers in (on_date(standing, day) for day in scope.events):
        found |= {one.release for one in layers}
        if not layers or layers[-1].among is not None:
            found.add(None)
    return found


def _accounts(snapshot: Snapshot, scope: Scope, accounts: tuple[str, ...]) -> tuple[Precondition, ...]:
    """Every account that is named has events in the dates: in silver, or among the dead letters."""
    if not accounts or not scope.events:
        return ()
    tables = [snapshot.scan(spec.name).filter(scope.range).select("account_id") for spec in (SILVER, DLQ)]
    counted = pl.concat(tables).filter(pl.col("account_id").is_in(accounts)).group_by("account_id").agg(pl.len()).collect()
    found = dict(counted.iter_rows())
    missing = [account for account in accounts if account not in found]
    if missing:
        return (Precondition("accounts", False, f"No events of {', '.join(missing)} on these dates.", "name accounts that have events"),)
    return (Precondition("accounts", True, f"{sum(found.values()):,} events of {len(found)} accounts on these dates."),)


def _alike(under: set[str | None], release_id: str | None) -> tuple[Precondition, ...]:
    """As recorded, dates are replayed together only if they stand under the same."""
    if len(under) <= 1 or release_id is not None:
        return ()
    told = ", ".join(sorted(one or "the releases that bronze recorded" for one in under))
    return (Precondition("alike", False, f"These dates stand under different releases: {told}.", "plan them apart, or name one --release"),)


def _recorded(snapshot: Snapshot, scope: Scope) -> list[str]:
    if scope.stretch is None:
        return []
    found = (
        snapshot.scan(BRONZE.name).filter(pl.col("seq").is_between(*scope.stretch)).select(pl.col("release_id").unique().sort()).collect()
    )
    return found["release_id"].to_list()
