"""The chain of receipts, verified: what was edited, dropped, moved, forged or cut off is named by number.

A finding names the receipt that is wrong, not those behind it: a link is judged only between two receipts that are whole in themselves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lakewarden.audit import signing
from lakewarden.audit.canonical import canonical
from lakewarden.audit.receipts import ACTS, FOLDER, FORMAT, HASH, NAME, Receipt, numbers, stored
from lakewarden.errors import LakeError, UsageError

if TYPE_CHECKING:
    from lakewarden.audit.signing import PublicKey
    from lakewarden.lake.store import Store

EDITED: Final = "edited"
DROPPED: Final = "dropped"
REORDERED: Final = "reordered"
FORGED: Final = "forged"
UNLINKED: Final = "unlinked"
TRUNCATED: Final = "truncated"
DOUBLED: Final = "doubled"
STRANGE: Final = "strange"

NOT_HELD: Final = (
    "No key was given: signatures were checked with the public keys that lie in the lake itself, which whoever can write the lake could "
    "have replaced. Give your own copy with --key."
)
NO_HEAD: Final = "No head was given: receipts that were cut off at the end can't be missed. Give the hash you wrote down with --head."


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: the receipt's number (None: no single one), what kind of wrong, in words."""

    number: int | None
    kind: str
    what: str


@dataclass(frozen=True)
class KeyUse:
    """What one key signed: how many receipts, from which number to which; whether it is one that the verifier holds."""

    key_id: str
    held: bool
    receipts: int
    first: int
    last: int


@dataclass(frozen=True)
class Verification:
    """What a look at the whole chain found; `ok` when nothing is wrong. `notes` say what could not be judged."""

    receipts: int
    head: str | None
    keys: tuple[KeyUse, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "ok": self.ok,
            "rows": self.receipts,
            "differences": len(self.findings),
            "head": self.head,
            "keys": [vars(key) for key in self.keys],
            "findings": [vars(finding) for finding in self.findings],
            "notes": list(self.notes),
        }


def verify(store: Store, held: Sequence[PublicKey] = (), head: str | None = None) -> Verification:
    """Verify every receipt and the chain that they make.

    Args:
        store: the lake's objects.
        held: public keys that the verifier trusts; any other key's receipt is forged. Empty: those in the lake are believed.
        head: the hash of a receipt that was once the newest: it must be there still.

    Raises:
        UsageError: `head` is no hash.
    """
    head = head and head.strip()
    if head is not None and not HASH.fullmatch(head):
        raise UsageError(
            f"{head!r} is no hash of a receipt.", state="nothing was verified", next="lakewarden receipts list (shows the head)"
        )
    in_lake, strange = signing.lake_keys(store)
    keys = {key.id: key for key in held} or in_lake
    findings = [Finding(None, STRANGE, f"{place} is not the public key that its name says") for place in strange if not held]
    findings += [Finding(None, STRANGE, f"{place} is no receipt, and lies among them") for place in _strangers(store)]
    whole, wrong = _each(store, keys, bool(held))
    findings += sorted([*wrong, *_links(whole), *_doubles(whole)], key=lambda finding: finding.number or 0)
    if head is not None and head not in {receipt.hash for receipt in whole.values()}:
        after = max(whole, default=-1) + 1
        findings.append(Finding(after, TRUNCATED, f"the receipt with the hash {head} is gone, or is none of those that are whole"))
    notes = [*([] if held or not whole else [NOT_HELD]), *([] if head is not None else [NO_HEAD])]
    newest = whole[max(whole)].hash if whole else None
    there = {*whole, *(finding.number for finding in wrong if finding.kind != DROPPED)}
    return Verification(len(there), newest, _uses(whole, held), tuple(findings), tuple(notes))


def _each(store: Store, keys: Mapping[str, PublicKey], holds: bool) -> tuple[dict[int, Receipt], list[Finding]]:
    """The receipts that are whole in themselves, by number, and what is wrong with the others."""
    there = numbers(store)
    missing = sorted(set(range(max(there, default=-1) + 1)) - set(there))
    wrong = [Finding(number, DROPPED, f"receipt {number} is missing") for number in missing]
    whole: dict[int, Receipt] = {}
    for number, data in stored(store, there):
        receipt, finding = (
            (None, Finding(number, DROPPED, f"receipt {number} went away")) if data is None else judged(number, data, keys, holds)
        )
        if finding is not None:
            wrong.append(finding)
        elif receipt is not None:
            whole[number] = receipt
    return whole, wrong


def judged(number: int, data: bytes, keys: Mapping[str, PublicKey], holds: bool) -> tuple[Receipt | None, Finding | None]:
    """A stored receipt judged by itself: the receipt when it is whole, else what is wrong with it.

    Args:
        number: the one that it stands at.
        data: its bytes.
        keys: the keys that may have signed it, by id.
        holds: whether these are the verifier's own, for the wording.
    """
    try:
        receipt = Receipt.from_json(data)
        same = data == canonical(json.loads(data)) and receipt.digest() == receipt.hash
    except (LakeError, ValueError, RecursionError):
        return None, Finding(number, EDITED, f"receipt {number} can't be read as a receipt: its bytes were changed")
    key, finding = keys.get(receipt.key_id), None
    if not same:
        finding = Finding(number, EDITED, f"receipt {number} was changed after it was written: its hash is another")
    elif key is None:
        whose = "none of the keys given" if holds else "none that lies in the lake"
        finding = Finding(number, FORGED, f"receipt {number} is signed with the key {receipt.key_id}, which is {whose}")
    elif not key.signed(receipt.hash, receipt.signature):
        finding = Finding(number, FORGED, f"receipt {number} bears no signature of the key {receipt.key_id}")
    elif receipt.number != number:
        finding = Finding(number, REORDERED, f"where receipt {number} belongs, receipt {receipt.number} stands")
    elif receipt.format != FORMAT:
        finding = Finding(number, STRANGE, f"receipt {number} has format {receipt.format}, which this version doesn't know")
    return (None if finding else receipt), finding


def _links(whole: Mapping[int, Receipt]) -> list[Finding]:
    found = []
    for number, receipt in whole.items():
        if number == 0 and receipt.previous is not None:
            found.append(Finding(0, UNLINKED, "receipt 0 names a receipt before it: the chain began earlier"))
        before = whole.get(number - 1)
        if before is not None and receipt.previous != before.hash:
            what = f"receipt {number} does not follow the receipt {number - 1} that stands before it: one of them was replaced"
            found.append(Finding(number, UNLINKED, what))
    return found


def _doubles(whole: Mapping[int, Receipt]) -> list[Finding]:
    first: dict[str, int] = {}
    found = []
    for number, receipt in whole.items():
        if receipt.act_id in first:
            found.append(Finding(number, DOUBLED, f"receipt {number} is of the same act as receipt {first[receipt.act_id]}"))
        first.setdefault(receipt.act_id, number)
    return found


def _uses(whole: Mapping[int, Receipt], held: Sequence[PublicKey]) -> tuple[KeyUse, ...]:
    by_key: dict[str, list[int]] = {}
    for number, receipt in whole.items():
        by_key.setdefault(receipt.key_id, []).append(number)
    known = {key.id for key in held}
    return tuple(KeyUse(key, key in known, len(signed), min(signed), max(signed)) for key, signed in by_key.items())


def _strangers(store: Store) -> list[str]:
    """Objects among the receipts that are neither receipts, nor keys, nor notes of acts."""
    known = (f"{signing.KEYS}/", f"{ACTS}/")
    return sorted(entry.path for entry in store.entries(FOLDER) if not NAME.fullmatch(entry.path) and not entry.path.startswith(known))
