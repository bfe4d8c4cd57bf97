"""What a lake keeps about itself: receipts of acts, incidents, and the evidence of an incident as one file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lakewarden.operations.status import Report

if TYPE_CHECKING:
    from lakewarden.audit.chain import Verification
    from lakewarden.audit.incident import Impact, Incident
    from lakewarden.audit.incidents import Incidents
    from lakewarden.audit.receipts import Act, Ledger, Receipt
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.operations.acts import Witness


LISTED: Final = ("id", "state", "severity", "owner", "opened_time", "seen_time", "seen_count", "closed_time", "title", "detail")
"""What the list of incidents shows of each."""


class Recorded:
    """A lake's receipts and incidents; each public method is the command of the same name and gives its report.

    Args:
        house: the lake.
        now: the wall clock.
    """

    def __init__(self, house: Lakehouse, now: Callable[[], datetime]) -> None:
        self.house = house
        self._now = now
        self._ledger: Ledger | None = None

    # --- receipts -----------------------------------------------------------------------------------------------

    def record(self, act: Act) -> Receipt:
        """Append an act's receipt; an act that has one already keeps it. For operations, not a command.

        Raises:
            ConfigurationError: there is no key to sign with.
            LakeError: the newest receipt is damaged.
        """
        return self.ledger().record(act)

    def ledger(self) -> Ledger:
        """Writes the lake's receipts in the name of this process's user."""
        if self._ledger is None:
            from lakewarden.audit.receipts import Ledger
            from lakewarden.audit.signing import signer

            self._ledger = Ledger(self.house.store, lambda: signer(self.house.store), self._now)
        return self._ledger

    def witness(self, kind: str, reason: str | None, incident: str | None, tables: Sequence[str] = ()) -> Witness:
        """Look at the lake before an act, so that its receipt can say what was before. For operations.

        Raises:
            ConfigurationError: there is no key to sign the receipt with; nothing was done.
            LakeError: there is no such incident.
        """
        from lakewarden.operations.acts import Witness

        if incident is not None:
            self._incidents().get(incident)
        return Witness(self.house, self.ledger(), kind, reason, incident, tables)

    def receipts(self, incident: str | None = None, kind: str | None = None) -> Report:
        """The receipts, newest first, and the head of their chain."""
        from lakewarden.operations import receipts

        return receipts.listed(self.house.store, incident, kind)

    def receipt_show(self, number: int) -> Report:
        """One receipt, whole. Raises LakeError where there is none of that number, or it is damaged."""
        from lakewarden.operations import receipts

        return receipts.shown(self.house.store, number)

    def receipts_verify(self, keys: Sequence[str | Path] = (), head: str | None = None) -> Verification:
        """Verify every receipt and their chain, with public keys that the caller holds or with those in the lake.

        Raises:
            ConfigurationError: a file holds no public key.
            UsageError: `head` is no hash.
        """
        from lakewarden.operations import receipts

        return receipts.verified(self.house.store, keys, head)

    # --- incidents ----------------------------------------------------------------------------------------------

    def incidents(self, open_only: bool = False, code: str | None = None) -> Report:
        """Incidents, newest first, by what a list needs; `incident_show` gives the rest."""
        found = self._incidents().list(open_only=open_only, code=code)
        return Report({"rows": len(found), "incidents": [{name: getattr(one, name) for name in LISTED} for one in found]})

    def incident_show(self, incident_id: str) -> Report:
        """One incident: its record, its notes, the receipts of what was done about it. Raises LakeError where there is none of that id."""
        from lakewarden.operations import receipts

        found = self._incidents().get(incident_id)
        linked = [receipts.line(receipt) for receipt in receipts.of_incident(self.house.store, found.id)]
        return Report({**found.to_dict(), "contact": self._contact(found.owner), "receipts": linked})

    def incident_open(
        self,
        code: str,
        title: str,
        *,
        severity: str | None = None,
        owner: str | None = None,
        impact: Impact | None = None,
        reason: str | None = None,
    ) -> Report:
        """Open an incident by hand; an open one of the same code and title is noted as seen again.

        Raises:
            UsageError: there is no such code, severity or role.
        """
        from lakewarden.errors import UsageError

        if not title.strip():
            raise UsageError("The incident has no title.", state="nothing was opened", next='lakewarden incident open CODE "what happened"')
        self._check_owner(owner)
        ledger = self._ready()
        found = self._incidents().open_once(
            code,
            f"by hand {code} {title.strip()}",
            title.strip(),
            {},
            None,
            self._now(),
            severity=severity,
            owner=owner,
            impact=impact,
            author=ledger.author.actor,
        )
        once = f"open {found.id}" if found.seen_count == 1 else None
        return self._receipted(ledger, "incident.open", found, reason, id=once)

    def incident_note(
        self, incident_id: str, note: str, *, severity: str | None = None, owner: str | None = None, impact: Impact | None = None
    ) -> Report:
        """Add a note to an incident; severity, owner and impact change where they are given.

        Raises:
            LakeError: there is no such incident.
            UsageError: the note is empty, or there is no such severity or role.
        """
        self._check_owner(owner)
        ledger = self._ready()
        found = self._incidents().note(incident_id, note, ledger.author.actor, self._now(), severity=severity, owner=owner, impact=impact)
        return self._receipted(ledger, "incident.note", found, note)

    def incident_close(self, incident_id: str, cause: str, remediation: str, *, impact: Impact | None = None) -> Report:
        """Close an incident with its cause and what was done.

        Raises:
            LakeError: there is no such incident, or it is closed already.
            UsageError: cause or remediation is missing.
        """
        ledger = self._ready()
        found = self._incidents().close(incident_id, cause, remediation, ledger.author.actor, self._now(), impact=impact)
        return self._receipted(ledger, "incident.close", found, None, id=f"close {found.id}")

    def evidence(self, incident_id: str, out: str | Path | None = None, keys: Sequence[str | Path] = ()) -> Report:
        """Pack an incident's evidence into one zip; `ok` says whether the receipts are whole.

        Args:
            incident_id: which one.
            out: the file to write; None: the incident's id with `.zip`, in the working folder.
            keys: files with public keys that the caller holds; empty: those in the lake are believed.

        Raises:
            LakeError: there is no such incident.
            StorageError: the file can't be written.
        """
        from lakewarden.audit.signing import keys_from_files
        from lakewarden.operations import evidence

        found, held = self._incidents().get(incident_id), keys_from_files(keys)
        return evidence.pack(self.house, found, held, Path(out or f"{found.id}.zip"), self._now())

    def _receipted(self, ledger: Ledger, kind: str, found: Incident, reason: str | None, id: str | None = None) -> Report:
        from lakewarden.audit.receipts import Act

        names = (
            "state",
            "severity",
            "title",
            "owner",
            "impact_from",
            "impact_to",
            "tables",
            "first_date",
            "last_date",
            "cause",
            "remediation",
        )
        outcome = {name: getattr(found, name) for name in names}
        receipt = ledger.record(Act(kind, id=id, reason=reason, incident=found.id, outcome=outcome))
        return Report({**found.to_dict(), "receipt": receipt.number})

    def _ready(self) -> Ledger:
        """The ledger, its key there: an act that could leave no receipt is not begun."""
        self.ledger().ready()
        return self.ledger()

    def _incidents(self) -> Incidents:
        from lakewarden.audit.database import connect, database_url
        from lakewarden.audit.incidents import Incidents

        return Incidents(connect(database_url(self.house.store)), self._usual_owner)

    def _usual_owner(self, code: str) -> str | None:
        """Who owns an incident of a code; nobody where the contacts can't be read: no incident waits for that to be mended."""
        from lakewarden.audit import contacts
        from lakewarden.errors import ConfigurationError

        try:
            return contacts.load(self.house.store).incidents.get(code)
        except ConfigurationError:
            return None

    def _check_owner(self, owner: str | None) -> None:
        from lakewarden.audit import contacts
        from lakewarden.errors import UsageError

        if owner is not None:
            known = contacts.load(self.house.store).contacts
            if owner not in known:
                raise UsageError(
                    f"{owner!r} is no role in {contacts.PATH}.", state="nothing was written", next=f"use one of {', '.join(known)}"
                )

    def _contact(self, owner: str | None) -> dict[str, str] | None:
        from lakewarden.audit import contacts
        from lakewarden.errors import ConfigurationError

        try:
            found = contacts.load(self.house.store).contacts.get(owner or "")
        except ConfigurationError:
            return None
        return None if found is None else found.model_dump()
