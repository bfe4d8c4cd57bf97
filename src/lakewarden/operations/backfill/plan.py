"""The plan of a backfill: data that is built, explained, then run (runbook section 5.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from lakewarden.audit.canonical import canonical, plain
from lakewarden.engines.arrival import Span
from lakewarden.errors import LakeError
from lakewarden.operations.replay.plan import Precondition
from lakewarden.settings import BackfillSettings

FORMAT: Final = 1


@dataclass(frozen=True)
class Scope:
    """What goes in.

    Attributes:
        source: the file or folder, as an absolute path.
        files: name, bytes and time of change (microseconds) of each file, in the order of reading.
        mapping: its path, fingerprint and content; None where the files have the contract's names.
        span: dates, and the time before which all of it must lie.
        last_given: whether the last date was asked for; else it is the last one before live data.
        line_of_business, note: what was agreed on, in words.
    """

    source: str
    files: tuple[Mapping[str, Any], ...]
    mapping: Mapping[str, Any] | None
    span: Span
    last_given: bool
    line_of_business: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Plan:
    """Who brings in which files under which release and why; what must hold; what is predicted; what the lake was then.

    Attributes:
        release, labels_version: what every event is derived under.
        model: name and version of the release's model; None where it has none.
        below: the lowest `seq` that the lake has, or 0: the events go right below it.
        below_batch: the lowest micro-batch that it has, or -1.
        point, versions: the published point and the table versions that the plan saw.
    """

    who: str
    time: str
    scope: Scope
    release: str
    model: Mapping[str, str] | None
    labels_version: int
    reason: str
    incident: str | None
    below: int
    below_batch: int
    preconditions: tuple[Precondition, ...]
    predictions: Mapping[str, Any]
    point: int
    versions: Mapping[str, int]
    code_version: str
    settings: BackfillSettings

    @property
    def ok(self) -> bool:
        """Whether every precondition holds."""
        return all(one.ok for one in self.preconditions)

    @property
    def id(self) -> str:
        """`backfill-` and 12 hexadecimal digits of the SHA-256 of the content, time included, as canonical JSON."""
        return "backfill-" + hashlib.sha256(canonical(plain(self._content()))).hexdigest()[:12]

    def _content(self) -> dict[str, Any]:
        scope = self.scope
        return {
            "format": FORMAT,
            "who": self.who,
            "time": self.time,
            "source": scope.source,
            "files": [dict(file) for file in scope.files],
            "mapping": None if scope.mapping is None else dict(scope.mapping),
            "from": None if scope.span.first is None else scope.span.first.isoformat(),
            "to": scope.span.last.isoformat(),
            "to_given": scope.last_given,
            "live_from": scope.span.before.isoformat(),
            "line_of_business": scope.line_of_business,
            "note": scope.note,
            "release": self.release,
            "model": None if self.model is None else dict(self.model),
            "labels_version": self.labels_version,
            "reason": self.reason,
            "incident": self.incident,
            "below_seq": self.below,
            "below_batch": self.below_batch,
            "code_version": self.code_version,
            "preconditions": [{"name": p.name, "ok": p.ok, "what": p.what, "next": p.next} for p in self.preconditions],
            "predictions": dict(self.predictions),
            "point": self.point,
            "versions": dict(self.versions),
            "settings": self.settings.model_dump(),
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; `from_dict` reads it again."""
        content: dict[str, Any] = plain(self._content())
        return {"ok": self.ok, "id": self.id, **content}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], backfill_id: str) -> Plan:
        """Read what `to_dict` gave.

        Raises:
            LakeError: it can't be read.
        """
        try:
            first = data["from"]
            span = Span(
                None if first is None else date.fromisoformat(first),
                date.fromisoformat(data["to"]),
                datetime.fromisoformat(data["live_from"]),
            )
            scope = Scope(
                data["source"], tuple(data["files"]), data["mapping"], span, data["to_given"], data["line_of_business"], data["note"]
            )
            return cls(
                who=data["who"],
                time=data["time"],
                scope=scope,
                release=data["release"],
                model=data["model"],
                labels_version=data["labels_version"],
                reason=data["reason"],
                incident=data["incident"],
                below=data["below_seq"],
                below_batch=data["below_batch"],
                preconditions=tuple(Precondition(**one) for one in data["preconditions"]),
                predictions=data["predictions"],
                point=data["point"],
                versions=data["versions"],
                code_version=data["code_version"],
                settings=BackfillSettings(**data["settings"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise LakeError(
                f"The plan of {backfill_id} can't be read: {error}", state="nothing was run", next="lakewarden backfill plan (a new one)"
            ) from error
