"""What is kept of an operation that has a plan (a replay, a backfill): plan, state and reports, in a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, Protocol, Self, TypeVar

from lakewarden.errors import LakeError
from lakewarden.lake.store import Store

PLAN: Final = "plan.json"
STATE: Final = "state.json"
REPORT: Final = "report.json"
PAGE: Final = "report.html"

PLANNED: Final = "planned"
RUNNING: Final = "running"
RUN: Final = "run"
VALIDATED: Final = "validated"
STOPPED: Final = "stopped"
ORDERED: Final = "ordered"
SWAPPED: Final = "swapped"
UNDONE: Final = "undone"
CLEANED: Final = "cleaned"
"""States. `stopped`: validated, and a gate stopped it. `ordered`: its swap, or the undoing of it, waits to be carried out."""


class Planned(Protocol):
    """A plan."""

    @property
    def id(self) -> str:
        """Its id, made of a hash of its content."""

    @property
    def ok(self) -> bool:
        """Whether every precondition holds."""

    @property
    def who(self) -> str:
        """Who planned it."""

    @property
    def time(self) -> str:
        """When, ISO 8601."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""


P = TypeVar("P", bound=Planned)


@dataclass(frozen=True)
class Kind(Generic[P]):
    """What the papers of one kind of operation are like.

    Attributes:
        name: the command's name: `replay`, `backfill`. Its ids begin so.
        folder: where they stand in the lake.
        read: gives a plan from what its `to_dict` gave, and its id.
        steps: the next command, by state, `{id}` in the place of the id.
    """

    name: str
    folder: str
    read: Callable[[Mapping[str, Any], str], P]
    steps: Mapping[str, str]

    @property
    def plan_again(self) -> str:
        """The command where nothing else helps."""
        return f"lakewarden {self.name} plan (a new one)"


class Papers(Generic[P]):
    """The papers of one operation, in a store of their own that reaches nothing else.

    Args:
        store: rooted at the operation's folder.
        operation_id: its id.

    Raises (all methods): StorageError when the storage refuses.
    """

    kind: Kind[P]

    def __init__(self, store: Store, operation_id: str) -> None:
        self.store = store
        self.id = operation_id

    @classmethod
    def of(cls, lake: Store, operation_id: str) -> Self:
        """The papers of an operation that was planned.

        Raises:
            LakeError: there is none of that id.
        """
        name, folder = cls.kind.name, cls.kind.folder
        if not operation_id.startswith(f"{name}-") or "/" in operation_id or not lake.exists(f"{folder}/{operation_id}/{PLAN}"):
            raise LakeError(f"There is no {name} {operation_id!r}.", state="nothing was done", next=f"lakewarden {name} list")
        return cls(Store(lake.uri(f"{folder}/{operation_id}")), operation_id)

    @classmethod
    def begin(cls, lake: Store, plan: P) -> Self:
        """Store a new plan."""
        papers = cls(Store(lake.uri(f"{cls.kind.folder}/{plan.id}"), create=True), plan.id)
        papers.store.put_new(PLAN, json.dumps(plan.to_dict(), indent=2).encode())
        papers.move(PLANNED, datetime.fromisoformat(plan.time))
        return papers

    def plan(self) -> P:
        """The plan as it was made.

        Raises:
            LakeError: it was changed since.
        """
        plan = self.kind.read(self._read(PLAN) or {}, self.id)
        if plan.id != self.id:
            raise LakeError(f"The plan of {self.id} was changed after it was made.", state="nothing was run", next=self.kind.plan_again)
        return plan

    def state(self) -> dict[str, Any]:
        """The present state with its figures, and since when."""
        return self._read(STATE) or {"state": PLANNED}

    def move(self, state: str, now: datetime, **figures: Any) -> None:  # noqa: ANN401  # JSON
        """Record a state; figures of earlier ones stay."""
        before = self._read(STATE) or {}
        self.store.put(STATE, json.dumps({**before, "state": state, "time": now.isoformat(), **figures}, indent=2).encode())

    def next(self) -> str:
        """The next command."""
        known = self.kind.steps.get(self.state()["state"], self.kind.plan_again)
        return known.format(id=self.id) if self.plan().ok else self.kind.plan_again

    def require(self, *states: str) -> None:
        """Refuse a step that is not due.

        Raises:
            LakeError: the operation is in none of these states.
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
                f"{self.store.uri(name)} is damaged: {error}", state="the tables were not touched", next=self.kind.plan_again
            ) from error
        return dict(found) if isinstance(found, Mapping) else {}


A = TypeVar("A", bound=Papers[Any])


def listed(lake: Store, papers: type[A], tell: Callable[[A], dict[str, Any]]) -> list[dict[str, Any]]:
    """Every operation of a kind, newest first: id, state, when and by whom it was planned, and what is told besides.

    Args:
        tell: what a list says of one whose plan can be read.
    """
    folder = papers.kind.folder
    ids = {entry.path.split("/")[1] for entry in lake.entries(folder) if entry.path.endswith(f"/{PLAN}")}
    rows: list[dict[str, Any]] = []
    for operation_id in ids:
        one = papers.of(lake, operation_id)
        try:
            plan = one.plan()
            rows.append({"id": operation_id, "state": one.state()["state"], "planned": plan.time, "who": plan.who, **tell(one)})
        except LakeError as error:  # one that is damaged doesn't hide the others
            rows.append({"id": operation_id, "state": "damaged", "planned": "", "reason": error.what})
    return sorted(rows, key=lambda row: str(row["planned"]), reverse=True)
