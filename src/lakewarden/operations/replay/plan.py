"""The plan of a replay: data that is built, explained, then run (runbook sections 4.1, 4.2 step 1)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from lakewarden.audit.canonical import canonical, plain
from lakewarden.errors import LakeError
from lakewarden.settings import ReplaySettings

FORMAT: Final = 1


@dataclass(frozen=True)
class Precondition:
    """One precondition: its name, whether it holds, a sentence that says so, and the next command where it doesn't."""

    name: str
    ok: bool
    what: str
    next: str = ""


@dataclass(frozen=True)
class Plan:
    """Who replays which dates under which release and why; what must hold; what is predicted; what the lake was then.

    Attributes:
        accounts: whose events are replayed; none named: all of the dates.
        release: its id; None: each row under the release that its bronze records.
        stretch: first and last `seq` of the dates' events; None where there are none. What arrives later is not replayed.
        cut: the newest `seq` at the published point of the plan.
        point, versions: the published point and the table versions that the plan saw.
    """

    who: str
    time: str
    dates: tuple[date, date]
    release: str | None
    reason: str
    incident: str | None
    stretch: tuple[int, int] | None
    cut: int
    preconditions: tuple[Precondition, ...]
    predictions: Mapping[str, Any]
    point: int
    versions: Mapping[str, int]
    code_version: str
    settings: ReplaySettings
    accounts: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every precondition holds."""
        return all(one.ok for one in self.preconditions)

    @property
    def id(self) -> str:
        """`replay-` and 12 hexadecimal digits of the SHA-256 of the content, time included, as canonical JSON."""
        return "replay-" + hashlib.sha256(canonical(plain(self._content()))).hexdigest()[:12]

    def _content(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "who": self.who,
            "time": self.time,
            "from": self.dates[0].isoformat(),
            "to": self.dates[1].isoformat(),
            "accounts": list(self.accounts),
            "release": self.release,
            "as_recorded": self.release is None,
            "reason": self.reason,
            "incident": self.incident,
            "first_seq": self.stretch[0] if self.stretch else None,
            "last_seq": self.stretch[1] if self.stretch else None,
            "cut_seq": self.cut,
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
    def from_dict(cls, data: Mapping[str, Any], replay_id: str) -> Plan:
        """Read what `to_dict` gave.

        Raises:
            LakeError: it can't be read.
        """
        try:
            first, last = data["first_seq"], data["last_seq"]
            return cls(
                who=data["who"],
                time=data["time"],
                dates=(date.fromisoformat(data["from"]), date.fromisoformat(data["to"])),
                release=data["release"],
                reason=data["reason"],
                incident=data["incident"],
                stretch=None if first is None else (first, last),
                cut=data["cut_seq"],
                preconditions=tuple(Precondition(**one) for one in data["preconditions"]),
                predictions=data["predictions"],
                point=data["point"],
                versions=data["versions"],
                code_version=data["code_version"],
                settings=ReplaySettings(**data["settings"]),
                accounts=tuple(data["accounts"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise LakeError(
                f"The plan of {replay_id} can't be read: {error}", state="nothing was run", next="lakewarden replay plan (a new one)"
            ) from error
