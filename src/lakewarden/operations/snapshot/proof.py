"""Prove the snapshots that stand: what the table holds is what the signed receipt says, and what a new one would say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lakewarden.operations.snapshot import content
from lakewarden.tables import GOLD, SILVER, SNAPSHOTS

if TYPE_CHECKING:
    from lakewarden.audit.receipts import Receipt
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.operations.snapshot.book import Taken


def proved(house: Lakehouse, taken: Taken, receipt: Callable[[str], Receipt | None]) -> dict[str, Any]:
    """What became of one snapshot's rows.

    Args:
        receipt: gives the receipt of an act.

    Returns:
        `ok`: the table's rows have the digest that the receipt has; `current`: silver and gold give the same today.
    """
    signed = receipt(taken.order.act)
    said = None if signed is None else signed.hash_totals.get(f"{SNAPSHOTS.name} sha256")
    tables = house.snapshot((SNAPSHOTS.name, SILVER.name, GOLD.name))
    held, now = (content.figures(rows(tables, taken.day)) for rows in (content.stored, content.current))
    return {
        "date": taken.day.isoformat(),
        "id": taken.id,
        "rows": held["rows"],
        "ok": held["sha256"] == said,
        "current": held["sha256"] == now["sha256"],
        "sha256": held["sha256"],
        "signed_sha256": said,
        "receipt": None if signed is None else signed.number,
    }
