"""Versions in the registry and where each stands: production, staging, archived (runbook section 6.2 step 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lakewarden.models.registry import (
    ARCHIVED,
    PRODUCTION,
    ROLLED_BACK_FROM,
    STAGE,
    STAGING,
    SUPERSEDED_BY,
    client_of,
)


@dataclass(frozen=True)
class Version:
    """A registered version: its run, when it was registered, aliases, tags, and metrics of its run."""

    version: str
    run_id: str
    registered: datetime
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def stage(self) -> str | None:
        """What the tag says, or else an alias; None: neither says anything."""
        return self.tags.get(STAGE) or next((name for name in (PRODUCTION, STAGING) if name in self.aliases), None)

    @property
    def superseded_by(self) -> str | None:
        """The version that took its place in production."""
        return self.tags.get(SUPERSEDED_BY)

    @property
    def rolled_back_from(self) -> str | None:
        """The change that rolled back from it."""
        return self.tags.get(ROLLED_BACK_FROM)


def versions(uri: str, name: str) -> list[Version]:
    """Every version of a model, oldest first; empty where there is no registry yet, or no such model.

    Raises:
        StorageError: the registry can't be reached.
    """
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        return []
    with client_of(uri) as client:
        found = client.search_model_versions(f"name='{name}'")
        aliases = client.get_registered_model(name).aliases if found else {}
        made = []
        for one in found:
            run = client.get_run(one.run_id) if one.run_id else None
            own = tuple(sorted(alias for alias, version in aliases.items() if str(version) == str(one.version)))
            registered = datetime.fromtimestamp(one.creation_timestamp / 1000, UTC)
            metrics = {} if run is None else dict(sorted(run.data.metrics.items()))
            made.append(Version(str(one.version), str(one.run_id), registered, own, dict(one.tags), metrics))
    return sorted(made, key=lambda one: int(one.version))


@dataclass(frozen=True)
class Move:
    """Where versions go; each part may be done again.

    Attributes:
        name: of the model.
        alias: `production` or `staging`.
        to: the version that gets it; None: nobody has it.
        demoted: the version that had it.
        demote_to: its stage then, `archived` or `staging`.
        rolled_back: the change, where the demoted version is rolled back from.
    """

    name: str
    alias: str
    to: str | None
    demoted: str | None
    demote_to: str = ARCHIVED
    rolled_back: str | None = None


def move(uri: str, wanted: Move) -> None:
    """Move aliases and tags; doing it again changes nothing.

    The demoted version is tagged first and the alias moves last, so that there is no time at which the registry calls nothing production.

    Raises:
        StorageError: the registry can't be reached or written.
    """
    with client_of(uri) as client:
        aliases = {alias: str(version) for alias, version in client.get_registered_model(wanted.name).aliases.items()}

        def tag(version: str, key: str, value: str | None) -> None:
            if value is not None:
                client.set_model_version_tag(wanted.name, version, key, value)
            elif key in client.get_model_version(wanted.name, version).tags:
                client.delete_model_version_tag(wanted.name, version, key)

        if wanted.demoted is not None and wanted.demoted != wanted.to:
            tag(wanted.demoted, STAGE, wanted.demote_to)
            if wanted.rolled_back is not None:
                tag(wanted.demoted, ROLLED_BACK_FROM, wanted.rolled_back)
            elif wanted.alias == PRODUCTION and wanted.to is not None:
                tag(wanted.demoted, SUPERSEDED_BY, wanted.to)
            if wanted.demote_to == STAGING:
                tried = aliases.get(STAGING)
                if tried is not None and tried not in (wanted.demoted, wanted.to):
                    tag(tried, STAGE, ARCHIVED)
                client.set_registered_model_alias(wanted.name, STAGING, wanted.demoted)
        if wanted.to is not None:
            tag(wanted.to, STAGE, wanted.alias)
            if wanted.alias == PRODUCTION:
                tag(wanted.to, SUPERSEDED_BY, None)
                tag(wanted.to, ROLLED_BACK_FROM, None)
                if aliases.get(STAGING) == wanted.to and wanted.demote_to != STAGING:
                    client.delete_registered_model_alias(wanted.name, STAGING)
            client.set_registered_model_alias(wanted.name, wanted.alias, wanted.to)
        elif wanted.alias in aliases:
            client.delete_registered_model_alias(wanted.name, wanted.alias)
