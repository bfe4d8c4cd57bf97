"""What is kept of a change of the model, below `_changes/<id>/`: its plan, the steps that are done, the figures of its watch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from lakewarden.audit.canonical import plain
from lakewarden.errors import LakeError, UsageError
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
CALLED_OFF: Final = "called off"
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

    def approve(self, who: str, now: datetime) -> dict[str, str]:
        """Record that a person approves the change; once a person.

        Raises:
            LakeError: it is at its end.
            UsageError: who planned it can't approve it.
        """
        plan, state = self.plan(), self.state()
        self._waits(state)
        if who == plan.who:
            raise UsageError(
                f"{who} planned {self.id}, and it takes a second person to approve it.",
                state="nothing was approved",
                next=f"someone else: lakewarden model approve {self.id}",
            )
        told = {"who": who, "when": now.isoformat(), "plan_hash": self.id}
        others = [one for one in state["approvals"] if one["who"] != who]
        self._put(STATE, {**state, "approvals": [*others, told]})
        return told

    def require_approval(self, second_person: Sequence[str]) -> None:
        """Refuse to begin what a second person has to approve first.

        Raises:
            LakeError: nobody but who planned it has.
        """
        plan, state = self.plan(), self.state()
        others = [one for one in state["approvals"] if one["who"] != plan.who]
        if f"model.{plan.request.kind}" in second_person and not others and not state["done"]:
            raise LakeError(
                f"A second person has to approve {self.id} (conf/operations.yaml: second_person).",
                state="its plan is stored; nothing was changed",
                next=f"someone other than {plan.who}: lakewarden model approve {self.id}; then lakewarden model {plan.request.kind} "
                f"--resume {self.id}, or lakewarden model call-off {self.id}",
            )

    def call_off(self, now: datetime) -> None:
        """End a change that was not begun.

        Raises:
            LakeError: it is at its end, or steps of it are done.
        """
        state = self.state()
        self._waits(state)
        if state["done"]:
            kind = self.plan().request.kind
            raise LakeError(
                f"{self.id} was begun: {', '.join(state['done'])}.",
                state="nothing was changed now",
                next=f"lakewarden model {kind} --resume {self.id} (finishes it), then lakewarden model rollback",
            )
        self.end(CALLED_OFF, now)

    def _waits(self, state: Mapping[str, Any]) -> None:
        if state["state"] != UNDER_WAY:
            raise LakeError(f"{self.id} is {state['state']}.", state="nothing was changed", next="lakewarden model list")

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
