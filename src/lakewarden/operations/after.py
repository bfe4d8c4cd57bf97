"""What follows once rows of some dates were brought in or replaced: reconciliation, and regulatory snapshots (runbook sections 4.2, 5.2).

Nothing is run here: what is due is named, with the command where there is one, and recorded in the receipt.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

FOLLOW_UPS: Final = {
    "reconcile": "compare these dates with the system of record (runbook section 5.2 step 3)",
    "snapshot": "make regulatory_snapshots of these dates (runbook section 5.2 step 4)",
}
"""By name, what is to be done."""

STATES: Final = {"reconcile": "not in this version: by hand", "snapshot": "lakewarden snapshot take --from {first} --to {last}"}
"""By name, how."""


@dataclass(frozen=True)
class FollowUp:
    """Something that is due for a range of dates."""

    name: str
    first: date
    last: date

    def to_dict(self) -> dict[str, str]:
        """JSON-ready."""
        how = STATES[self.name].format(first=self.first, last=self.last)
        return {"name": self.name, "from": str(self.first), "to": str(self.last), "what": FOLLOW_UPS[self.name], "state": how}


def due(first: date, last: date) -> list[FollowUp]:
    """What follows once rows of these dates stand."""
    return [FollowUp(name, first, last) for name in FOLLOW_UPS]
