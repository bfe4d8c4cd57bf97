"""The plan of a change of the model: data that is built, explained, then applied step by step (runbook section 6.2)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from lakewarden.audit.canonical import canonical, plain
from lakewarden.errors import LakeError, ModelError

FORMAT: Final = 1
ROLLBACK: Final = "rollback"
PROMOTE: Final = "promote"
SCORECARD: Final = "scorecard"
"""The name of no model: the compliance rules' points make the score."""

REGISTRY: Final = "registry"
RELEASE: Final = "release"
CONFIRM: Final = "confirm"
REPLAY: Final = "replay"
RECEIPT: Final = "receipt"


@dataclass(frozen=True)
class Precondition:
    """One precondition: its name, whether it holds, a sentence that says so, and the next command where it doesn't."""

    name: str
    ok: bool
    what: str
    next: str = ""


@dataclass(frozen=True)
class Request:
    """What was asked for; the same request again is the same change, as long as that isn't at its end.

    Attributes:
        kind: `rollback` or `promote`.
        to: a version, `scorecard`, or None for the last known good.
        alias: `production` or `staging`.
        model_only: the model changes; rules, thresholds, references and contract stay.
        demote_to: the stage of the version that is replaced: `archived` or `staging`.
        replay: plan the replay of what the replaced version decided.
        reason, incident: why, and the incident that it belongs to.
    """

    kind: str
    to: str | None
    alias: str
    model_only: bool
    demote_to: str
    replay: bool
    reason: str
    incident: str | None


@dataclass(frozen=True)
class Plan:
    """Who changes which model to which one and why; what must hold; what will differ; what the lake was then.

    Attributes:
        model: the model's name in the registry.
        version_before, release_before: what is in force; `scorecard` where there is no model.
        version_after: what comes into force, or gets the alias.
        source: the former release whose parts are taken; None where the version was in none.
        sha256: of the packed model; None for the scorecard.
        manifest: of the release that comes into force; None where none does (`--alias staging`).
        release_after: its id.
        parts: each part of a release, what it is before and after.
        edits: files of `conf/` that were edited and are in no release; they are kept by hash, and replaced.
        demoted: the version that loses the alias; None: nobody has it.
        why, considered: why this target; each release that was looked at for it, newest first.
        notes: what one should know besides.
    """

    who: str
    time: str
    request: Request
    model: str
    version_before: str
    release_before: str
    version_after: str
    source: str | None
    sha256: str | None
    manifest: Mapping[str, Any] | None
    release_after: str | None
    parts: Sequence[Mapping[str, Any]]
    edits: Mapping[str, str]
    demoted: str | None
    why: Sequence[str]
    considered: Sequence[Mapping[str, Any]]
    notes: Sequence[str]
    preconditions: Sequence[Precondition]

    @property
    def ok(self) -> bool:
        """Whether every precondition holds."""
        return all(one.ok for one in self.preconditions)

    @property
    def id(self) -> str:
        """`change-` and 12 hexadecimal digits of the SHA-256 of the content, time included, as canonical JSON."""
        return "change-" + hashlib.sha256(canonical(plain(self._content()))).hexdigest()[:12]

    @property
    def steps(self) -> dict[str, str]:
        """The steps in their order, and what each does."""
        asked = self.request
        loses = f"version {self.demoted} becomes {asked.demote_to}" if self.demoted else "no version loses it"
        gets = f"the alias {asked.alias} goes to version {self.version_after}"
        gets = f"no version has the alias {asked.alias}" if self.version_after == SCORECARD else gets
        found = {REGISTRY: f"{gets}; {loses}"}
        if self.release_after is not None:
            found[RELEASE] = f"release {self.release_after} comes into force; a running stream takes it up at its next micro-batch"
        found[CONFIRM] = "look again: release, conf/, alias and tags are what they should be"
        if asked.replay:
            found[REPLAY] = f"plan the replay of the dates that version {self.version_before} decided; it is not run"
        return {**found, RECEIPT: f"leave the receipt model.{asked.kind}"}

    def _content(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` reads it again."""
        content: dict[str, Any] = plain(self._content())
        return {"ok": self.ok, "id": self.id, **content, "steps": [{"step": name, "does": does} for name, does in self.steps.items()]}

    def explained(self) -> dict[str, Any]:
        """The plan in the order of reading, for `--dry-run`: JSON-ready, of the parts those that change."""
        content = self.to_dict()
        first = ("ok", "id", "who", "model", "version_before", "version_after", "release_before", "release_after", "source", "demoted")
        last = ("why", "notes", "edits", "steps", "preconditions", "considered", "request")
        return {
            **{name: content[name] for name in first},
            "parts_changed": [row for row in content["parts"] if row["changes"]],
            "parts_unchanged": sum(not row["changes"] for row in content["parts"]),
            **{name: content[name] for name in last},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], change_id: str) -> Plan:
        """Read what `to_dict` gave.

        Raises:
            LakeError: it can't be read, or it was changed since.
        """
        try:
            said = {spec.name: data[spec.name] for spec in fields(cls)}
            said["request"] = Request(**said["request"])
            said["preconditions"] = tuple(Precondition(**one) for one in said["preconditions"])
            plan = cls(**said)
        except (KeyError, TypeError, ValueError) as error:
            raise LakeError(f"The plan of {change_id} can't be read: {error}", state="nothing was changed", next=AGAIN) from error
        if plan.id != change_id:
            raise LakeError(f"The plan of {change_id} was changed after it was made.", state="nothing was changed", next=AGAIN)
        return plan

    def require(self) -> None:
        """Refuse a plan of which a precondition doesn't hold.

        Raises:
            ModelError: names what doesn't hold, and the next command.
        """
        failed = [one for one in self.preconditions if not one.ok]
        if failed:
            raise ModelError(
                " ".join(one.what for one in failed),
                state="nothing was changed; the release in force stays",
                next=failed[0].next or f"lakewarden model {self.request.kind} ... --dry-run (shows the whole plan)",
            )


AGAIN: Final = "lakewarden model list; then the same command again (a new plan)"
