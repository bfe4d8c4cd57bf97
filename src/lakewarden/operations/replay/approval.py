"""A second person's approval of a swap, bound to the plan and to the validation that the person saw (runbook section 4.2 step 6)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from lakewarden.errors import LakeError, UsageError
from lakewarden.operations import papers

if TYPE_CHECKING:
    from lakewarden.operations.papers import Papers, Planned
    from lakewarden.settings import OperationSettings

FOLDER: Final = "approvals"


def approve(journal: Papers[Any], who: str, now: datetime) -> dict[str, str]:
    """Record that a person approves the swap of what was validated; once a person and validation.

    Raises:
        LakeError: the replay isn't validated, or a gate stopped it.
        UsageError: who planned it can't approve it.
    """
    journal.require(papers.VALIDATED)
    plan, report = journal.plan(), journal.report()
    assert report is not None
    if who == plan.who:
        raise UsageError(
            f"{who} planned {plan.id}, and it takes a second person to approve it.",
            state="nothing was approved",
            next=f"someone else: lakewarden {journal.kind.name} approve {plan.id}",
        )
    bound = _hash(plan, report)
    told = {"who": who, "when": now.isoformat(), "plan_hash": bound}
    name = hashlib.sha256(f"{who}\n{bound}".encode()).hexdigest()[:24]
    journal.store.put_new(f"{FOLDER}/{name}.json", json.dumps(told).encode())
    return told


def given(journal: Papers[Any], plan: Planned, report: Mapping[str, Any]) -> list[dict[str, str]]:
    """The approvals of what the report says, oldest first; those of an earlier validation don't count."""
    bound = _hash(plan, report)
    read = [journal.store.get(entry.path) for entry in journal.store.entries(FOLDER)]
    found = [json.loads(data) for data in read if data is not None]
    return sorted((one for one in found if one["plan_hash"] == bound and one["who"] != plan.who), key=lambda one: str(one["when"]))


def required(journal: Papers[Any], plan: Planned, report: Mapping[str, Any], settings: OperationSettings) -> list[dict[str, str]]:
    """The approvals, if they are as many as settings ask for.

    Raises:
        LakeError: a second person has to approve first.
    """
    found = given(journal, plan, report)
    if f"{journal.kind.name}.swap" in settings.second_person and not found:
        raise LakeError(
            f"A second person has to approve {plan.id} (conf/operations.yaml: second_person).",
            state="nothing was changed",
            next=f"someone other than {plan.who}: lakewarden {journal.kind.name} approve {plan.id}",
        )
    return found


def _hash(plan: Planned, report: Mapping[str, Any]) -> str:
    said = json.dumps(report, sort_keys=True, default=str)
    return hashlib.sha256(f"{plan.id}\n{said}".encode()).hexdigest()
