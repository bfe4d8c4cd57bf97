"""Receipts as operators ask for them: listed, shown, verified."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakewarden.audit import chain
from lakewarden.audit.receipts import Receipt, numbers, path, read, stored
from lakewarden.audit.signing import keys_from_files
from lakewarden.errors import LakeError
from lakewarden.operations.status import Report

if TYPE_CHECKING:
    from lakewarden.audit.chain import Verification
    from lakewarden.lake.store import Store


def listed(store: Store, incident: str | None = None, kind: str | None = None) -> Report:
    """The receipts, newest first, and the head: number and hash of the newest. A damaged one is listed as such.

    Args:
        store: the lake's objects.
        incident: only those of this incident.
        kind: only those of this kind, or of all that begin so (`release` for `release.create`).
    """
    rows: list[dict[str, Any]] = []
    head: dict[str, Any] | None = None
    for number, data in stored(store, numbers(store)):
        try:
            receipt = Receipt.from_json(data or b"")
        except LakeError:
            head = {"number": number, "hash": None}
            rows.append({"number": number, "kind": "damaged", "next": "lakewarden receipts verify"})
            continue
        head = {"number": number, "hash": receipt.hash}
        if incident in (None, receipt.incident) and (kind is None or f"{receipt.kind}.".startswith(f"{kind}.")):
            rows.append(line(receipt))
    return Report({"rows": len(rows), "head": head, "receipts": rows[::-1]})


def line(receipt: Receipt) -> dict[str, Any]:
    """What a list shows of a receipt."""
    names = ("number", "time", "kind", "actor", "host", "incident", "reason", "releases", "hash")
    return {name: getattr(receipt, name) for name in names}


def shown(store: Store, number: int) -> Report:
    """One receipt, whole, and where it stands. Raises LakeError where there is none of that number, or it is damaged."""
    return Report({**read(store, number).to_dict(), "path": store.uri(path(number))})


def verified(store: Store, keys: Sequence[str | Path], head: str | None) -> Verification:
    """Verify the chain with the public keys in these files, or with those in the lake where there are none.

    Raises:
        ConfigurationError: a file holds no public key.
        UsageError: `head` is no hash.
    """
    return chain.verify(store, keys_from_files(keys), head)


def of_incident(store: Store, incident: str) -> list[Receipt]:
    """The receipts of one incident, in order; damaged ones are left out, for `verify` to name."""
    found = []
    for _, data in stored(store, numbers(store)):
        try:
            receipt = Receipt.from_json(data or b"")
        except LakeError:
            continue
        if receipt.incident == incident:
            found.append(receipt)
    return found
