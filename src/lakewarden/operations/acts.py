"""Acts of operators and what their receipts say: the release in force and the versions of tables before, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from lakewarden.audit.receipts import Act
from lakewarden.lake import releases
from lakewarden.tables import LABELS, TRAINING

if TYPE_CHECKING:
    from pathlib import Path

    from lakewarden.audit.receipts import Ledger, Receipt
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.lake.orders import Done, Order
    from lakewarden.lake.store import Store
    from lakewarden.operations.release import ReleaseReport
    from lakewarden.operations.status import Report
    from lakewarden.operations.train import TrainReport

TRAINED: Final = (LABELS.name, TRAINING.name)
"""The tables that training appends to."""


class Witness:
    """Looks at the lake before an act, and records the act's receipt behind it.

    Args:
        house: the lake.
        ledger: made ready here, so that an act without a key to sign its receipt with is not begun.
        kind, reason, incident: of the receipt.
        tables: those that the act may write to.

    Raises:
        ConfigurationError: there is no key to sign with.
    """

    def __init__(
        self, house: Lakehouse, ledger: Ledger, kind: str, reason: str | None, incident: str | None, tables: Sequence[str] = ()
    ) -> None:
        ledger.ready()
        self.ledger = ledger
        self._house, self._kind, self._reason, self._incident = house, kind, reason, incident
        self._versions = versions(house, tables)
        self.release = releases.current_id(house.store)

    def record(self, *, id: str | None = None, outcome: Mapping[str, Any], **said: Any) -> Receipt:  # noqa: ANN401  # fields of an Act
        """Append the act's receipt, with the versions of its tables before and after."""
        after = versions(self._house, tuple(self._versions))
        tables = {name: {"before": before, "after": after[name]} for name, before in self._versions.items()}
        return self.ledger.record(
            Act(self._kind, id=id, reason=self._reason, incident=self._incident, outcome=outcome, tables=tables, **said)
        )


def versions(house: Lakehouse, names: Sequence[str]) -> dict[str, int]:
    """The newest version of each of these tables."""
    return {name: house.tables[name].refresh() for name in names}


def in_force(store: Store, release_id: str) -> str | None:
    """The name of the act that put a release in force last; None where another one is in force.

    A release can come into force more than once, so the time belongs to the name. Whoever looks again, after a crash between the act
    and its receipt, finds the same name, and the receipt is written once.
    """
    data = store.get(releases.CURRENT)
    current = json.loads(data) if data else {}
    return f"release {release_id} in force since {current['since']}" if current.get("id") == release_id else None


def initialised(ledger: Ledger, store: Store, made: ReleaseReport) -> Receipt:
    """The receipt of a lake's making and of its first release."""
    outcome = {"release": made.id, "lake": store.root}
    return ledger.record(Act("lake.init", id=in_force(store, made.id), outcome=outcome, releases=[made.id]))


def by_change(store: Store, release_id: str) -> str | None:
    """The change of the model that put a release in force last; None where it came by itself, or where another one is in force."""
    current = json.loads(store.get(releases.CURRENT) or b"{}")
    return current.get("change") if current.get("id") == release_id else None


def released(witness: Witness, store: Store, made: ReleaseReport) -> Receipt | None:
    """The receipt of a release that was put in force; the one that there is where it was in force already.

    None where a change of the model put it in force and is not at its end: the change leaves the receipt when it is resumed.
    """
    change = by_change(store, made.id)
    if change is not None:
        return witness.ledger.find(change)
    outcome = {"release": made.id, "release_before": witness.release, "new": made.new}
    return witness.record(id=in_force(store, made.id), outcome=outcome, releases=[made.id])


def trained(witness: Witness, store: Store, report: TrainReport, plan: Mapping[str, Any]) -> Receipt:
    """The receipt of a model that was trained, registered and released."""
    model = releases.load(store, report.release_id).model
    outcome = {
        "model": report.model,
        "version": report.version,
        "run_id": report.run_id,
        "metrics": report.metrics,
        "release": report.release_id,
        "release_before": witness.release,
    }
    return witness.record(
        id=in_force(store, report.release_id),
        plan=plan,
        outcome=outcome,
        counts={"rows": report.rows, "frauds": report.frauds, "labels": report.labels},
        hash_totals={"model": model.sha256} if model else {},
        releases=[report.release_id],
    )


def imported(witness: Witness, store: Store, report: Report, path: Path, kind: str | None) -> Receipt:
    """The receipt of reference data that was brought in."""
    data = report.data
    return witness.record(
        id=in_force(store, data["id"]) if data["new"] else None,
        plan={"path": str(path), "kind": kind},
        outcome={"imported": data["imported"], "release": data["id"], "release_before": witness.release, "new": data["new"]},
        counts={row["kind"]: row["rows"] for row in data["imported"]},
        releases=[data["id"]],
    )


def carried_out(order: Order, done: Done) -> Act:
    """The act of an order that was carried out, whoever did so: in the name of who gave it, once."""
    said = dict(order.receipt)
    outcome = {
        **(said.pop("outcome", None) or {}),
        "order": order.number,
        "point": done.point,
        "seconds": done.seconds,
        "given": order.time,
        "published": done.published_time,
        "pinned_days": order.pin_days,
        "tables": {
            name: {key: value for key, value in told.items() if key not in ("before", "after")} for name, told in done.tables.items()
        },
    }
    versions = {name: {"before": told["before"], "after": told["after"]} for name, told in done.tables.items()}
    counts = {f"{name} {way}": int(told[f"rows_{way}"]) for name, told in done.tables.items() for way in ("out", "in")}
    return Act(order.kind, id=order.act, outcome=outcome, tables=versions, counts=counts, **said)
