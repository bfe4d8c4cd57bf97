"""Releases: from the lake's `conf/` folder, reference data and production model to an immutable, content-addressed release.

Users edit `conf/*.yaml` in the lake; a change makes a new release, which a running stream picks up at its next micro-batch. A former
release is put back whole (`operations.restoring`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import ValidationError

from lakewarden.audit import contacts
from lakewarden.contracts import compiler
from lakewarden.errors import ConfigurationError, LakeError, LakewardenError, StorageError
from lakewarden.flow.features import FEATURES_VERSION
from lakewarden.flow.version import code_version
from lakewarden.lake import releases
from lakewarden.lake.release_loader import materialise
from lakewarden.operations import policy, restoring
from lakewarden.operations.conf import (
    COMPLIANCE_RULES,
    CONTRACT,
    DQ_RULES,
    MODEL,
    REFERENCES,
    SETTINGS,
    model_text,
    references_text,
    required,
    settings_text,
)
from lakewarden.rules import references
from lakewarden.settings import FlowSettings

if TYPE_CHECKING:
    from lakewarden.lake.store import Store

ATTEMPTS: Final = 20
"""How often `conf/` is read again where a restoration changed it meanwhile."""


@dataclass(frozen=True)
class ReleaseReport:
    """One release: id, whether it is in force, what it pins, whether it is new, the number of the receipt of its making.

    `change`: the change of the model that put it in force just now, and that leaves the receipt.
    """

    id: str
    current: bool
    new: bool
    manifest: dict[str, Any]
    receipt: int | None = None
    ok: bool = True
    change: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        told: dict[str, Any] = {} if self.receipt is None else {"receipt": self.receipt}
        if self.change is not None:
            told["change"] = self.change
        return {"ok": self.ok, "id": self.id, "current": self.current, "new": self.new, **told, **self.manifest}


@dataclass(frozen=True)
class ReleasesReport:
    """All releases, newest first."""

    releases: tuple[dict[str, Any], ...]
    ok: bool = True

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"ok": self.ok, "rows": len(self.releases), "releases": list(self.releases)}


def write_defaults(store: Store) -> None:
    """Give a new lake its `conf/`: contract, rules, settings, references, contacts, how operations are done. Existing files are left."""
    package = resources.files("lakewarden") / "conf"
    defaults: dict[str, Callable[[], bytes]] = {
        CONTRACT: lambda: json.dumps(compiler.load(2), indent=2).encode(),
        DQ_RULES: (package / "dq_rules.yaml").read_bytes,
        COMPLIANCE_RULES: (package / "compliance_rules.yaml").read_bytes,
        SETTINGS: lambda: settings_text(FlowSettings()).encode(),
        REFERENCES: lambda: json.dumps(
            {k: releases.put_reference(store, t) for k, t in references.defaults().tables.items()}, indent=2
        ).encode(),
        contacts.PATH: contacts.default,
        policy.PATH: policy.default,
    }
    for path, content in defaults.items():
        if not store.exists(path):
            store.put(path, content())


def _settings(store: Store) -> FlowSettings:
    try:
        return FlowSettings(**(yaml.safe_load(required(store, SETTINGS)) or {}))
    except (yaml.YAMLError, ValidationError, TypeError) as error:
        raise ConfigurationError(
            f"{store.uri(SETTINGS)} can't be used: {' '.join(str(error).split())[:400]}",
            state="the release in force stays",
            next="correct the file",
        ) from error


def compose(store: Store) -> releases.Manifest:
    """The manifest of what the lake's `conf/` says now; its parts are stored, nothing is put in force."""
    model = store.get(MODEL)
    return releases.Manifest(
        contract=releases.put_blob(store, required(store, CONTRACT)),
        dq_rules=releases.put_blob(store, required(store, DQ_RULES)),
        compliance_rules=releases.put_blob(store, required(store, COMPLIANCE_RULES)),
        references=json.loads(required(store, REFERENCES)),
        settings=_settings(store).model_dump(),
        model=releases.ModelRef(**json.loads(model)) if model else None,
        features_version=FEATURES_VERSION,
        code_version=code_version(),
    )


