"""Orders: exchanges in several tables that readers see all at once (a swap, an undo, a backfill), carried out by whoever holds the lease.

`_orders/<number>/order.json` is the order, whole, created only if there is none: one follows the other. `begun.json` decides, once and
for good, whether it is carried out or was called off. Each table records the order's number in its own log, so nothing is exchanged twice.
The published point moves behind the last table, and `done.json` says what came of it. A running stream carries orders out between its
micro-batches; where none runs, the command that gave the order takes the lease (docs/adr/0016).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from lakewarden.errors import LakeBusyError, LakeError
from lakewarden.lake import pins
from lakewarden.lake.exchange import Rows, exchange
from lakewarden.lake.log import DataFile

if TYPE_CHECKING:
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.lake.store import Store

FOLDER: Final = "_orders"
CALLED_OFF: Final = "called off"
CARRIED_OUT: Final = "carried out"


@dataclass(frozen=True)
class Change:
    """What an order does to one table: which rows go, and which files come, that stand in the table's folder already."""

    rows: Rows = field(default_factory=Rows)
    incoming: tuple[DataFile, ...] = ()


@dataclass(frozen=True)
class Order:
    """One order.

    Attributes:
        number: its place among the orders, from 0.
        kind, subject: what it is (`replay.swap`, `replay.undo`, ...) and of what (a replay's id).
        act: the name of the act that it is, for its receipt.
        who, host, time: who gave it, where and when (ISO 8601).
        changes: by table.
        standing: what the tables' rows stand under from then on: dates, newest `seq`, release, ... (`operations.standing`).
        undoes: the number of the order whose content it takes back.
        rebuild: whether the stages' state is another one afterwards.
        pin_days: how long what it replaces stays.
        receipt: what its receipt says besides.
        history: first and last `seq` of the history that it brings in front of all events that there are (`lake.history`).
    """

    number: int
    kind: str
    subject: str
    act: str
    who: str
    host: str
    time: str
    changes: Mapping[str, Change]
    standing: Mapping[str, Any] | None = None
    undoes: int | None = None
    rebuild: bool = False
    pin_days: float = 30.0
    receipt: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[int, int] | None = None

    @classmethod
    def from_json(cls, data: bytes) -> Order:
        """Read a stored order."""
        fields = json.loads(data)
        changes = {
            name: Change(Rows(**_rows(change["rows"])), pins.data_files(change["incoming"])) for name, change in fields["changes"].items()
        }
        history = fields.get("history")
        return cls(**{**fields, "changes": changes, "history": None if history is None else (history[0], history[1])})


