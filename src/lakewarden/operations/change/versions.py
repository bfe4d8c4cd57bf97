"""The versions of the model: stage, aliases, metrics, releases that pinned each, and what each decided (`model list`, `model show`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lakewarden.errors import LakeError, ModelError
from lakewarden.lake import releases
from lakewarden.models import registry, stages
from lakewarden.operations.change import journal as papers
from lakewarden.operations.change import target
from lakewarden.operations.change.building import model_name
from lakewarden.operations.change.plan import SCORECARD
from lakewarden.operations.status import Report

if TYPE_CHECKING:
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.lake.store import Store
    from lakewarden.models.stages import Version
    from lakewarden.operations.change.journal import Journal

METRICS: Final = ("average_precision", "auc", "brier")
"""Metrics that the list shows of a version, where its run has them."""


def listed(lake: Lakehouse) -> Report:
    """Every version, newest first, the one in force, and the changes that were made. Raises StorageError where no registry answers."""
    store = lake.store
    name, by_release = model_name(store), target.decided(lake)
    pinned = _pinned(store)
    present = releases.current_id(store)
    in_force = None if present is None else target.version_of(store, present)
    found = stages.versions(registry.store_uri(store), name)
    rows = [_row(one, pinned.get(one.version, []), by_release, in_force) for one in reversed(found)]
    changes = sorted((line(one) for one in papers.listed(store)), key=lambda row: str(row.get("planned", "")), reverse=True)
    production = next((one.version for one in found if registry.PRODUCTION in one.aliases), None)
    data: dict[str, Any] = {"rows": len(rows), "model": name, "in_force": in_force, "release": present, "production": production}
    if in_force != (production or SCORECARD):
        data["notice"] = f"the alias production is with version {production}, and the release in force has {in_force}"
    return Report({**data, "versions": rows, "changes": changes})


def shown(lake: Lakehouse, version: str) -> Report:
    """All that is known of one version.

    Raises:
        ModelError: there is none.
    """
    store = lake.store
    name = model_name(store)
    found = {one.version: one for one in stages.versions(registry.store_uri(store), name)}
    if version not in found:
        raise ModelError(
            f"The registry has no version {version} of model {name}; it has {', '.join(found) or 'none'}.", next="lakewarden model list"
        )
    one, by_release = found[version], target.decided(lake)
    pinned = _pinned(store).get(version, [])
    present = releases.current_id(store)
    in_force = None if present is None else target.version_of(store, present)
    stood = [stint for stint in target.history(store) if stint.release in pinned]
    return Report(
        {
            **_row(one, pinned, by_release, in_force),
            "model": name,
            "run_id": one.run_id,
            "tags": dict(one.tags),
            "metrics": dict(one.metrics),
            "pinned_by": [
                {"release": release_id, "in_force_now": release_id == present, **_figures([release_id], by_release)}
                for release_id in pinned
            ],
            "in_force_times": [vars(stint) for stint in stood],
            "changes": [line(paper) for paper in papers.listed(store) if _concerns(paper, version)],
            "next": f"lakewarden model decisions --version {version}",
        }
    )


def line(journal: Journal) -> dict[str, Any]:
    """What a list shows of a change; one that is damaged hides no other."""
    try:
        plan, state = journal.plan(), journal.state()
    except LakeError as error:
        return {"id": journal.id, "kind": None, "state": "damaged", "reason": error.what, "next": error.next}
    told = {"id": plan.id, "kind": plan.request.kind, "state": state["state"], "planned": plan.time, "who": plan.who}
    told |= {"alias": plan.request.alias, "from": plan.version_before if plan.release_after else plan.demoted, "to": plan.version_after}
    unfinished = state["state"] == papers.UNDER_WAY
    return {**told, "reason": plan.request.reason, "next": resume(plan.id, plan.request.kind) if unfinished else None}


def resume(change_id: str, kind: str) -> str:
    """The command that finishes a change."""
    return f"lakewarden model {kind} --resume {change_id}"


def _concerns(journal: Journal, version: str) -> bool:
    try:
        plan = journal.plan()
    except LakeError:
        return False
    return version in (plan.version_after, plan.version_before, plan.demoted)


def _pinned(store: Store) -> dict[str, list[str]]:
    """The releases that pin each version, oldest first."""
    found: dict[str, list[str]] = {}
    for release_id, _ in releases.list_ids(store):
        found.setdefault(target.version_of(store, release_id), []).append(release_id)
    return found


def _row(one: Version, pinned: list[str], by_release: dict[str, target.Decided], in_force: str | None) -> dict[str, Any]:
    return {
        "version": one.version,
        "in_force": one.version == in_force,
        "stage": one.stage,
        "aliases": list(one.aliases),
        "registered": one.registered.isoformat(timespec="seconds"),
        **{name: one.metrics[name] for name in METRICS if name in one.metrics},
        **_figures(pinned, by_release),
        "releases": len(pinned),
        "superseded_by": one.superseded_by,
        "rolled_back_from": one.rolled_back_from,
    }


def _figures(pinned: list[str], by_release: dict[str, target.Decided]) -> dict[str, Any]:
    """What the stream decided under these releases."""
    found = [by_release[release_id] for release_id in pinned if release_id in by_release]
    return {
        "events": sum(one.events for one in found),
        "first_batch": min((one.first_batch for one in found), default=None),
        "last_batch": max((one.last_batch for one in found), default=None),
    }
