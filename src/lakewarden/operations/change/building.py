"""Build the plan of a change of the model from the lake, the receipts and the registry (runbook sections 6.1, 6.2 step 1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from lakewarden.errors import LakeError, LakewardenError, ModelError, UsageError
from lakewarden.flow.features import FEATURES, FEATURES_VERSION
from lakewarden.flow.model import ScoringModel
from lakewarden.flow.version import code_version
from lakewarden.lake import releases
from lakewarden.lake.release_loader import materialise
from lakewarden.models import registry, stages
from lakewarden.operations import restoring
from lakewarden.operations.change import target
from lakewarden.operations.change.plan import PROMOTE, ROLLBACK, SCORECARD, Plan, Precondition, Request
from lakewarden.settings import FlowSettings

if TYPE_CHECKING:
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.lake.store import Store

NAME: Final = "lakewarden"
"""The model's name in the registry, where no release names one yet."""


@dataclass(frozen=True)
class Wanted:
    """What a change goes to: version, the former release whose parts are taken, the model at rest, and why."""

    version: str
    source: str | None
    model: releases.ModelRef | None
    why: Sequence[str]
    considered: Sequence[Mapping[str, Any]] = ()


def build(lake: Lakehouse, asked: Request, *, who: str, now: datetime) -> Plan:
    """Build a plan; nothing is stored. A precondition that doesn't hold is in the plan, not raised.

    Raises:
        UsageError: there is no reason, or options don't go together.
        ModelError: there is no such version, or it has the alias already.
        LakeError: there is no last known good, or the receipts can't say.
        StorageError: the registry can't be reached.
    """
    _check(asked)
    store = lake.store
    present_id = releases.current_id(store)
    if present_id is None:
        raise LakeError("No release is in force.", state="nothing was changed", next="lakewarden release create")
    present = releases.load(store, present_id)
    before = SCORECARD if present.model is None else present.model.version
    name = model_name(store)
    uri = registry.store_uri(store)
    known = {one.version: one for one in stages.versions(uri, name)}
    wanted = _wanted(lake, asked, before, name, known)
    holder = _holder(asked, known, before, wanted.version)
    manifest = None if asked.alias == registry.STAGING else _manifest(store, asked, present, wanted)
    if manifest is not None and manifest.id == present_id:
        raise _already(wanted.version, "in production")
    return Plan(
        who=who,
        time=now.isoformat(),
        request=asked,
        model=name,
        version_before=before,
        release_before=present_id,
        version_after=wanted.version,
        source=wanted.source,
        sha256=None if wanted.model is None else wanted.model.sha256,
        manifest=None if manifest is None else json.loads(manifest.to_json()),
        release_after=None if manifest is None else manifest.id,
        parts=[] if manifest is None else parts(present, manifest),
        edits={path: hashlib.sha256(data).hexdigest() for path, data in (restoring.edits(store, present) if manifest else {}).items()},
        demoted=holder,
        why=wanted.why,
        considered=wanted.considered,
        notes=_notes(store, asked, present, manifest, wanted),
        preconditions=_preconditions(store, uri, name, asked, wanted, before),
    )


def model_name(store: Store) -> str:
    """The model's name: that of the release in force, or of the newest release that has a model."""
    ids = [releases.current_id(store), *(release_id for release_id, _ in reversed(releases.list_ids(store)))]
    models = (releases.load(store, release_id).model for release_id in ids if release_id is not None)
    return next((model.name for model in models if model is not None), NAME)


def parts(before: releases.Manifest, after: releases.Manifest) -> list[dict[str, Any]]:
    """Each part of two releases, and whether it differs; settings and references one by one."""
    rows = [("contract", before.contract[:12], after.contract[:12]), ("dq rules", before.dq_rules[:12], after.dq_rules[:12])]
    rows += [("compliance rules", before.compliance_rules[:12], after.compliance_rules[:12])]
    for kind in sorted({*before.references, *after.references}):
        rows.append((f"reference {kind}", before.references.get(kind, "")[:12], after.references.get(kind, "")[:12]))
    for name in sorted({*before.settings, *after.settings}):
        rows.append((f"setting {name}", str(before.settings.get(name)), str(after.settings.get(name))))
    rows += [("model", _named(before), _named(after)), ("features", before.features_version, after.features_version)]
    rows += [("code", before.code_version, after.code_version)]
    return [{"part": part, "before": one, "after": other, "changes": one != other} for part, one, other in rows]


