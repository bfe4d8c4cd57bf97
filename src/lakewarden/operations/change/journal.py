"""What is kept of a change of the model, below `_changes/<id>/`: its plan, the steps that are done, the figures of its watch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from lakewarden.audit.canonical import plain
from lakewarden.errors import LakeError
from lakewarden.operations.change.plan import AGAIN, Plan

if TYPE_CHECKING:
    from lakewarden.lake.store import Store

FOLDER: Final = "_changes"
PLAN: Final = "plan.json"
STATE: Final = "state.json"
KPIS: Final = "kpis.json"

UNDER_WAY: Final = "under way"
DONE: Final = "done"
STALE: Final = "stale"
"""States. `stale`: another release came into force before this one could; nothing of it was put in force."""


class Journal:
    """The papers of one change.

    Args:
        store: the lake's objects.
        change_id: the change's id.

    Raises (all methods): StorageError when the storage refuses.
    """

    def __init__(self, store: Store, change_id: str) -> None:
        self._store = store
        self.id = change_id

    @classmethod
    def of(cls, store: Store, change_id: str) -> Journal:
        """The journal of a change that was begun.

        Raises:
            LakeError: there is no such change.
        """
        if not change_id.startswith("change-") or "/" in change_id or not store.exists(f"{FOLDER}/{change_id}/{PLAN}"):
            raise LakeError(f"There is no change {change_id!r}.", state="nothing was done", next="lakewarden model list")
        return cls(store, change_id)

    @classmethod
    def begin(cls, store: Store, plan: Plan, approvals: list[dict[str, str]]) -> Journal:
        """Store a new plan and the approvals that it has; its change is then under way."""
        journal = cls(store, plan.id)
        journal._put(STATE, {"state": UNDER_WAY, "time": plan.time, "done": {}, "approvals": approvals})
        journal._put(PLAN, plan.to_dict())  # last: without its plan there is no change
        return journal

    def plan(self) -> Plan:
        """The plan as it was made.

        Raises:
            LakeError: it was changed since.
        """
        return Plan.from_dict(self._get(PLAN) or {}, self.id)

    def state(self) -> dict[str, Any]:
        """State, since when, the steps that are done with what came of each, approvals."""
        return self._get(STATE) or {"state": UNDER_WAY, "done": {}, "approvals": []}

    def done(self, step: str, found: Mapping[str, Any], now: datetime) -> None:
        """A step is done; what came of it."""
        state = self.state()
        self._put(STATE, {**state, "time": now.isoformat(), "done": {**state["done"], step: {"time": now.isoformat(), **found}}})

    def end(self, state: str, now: datetime) -> None:
        """The change is at its end."""
        self._put(STATE, {**self.state(), "state": state, "time": now.isoformat()})

    def keep(self, data: Mapping[str, Any]) -> str:
        """Keep the figures of a watch; gives their address."""
        self._put(KPIS, data)
        return self._store.uri(f"{FOLDER}/{self.id}/{KPIS}")

    def kpis(self) -> dict[str, Any] | None:
        """The figures of the newest watch, None before the first."""
        return self._get(KPIS)

    def _put(self, name: str, data: Mapping[str, Any]) -> None:
        self._store.put(f"{FOLDER}/{self.id}/{name}", json.dumps(plain(data), indent=2).encode())

    def _get(self, name: str) -> dict[str, Any] | None:
        data = self._store.get(f"{FOLDER}/{self.id}/{name}")
        try:
            return None if data is None else dict(json.loads(data))
        except (ValueError, TypeError) as error:
            place = self._store.uri(f"{FOLDER}/{self.id}/{name}")
            raise LakeError(f"{place} is damaged: {error}", state="nothing was changed", next=AGAIN) from error


def listed(store: Store) -> list[Journal]:
    """The journals of every change, in no particular order."""
    return [Journal(store, entry.path.split("/")[1]) for entry in store.entries(FOLDER) if entry.path.endswith(f"/{PLAN}")]


def unfinished(store: Store) -> Journal | None:
    """The change that is under way, None where every one is at its end."""
    return next((journal for journal in listed(store) if journal.state()["state"] == UNDER_WAY), None)
