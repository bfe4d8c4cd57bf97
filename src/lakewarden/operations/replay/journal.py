"""What is kept of a replay: its plan, its state and its reports, below `_replays/<id>/` (runbook section 4)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from lakewarden.errors import LakeError
from lakewarden.lake.store import Store
from lakewarden.operations.replay.plan import Plan

FOLDER: Final = "_replays"
PLAN: Final = "plan.json"
STATE: Final = "state.json"
REPORT: Final = "report.json"
PAGE: Final = "report.html"
DIFFERENCES: Final = "differences.parquet"

PLANNED: Final = "planned"
RUNNING: Final = "running"
RUN: Final = "run"
VALIDATED: Final = "validated"
STOPPED: Final = "stopped"
ORDERED: Final = "ordered"
SWAPPED: Final = "swapped"
UNDONE: Final = "undone"
CLEANED: Final = "cleaned"
"""States of a replay. `stopped`: validated, and a gate stopped it. `ordered`: its swap, or the undoing of it, waits to be carried out."""

PLAN_AGAIN: Final = "lakewarden replay plan (a new one)"
NEXT: Final = {
    PLANNED: "lakewarden replay run {id}",
    RUNNING: "lakewarden replay run {id} (carries on)",
    RUN: "lakewarden replay validate {id}",
    VALIDATED: "lakewarden replay swap {id}",
    ORDERED: "lakewarden replay swap {id} (finishes what was begun)",
    SWAPPED: "lakewarden replay can-undo {id}; lakewarden replay clean {id} (when it isn't needed any more)",
    UNDONE: "lakewarden replay clean {id}, or lakewarden replay validate {id} and swap again",
    STOPPED: "lakewarden replay clean {id} (when the report was read)",
    CLEANED: PLAN_AGAIN,
}
"""The next command, by state."""


class Journal:
    """The papers of one replay, in a store of their own that reaches nothing else.

    Args:
        store: rooted at `_replays/<id>`.
        replay_id: the replay's id.

    Raises (all methods): StorageError when the storage refuses.
    """

    def __init__(self, store: Store, replay_id: str) -> None:
        self.store = store
        self.id = replay_id

    @classmethod
    def of(cls, lake: Store, replay_id: str) -> Journal:
        """The journal of a replay that was planned.

        Raises:
            LakeError: there is no such replay.
        """
        if not replay_id.startswith("replay-") or "/" in replay_id or not lake.exists(f"{FOLDER}/{replay_id}/{PLAN}"):
            raise LakeError(f"There is no replay {replay_id!r}.", state="nothing was done", next="lakewarden replay list")
        return cls(Store(lake.uri(f"{FOLDER}/{replay_id}")), replay_id)

    @classmethod
    def begin(cls, lake: Store, plan: Plan) -> Journal:
        """Store a new plan; its replay is then planned."""
        journal = cls(Store(lake.uri(f"{FOLDER}/{plan.id}"), create=True), plan.id)
        journal.store.put_new(PLAN, json.dumps(plan.to_dict(), indent=2).encode())
        journal.move(PLANNED, datetime.fromisoformat(plan.time))
        return journal

    def plan(self) -> Plan:
        """The plan as it was made.

        Raises:
            LakeError: it was changed since.
        """
        plan = Plan.from_dict(self._read(PLAN) or {}, self.id)
        if plan.id != self.id:
            raise LakeError(
                f"The plan of {self.id} was changed after it was made.",
                state="nothing was run",
                next=f"lakewarden replay plan --from {plan.dates[0]} --to {plan.dates[1]} ... (a new plan)",
            )
        return plan

    def state(self) -> dict[str, Any]:
        """The present state with its figures, and since when."""
        return self._read(STATE) or {"state": PLANNED}

    def move(self, state: str, now: datetime, **figures: Any) -> None:  # noqa: ANN401  # JSON
        """Record a state; figures of earlier ones stay."""
        before = self._read(STATE) or {}
        self.store.put(STATE, json.dumps({**before, "state": state, "time": now.isoformat(), **figures}, indent=2).encode())

    def next(self) -> str:
        """The next command for this replay."""
        return NEXT.get(self.state()["state"], PLAN_AGAIN).format(id=self.id) if self.plan().ok else PLAN_AGAIN

    def require(self, *states: str) -> None:
        """Refuse a step that is not due.

        Raises:
            LakeError: the replay is in none of these states.
        """
        present = self.state()["state"]
        if present not in states:
            raise LakeError(
                f"{self.id} is {present}; this asks for one that is {' or '.join(states)}.", state="nothing was done", next=self.next()
            )

    def report(self) -> dict[str, Any] | None:
        """The newest validation report, None before the first."""
        return self._read(REPORT)

    def keep(self, name: str, data: bytes) -> str:
        """Keep a paper; gives its address."""
        self.store.put(name, data)
        return self.store.uri(name)

    def _read(self, name: str) -> dict[str, Any] | None:
        data = self.store.get(name)
        if data is None:
            return None
        try:
            found = json.loads(data)
        except ValueError as error:
            raise LakeError(
                f"{self.store.uri(name)} is damaged: {error}",
                state="the tables were not touched",
                next=PLAN_AGAIN,
            ) from error
        return dict(found) if isinstance(found, Mapping) else {}


def listed(lake: Store) -> list[dict[str, Any]]:
    """Every replay of a lake, newest first: id, state, when and by whom it was planned, dates, release, reason."""
    ids = {entry.path.split("/")[1] for entry in lake.entries(FOLDER) if entry.path.endswith(f"/{PLAN}")}
    rows: list[dict[str, Any]] = []
    for replay_id in ids:
        journal = Journal.of(lake, replay_id)
        try:
            plan = journal.plan()
        except LakeError as error:  # one that is damaged doesn't hide the others
            rows.append({"id": replay_id, "state": "damaged", "planned": "", "reason": error.what})
            continue
        told = {"from": str(plan.dates[0]), "to": str(plan.dates[1]), "release": plan.release or "as recorded"}
        rows.append(
            {
                "id": replay_id,
                "state": journal.state()["state"],
                "planned": plan.time,
                "who": plan.who,
                **told,
                "reason": plan.reason,
                "incident": plan.incident,
            }
        )
    return sorted(rows, key=lambda row: str(row["planned"]), reverse=True)