def _named(manifest: releases.Manifest) -> str:
    return SCORECARD if manifest.model is None else f"{manifest.model.version} ({manifest.model.sha256[:12]})"


def _check(asked: Request) -> None:
    again = f'lakewarden model {asked.kind} ... --reason "why"'
    if not asked.reason.strip():
        raise UsageError(f"A {asked.kind} needs a reason.", state="nothing was changed", next=again)
    if asked.alias == registry.STAGING and (asked.replay or not asked.model_only):
        raise UsageError(
            "What goes to staging changes no release, so there is nothing to replay or to restore.",
            state="nothing was changed",
            next="leave --replay and --with-release out, or use --alias production",
        )


def _already(version: str, where: str) -> ModelError:
    return ModelError(
        f"Version {version} is {where} already.", state="nothing was changed; the release in force stays", next="lakewarden model list"
    )


def _wanted(lake: Lakehouse, asked: Request, before: str, name: str, known: Mapping[str, stages.Version]) -> Wanted:
    """What the request goes to; versions are named or found."""
    store = lake.store
    if asked.to is None:
        found = target.candidates(store, target.history(store), before, known, target.decided(lake))
        chosen = target.last_known_good(found)
        model = releases.load(store, chosen.stint.release).model
        return Wanted(chosen.version, chosen.stint.release, model, chosen.why, [one.told(chosen) for one in found])
    if asked.alias == registry.PRODUCTION and asked.to == before:
        raise _already(asked.to, "in production")
    if asked.to != SCORECARD and asked.to not in known:
        raise ModelError(
            f"The registry has no version {asked.to} of model {name}; it has {', '.join(known) or 'none'}.",
            state="nothing was changed; the release in force stays",
            next="lakewarden model list",
        )
    why = [f"Version {asked.to} was named."]
    stood: list[target.Stint] = []
    try:
        stood = target.history(store)
    except LakeError as error:  # who names a version needn't wait until the receipts are mended
        why.append(f"{error.what} So its release is the newest one that was made.")
    source = target.release_of(store, asked.to, stood, target.decided(lake))
    if source is None and (asked.to == SCORECARD or asked.kind == ROLLBACK or not asked.model_only):
        raise ModelError(
            f"Version {asked.to} was in no release, so there are no rules and thresholds to restore with it.",
            state="nothing was changed; the release in force stays",
            next=f'lakewarden model promote {asked.to} --reason "why" (takes the model under the present rules)',
        )
    if source is not None:
        why.append(f"Release {source} is the newest one with it, of those that decided something if there are any.")
        return Wanted(asked.to, source, releases.load(store, source).model, why)
    return Wanted(asked.to, None, _from_registry(store, name, known[asked.to]), why)


def _from_registry(store: Store, name: str, version: stages.Version) -> releases.ModelRef:
    """The model of a version that no release has, as one would pin it."""
    data = _stamped(registry.store_uri(store), name, version.version, version.run_id)
    return releases.ModelRef(name, version.version, version.run_id, hashlib.sha256(data).hexdigest())


def _stamped(uri: str, name: str, version: str, run_id: str) -> bytes:
    loaded = ScoringModel.from_bytes(registry.load(uri, name, version))
    return registry.Registered(name, version, run_id).stamp(loaded).to_bytes()


def stored(store: Store, plan: Plan) -> None:
    """Put the model of a version that no release has into the lake; one that is there is left."""
    if plan.sha256 is not None and plan.source is None and plan.manifest is not None:
        model = plan.manifest["model"]
        releases.put_blob(store, _stamped(registry.store_uri(store), plan.model, model["version"], model["run_id"]))