def _rows(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


@dataclass(frozen=True)
class Done:
    """What came of an order: the published point, when it was begun and published, and by table versions, rows, bytes and pin."""

    point: int
    begun_time: str
    published_time: str
    seconds: float
    next_seq: int
    tables: Mapping[str, Mapping[str, Any]]


def place(store: Store, order: Order) -> None:
    """Give an order; whoever holds the lease carries it out.

    Raises:
        LakeBusyError: its number is taken, so the lake isn't as it was when the order was made.
    """
    body = json.dumps(asdict(order), separators=(",", ":")).encode()
    if not store.put_new(_path(order.number, "order"), body):
        raise LakeBusyError(
            "Another operation changed the lake meanwhile.", state="nothing was changed by this one", next="run the command again"
        )


def numbers(store: Store) -> list[int]:
    """The numbers of all orders, lowest first."""
    paths = (PurePosixPath(entry.path) for entry in store.entries(FOLDER))
    return sorted(int(path.parent.name) for path in paths if path.name == "order.json" and path.parent.name.isdigit())


def get(store: Store, number: int) -> Order:
    """One order.

    Raises:
        LakeError: there is none of that number, or it can't be read.
    """
    data = store.get(_path(number, "order"))
    if data is None:
        raise LakeError(f"There is no order {number}.", state="nothing was changed", next="lakewarden replay list")
    try:
        return Order.from_json(data)
    except (ValueError, TypeError, KeyError) as error:
        raise LakeError(
            f"Order {number} is damaged: {error}", state="the published tables stay as they are", next="restore it from a backup"
        ) from error


def verdict(store: Store, number: int) -> str | None:
    """Whether an order was begun (`CARRIED_OUT`, from then on it is finished whatever happens) or `CALLED_OFF`; None: neither yet."""
    data = store.get(_path(number, "begun"))
    return None if data is None else str(json.loads(data)["verdict"])


def call_off(store: Store, number: int, now: datetime) -> bool:
    """Call an order off; False where it was begun already."""
    _decide(store, number, CALLED_OFF, now)
    return verdict(store, number) == CALLED_OFF


def _decide(store: Store, number: int, what: str, now: datetime) -> None:
    store.put_new(_path(number, "begun"), json.dumps({"verdict": what, "time": now.isoformat()}).encode())


def done(store: Store, number: int) -> Done | None:
    """What came of an order; None before it is published, or where it was called off."""
    data = store.get(_path(number, "done"))
    return None if data is None else Done(**json.loads(data))


def pin_of(store: Store, number: int, table: str) -> str | None:
    """The id of the pin that holds what an order replaced in a table, be it there still or not; None where nothing went."""
    ended = done(store, number)
    if ended is not None:
        told = ended.tables[table]["pin"]
        return None if told is None else str(told)
    found = pins.of_order(store, number, table)
    return None if found is None else found.id


def pending(store: Store, known: int = -1) -> list[Order]:
    """Orders that are neither done nor called off, in their order.

    Args:
        known: orders up to this one are known to be settled.
    """
    open_ = (number for number in numbers(store) if number > known)
    return [get(store, number) for number in open_ if done(store, number) is None and verdict(store, number) != CALLED_OFF]


def awaited_files(store: Store, table: str) -> set[str]:
    """Files that orders which aren't done yet are about to bring into a table: vacuum leaves them."""
    return {file.path for order in pending(store) if table in order.changes for file in order.changes[table].incoming}


class Execution:
    """Carries one order out; the caller holds the lease and lets nobody else publish meanwhile.

    Args:
        house: the lake, its tables claimed.
        order: what to do.
        now: the wall clock.
        step: told the name of each step before it; for tests that stop there.
    """

    def __init__(self, house: Lakehouse, order: Order, now: Callable[[], datetime], step: Callable[[str], None] = lambda _: None) -> None:
        self._house, self._order, self._now, self._step = house, order, now, step
        self._began = now()

    def tables(self) -> bool:
        """Exchange what isn't exchanged yet; readers see none of it. False where the order was called off, and nothing was done.

        Raises:
            FencedError: another process took the lake over; it, or whoever comes next, finishes the order.
        """
        order, store = self._order, self._house.store
        _decide(store, order.number, CARRIED_OUT, self._began)
        if verdict(store, order.number) == CALLED_OFF:
            return False
        for name, change in order.changes.items():
            self._step(f"exchange {name}")
            exchange(store, self._house.tables[name], change.rows, change.incoming, order.number, self._pins(name))
        return True

    def publish(self, batch: int, next_seq: int) -> Done:
        """Let readers see all of it at once.

        Args:
            batch: the newest micro-batch that every table has.
            next_seq: the place in the order of arrival of the next event; what the order changed is seen by those from there on.
        """
        order, house = self._order, self._house
        self._step("publish")
        point = house.publish(batch, self._now(), order=order.number, settled=order.subject)
        found = {name: self._told(name, point.versions[name]) for name in order.changes}
        published = self._now()
        ended = Done(
            point.point, self._began.isoformat(), published.isoformat(), (published - self._began).total_seconds(), next_seq, found
        )
        self._step("say that it is done")
        house.store.put_new(_path(order.number, "done"), json.dumps(asdict(ended)).encode())
        written = done(house.store, order.number)
        assert written is not None
        return written

    def _pins(self, name: str) -> Callable[[int, list[DataFile]], None]:
        order = self._order
        until = datetime.fromisoformat(order.time) + timedelta(days=order.pin_days)
        reason = f"replaced by order {order.number}: {order.kind} of {order.subject}"

        def keep(version: int, going: list[DataFile]) -> None:
            self._step(f"pin {name}")
            if going:
                pin_id = pins.named(order.number, name, version)
                made = pins.Pin(pin_id, name, version, tuple(going), reason, order.time, until.isoformat(), order.number)
                pins.keep(self._house.store, made)
            self._step(f"commit {name}")

        return keep

    def _told(self, name: str, version: int) -> dict[str, Any]:
        pin = pins.of_order(self._house.store, self._order.number, name)
        incoming = self._order.changes[name].incoming
        return {
            "before": None if pin is None else pin.version,
            "after": version,
            "rows_out": 0 if pin is None else pin.rows,
            "rows_in": sum(file.rows for file in incoming),
            "files_out": 0 if pin is None else len(pin.files),
            "files_in": len(incoming),
            "pin": None if pin is None else pin.id,
        }


def _path(number: int, name: str) -> str:
    return f"{FOLDER}/{number:020d}/{name}.json"