def create(store: Store, now: datetime) -> ReleaseReport:
    """Make a release of what `conf/` says now and put it in force; the same content is the same release.

    A restoration that somebody began is finished first, so what is composed is all of one release or all of another.

    Raises:
        LakewardenError: some part can't be compiled; the release in force stays.
    """
    marker, manifest = _composed(store)
    before = releases.current_id(store)
    by = marker.change if marker is not None and marker.due(store, manifest) else None
    if manifest.id != before:
        releases.save(store, manifest)
        materialise(store, manifest.id)
        releases.set_current(store, manifest.id, now, by)
    if by is not None:
        restoring.settle(store)
    return ReleaseReport(manifest.id, True, manifest.id != before, json.loads(manifest.to_json()), change=by)


def _composed(store: Store) -> tuple[restoring.Marker | None, releases.Manifest]:
    """The manifest of a `conf/` that no restoration changed while it was read, and the newest restoration."""
    for _ in range(ATTEMPTS):
        marker = restoring.finish(store)
        try:
            manifest = compose(store)
        except LakewardenError:
            if restoring.read(store) == marker:
                raise
            continue
        if restoring.read(store) == marker:
            return marker, manifest
    raise StorageError(
        "`conf/` is restored again and again while it is read.", state="the release in force stays", next="run the same command again"
    )


def ensure(store: Store, now: datetime) -> str:
    """The id of the release in force, made anew where the code or `conf/` has changed since."""
    return create(store, now).id


def listed(store: Store) -> ReleasesReport:
    """All releases, newest first."""
    current = releases.current_id(store)
    rows = []
    for release_id, stored in reversed(releases.list_ids(store)):
        manifest = releases.load(store, release_id)
        rows.append(
            {
                "id": release_id,
                "current": release_id == current,
                "stored": stored.isoformat(timespec="seconds"),
                "model": f"{manifest.model.name} {manifest.model.version}" if manifest.model else "scorecard",
                "dq_rules": manifest.dq_rules[:12],
                "compliance_rules": manifest.compliance_rules[:12],
                "references": len(manifest.references),
                "code_version": manifest.code_version,
            }
        )
    return ReleasesReport(tuple(rows))


def show(store: Store, prefix: str) -> ReleaseReport:
    """One release by its id or the beginning of it.

    Raises:
        LakeError: none or several begin so.
    """
    found = [i for i, _ in releases.list_ids(store) if i.startswith(prefix)]
    if len(found) != 1:
        what = "No release begins" if not found else f"{len(found)} releases begin"
        raise LakeError(f"{what} with {prefix!r}.", next="lakewarden release list")
    manifest = releases.load(store, found[0])
    return ReleaseReport(found[0], found[0] == releases.current_id(store), False, json.loads(manifest.to_json()))


def set_model(store: Store, model: releases.ModelRef | None) -> None:
    """Name the model of the next release; None: back to the scorecard of the compliance rules."""
    if model is None:
        store.delete([MODEL])
    else:
        store.put(MODEL, model_text(model))


def set_references(store: Store, changed: dict[str, str]) -> None:
    """Name new versions of reference tables for the next release."""
    pinned = json.loads(required(store, REFERENCES))
    store.put(REFERENCES, references_text({**pinned, **changed}))


class ReleaseWatch:
    """Tells a running stream which release is in force; a changed `conf/` becomes a new release.

    A `conf/` that can't be compiled leaves the release in force and is reported once through `warn`.

    Args:
        store: the lake's objects.
        now: the wall clock.
        monotonic: a timer.
        warn: told of what could not be done; the stream goes on.
        made: told of each release that it put in force, so that it leaves a receipt; what it raises goes to `warn`.
    """

    def __init__(
        self,
        store: Store,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        warn: Callable[[LakewardenError], None],
        made: Callable[[ReleaseReport], object] = lambda _: None,
    ) -> None:
        self._store = store
        self._now = now
        self._monotonic = monotonic
        self._warn = warn
        self._made = made
        self._seen = self._signature()
        self._looked = monotonic()
        self._current = self._ensure()

    def current(self) -> str:
        """The id of the release in force; looks at most once a second."""
        if self._monotonic() - self._looked >= 1.0:
            self._looked = self._monotonic()
            seen = self._signature()
            if seen != self._seen:
                self._seen = seen
                try:
                    self._ensure()
                except LakewardenError as error:
                    self._warn(error)
            self._current = releases.current_id(self._store) or self._current
        return self._current

    def _ensure(self) -> str:
        made = create(self._store, self._now())
        if made.new:
            try:
                self._made(made)
            except LakewardenError as error:  # what was put in force stays in force
                self._warn(error)
        return made.id

    def _signature(self) -> tuple[object, ...]:
        return restoring.read(self._store), *sorted((e.path, e.size, e.modified) for e in self._store.entries("conf"))