def _holder(asked: Request, known: Mapping[str, stages.Version], before: str, after: str) -> str | None:
    """The version that loses the alias."""
    if asked.alias == registry.STAGING:
        holder = next((one.version for one in known.values() if registry.STAGING in one.aliases), None)
        if holder == after:
            raise _already(after, "in staging")
        if after == before:
            raise _already(after, "in production")
        return holder
    return before if before in known else None


def _manifest(store: Store, asked: Request, present: releases.Manifest, wanted: Wanted) -> releases.Manifest:
    """The release that comes into force, under the present code."""
    now = {"model": wanted.model, "features_version": FEATURES_VERSION, "code_version": code_version()}
    if asked.model_only or wanted.source is None:
        return replace(present, **now)  # type: ignore[arg-type]  # fields of a manifest
    former = releases.load(store, wanted.source)
    return replace(former, **now, settings=FlowSettings(**former.settings).model_dump())  # type: ignore[arg-type]


def _notes(store: Store, asked: Request, present: releases.Manifest, manifest: releases.Manifest | None, wanted: Wanted) -> list[str]:
    if manifest is None:
        return ["Only alias and tags in the registry change; what is in force stays."]
    notes = []
    if asked.model_only:
        notes.append("Only the model changes: rules, thresholds, references and contract stay those of the release in force.")
        if wanted.source is not None:
            differing = [row["part"] for row in parts(releases.load(store, wanted.source), present) if row["changes"]]
            kept = ", ".join(part for part in differing if part not in ("model", "code", "features"))
            notes.append(f"Beside release {wanted.source} the present one differs in: {kept or 'nothing else'}.")
    if wanted.source is not None and not asked.model_only and manifest.id != wanted.source:
        notes.append(
            f"Code or features have changed since {wanted.source}: its parts come into force under the present code, as {manifest.id}."
        )
    edited = sorted(restoring.edits(store, present))
    if edited:
        notes.append(f"Edits that are in no release are replaced, and kept under their hashes: {', '.join(edited)}.")
    return notes


def _preconditions(store: Store, uri: str, name: str, asked: Request, wanted: Wanted, before: str) -> list[Precondition]:
    model = wanted.model
    found = [Precondition("reason", True, f"The reason: {asked.reason.strip()}")]
    if model is None:
        found.append(Precondition("registry", True, "No model is wanted: the compliance rules' points make the score."))
    else:
        found.append(
            _held("registry", f"Version {wanted.version} of {name} is in the registry.", lambda: registry.load(uri, name, model.version))
        )
        if found[-1].ok:
            found.append(_same_bytes(uri, name, model))
    if wanted.source is not None:
        found.append(_held("release loads", f"Release {wanted.source} loads and compiles.", lambda: materialise(store, str(wanted.source))))
    elif model is not None and found[-1].ok:
        found.append(_held("model loads", "The model finds all its features.", lambda: _features(uri, name, model)))
    if asked.kind == PROMOTE and asked.alias == registry.STAGING:
        return found
    told = f"Version {before} is in production, and version {wanted.version} is another one."
    return [*found, Precondition("another version", before != wanted.version, told)]


def _features(uri: str, name: str, model: releases.ModelRef) -> None:
    ScoringModel.from_bytes(registry.load(uri, name, model.version)).check_features(FEATURES)


def _same_bytes(uri: str, name: str, model: releases.ModelRef) -> Precondition:
    """Whether the registry's file is the very model that the release pins."""
    try:
        found = hashlib.sha256(_stamped(uri, name, model.version, model.run_id)).hexdigest()
    except LakewardenError as error:
        return Precondition("same bytes", False, error.what, error.next)
    if found == model.sha256:
        return Precondition("same bytes", True, f"The registry's file is the model that the release pins ({found[:12]}).")
    hashes = f"has the hash {found[:12]}, and the release pins {model.sha256[:12]}"
    what = f"The registry's file of version {model.version} {hashes}: one was changed."
    return Precondition(
        "same bytes", False, what, "restore the registry's file from a backup, or choose another version: lakewarden model list"
    )


def _held(name: str, told: str, look: Callable[[], object]) -> Precondition:
    try:
        look()
    except LakewardenError as error:
        return Precondition(name, False, error.what, error.next)
    return Precondition(name, True, told)
