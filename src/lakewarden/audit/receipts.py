"""Receipts (architecture: promise 6): who did what, when, why, under which plan, and what came of it; chained by hash, signed.

`_receipts/<number>.json` in the lake, numbered from 0 without a gap, created only if there is none: of two writers one gets the number and
the other the next. The hash is SHA-256 over the canonical JSON of everything but hash and signature, and holds the hash of the receipt
before; so an edited receipt, a missing one, or one out of its place shows (`audit.chain`).
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from lakewarden.audit.canonical import canonical, plain
from lakewarden.errors import LakeError, StorageError

if TYPE_CHECKING:
    from lakewarden.audit.signing import Signer
    from lakewarden.lake.store import Store

FOLDER: Final = "_receipts"
ACTS: Final = "_receipts/acts"
FORMAT: Final = 1
ACTOR: Final = "LAKEWARDEN_ACTOR"
NAME: Final = re.compile(r"_receipts/(\d{20})\.json", flags=re.ASCII)
HASH: Final = re.compile(r"[0-9a-f]{64}", flags=re.ASCII)
READERS: Final = 16
"""Receipts that are fetched at once from an object store."""


@dataclass(frozen=True)
class Act:
    """What an operation says of what it did; who, where and when are added when it is recorded.

    Attributes:
        kind: noun and verb, such as `replay.swap`, `release.create`.
        id: the act's own name: it is recorded once, however often the operation is resumed. None: a new one each time.
        reason, incident: why, in words, and the id of the incident that it belongs to.
        plan, predicted, outcome: JSON: what was to be done, what was expected of it, what came of it.
        tables: by table, the versions before and after: `{"before": 7, "after": 8}`.
        counts, hash_totals: rows, and hash totals as text, by name.
        releases: ids of the releases that it made or put in force.
        approvals: `{"who": ..., "when": ..., "plan_hash": ...}` each.
    """

    kind: str
    id: str | None = None
    reason: str | None = None
    incident: str | None = None
    plan: Any = None
    predicted: Any = None
    outcome: Any = None
    tables: Mapping[str, Mapping[str, int | None]] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    hash_totals: Mapping[str, str] = field(default_factory=dict)
    releases: Sequence[str] = ()
    approvals: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True)
class Receipt:
    """One receipt as it is stored; `previous` is the hash of the one before, None in number 0."""

    format: int
    number: int
    act_id: str
    kind: str
    actor: str
    host: str
    time: str
    reason: str | None
    incident: str | None
    plan: Any
    predicted: Any
    outcome: Any
    tables: Mapping[str, Mapping[str, int | None]]
    counts: Mapping[str, int]
    hash_totals: Mapping[str, str]
    releases: Sequence[str]
    approvals: Sequence[Mapping[str, str]]
    previous: str | None
    key_id: str
    hash: str
    signature: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, in the order of reading."""
        return asdict(self)

    def to_json(self) -> bytes:
        """The stored object: canonical JSON."""
        return canonical(asdict(self))

    def digest(self) -> str:
        """What `hash` must be: SHA-256 over the canonical JSON of everything but hash and signature, as hexadecimal digits."""
        body = asdict(self)
        del body["hash"], body["signature"]
        return hashlib.sha256(canonical(body)).hexdigest()

    @classmethod
    def from_json(cls, data: bytes) -> Receipt:
        """Read a stored receipt; whether it is genuine is for `audit.chain` to say.

        Raises:
            LakeError: it is no receipt.
        """
        try:
            values = json.loads(data)
            receipt = cls(**values)
            genuine = isinstance(receipt.number, int) and all(isinstance(getattr(receipt, name), str) for name in _TEXTS)
        except (ValueError, TypeError, RecursionError) as error:
            raise LakeError("it is no receipt", next="lakewarden receipts verify") from error
        if not genuine or not HASH.fullmatch(receipt.hash):
            raise LakeError("it is no receipt", next="lakewarden receipts verify")
        return receipt


_TEXTS: Final = ("act_id", "kind", "actor", "host", "time", "key_id", "hash", "signature")


def path(number: int) -> str:
    """Where a receipt stands."""
    return f"{FOLDER}/{number:020d}.json"


def numbers(store: Store) -> list[int]:
    """The numbers of all receipts, in order."""
    found = (NAME.fullmatch(entry.path) for entry in store.entries(FOLDER))
    return sorted(int(name[1]) for name in found if name)


def stored(store: Store, wanted: Sequence[int]) -> Iterator[tuple[int, bytes | None]]:
    """The bytes of these receipts, in the order given; None for one that isn't there."""
    if store.local is not None:
        yield from ((number, store.get(path(number))) for number in wanted)
        return
    with ThreadPoolExecutor(READERS) as pool:
        yield from zip(wanted, pool.map(lambda number: store.get(path(number)), wanted), strict=True)


def read(store: Store, number: int) -> Receipt:
    """One receipt.

    Raises:
        LakeError: there is none of that number, or it can't be read.
    """
    data = store.get(path(number))
    if data is None:
        raise LakeError(f"There is no receipt {number}.", next="lakewarden receipts list")
    try:
        return Receipt.from_json(data)
    except LakeError as error:
        raise LakeError(
            f"Receipt {number} is damaged: {store.uri(path(number))} is no receipt.",
            state="no receipt was changed",
            next="lakewarden receipts verify; then restore the object from a backup",
        ) from error


@dataclass(frozen=True)
class Author:
    """Who acts, and on which machine."""

    actor: str
    host: str

    @classmethod
    def of_this_process(cls) -> Author:
        """`LAKEWARDEN_ACTOR`, else the operating system's user; and this machine's name."""
        return cls(os.environ.get(ACTOR, "").strip() or _user(), socket.gethostname())


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"


class Ledger:
    """Writes a lake's receipts.

    Args:
        store: the lake's objects.
        signer: gives the signer; asked once, when the first receipt is written or `ready` is called.
        now: the wall clock.
        author: who acts; None: this process's user.

    Raises (all methods): StorageError when the storage refuses, ConfigurationError when there is no key to sign with.
    """

    def __init__(self, store: Store, signer: Callable[[], Signer], now: Callable[[], datetime], author: Author | None = None) -> None:
        self._store = store
        self._make_signer = signer
        self._signer: Signer | None = None
        self._now = now
        self.author = author or Author.of_this_process()

    def ready(self) -> None:
        """Make sure that receipts can be signed, before anything is done that needs one."""
        self._sign_with()

    def record(self, act: Act) -> Receipt:
        """Append the act's receipt; one that it has already is given back and not doubled, whoever wrote it.

        Raises:
            LakeError: the newest receipt is damaged, so that none can follow it.
        """
        act_id, taken = act.id or uuid.uuid4().hex, numbers(self._store)
        if act.id is not None:
            found = self._among(act_id, taken, self._claim(act_id, taken[-1] + 1 if taken else 0))
            if found is not None:
                return found
        number, previous = (taken[-1] + 1, self._hash_of(taken[-1])) if taken else (0, None)
        signer = self._sign_with()
        signer.publish(self._store)
        while True:
            receipt = self._sealed(act, act_id, number, previous, signer)
            if self._store.put_new(path(number), receipt.to_json()):
                return receipt
            standing = self._standing(number)
            if standing is not None and standing.act_id == act_id:
                return standing  # it was written, and only the answer got lost; or the same act was resumed elsewhere
            number, previous = number + 1, self._hash_of(number)

    def find(self, act_id: str) -> Receipt | None:
        """The receipt of an act, None where it has none."""
        if not self._store.exists(_note_of(act_id)):
            return None
        return self._among(act_id, numbers(self._store), self._first(act_id))

    def _among(self, act_id: str, taken: Sequence[int], first: int) -> Receipt | None:
        for number in (one for one in taken if one >= first):
            standing = self._standing(number)
            if standing is not None and standing.act_id == act_id:
                return standing
        return None

    def _claim(self, act_id: str, next_number: int) -> int:
        """The lowest number that the act's receipt can have: written down once, before the receipt, by whoever records the act first."""
        if self._store.put_new(_note_of(act_id), canonical({"act_id": act_id, "from": next_number})):
            return next_number
        return self._first(act_id)

    def _first(self, act_id: str) -> int:
        try:
            return int(json.loads(self._store.get(_note_of(act_id)) or b"")["from"])
        except (ValueError, KeyError, TypeError):
            return 0  # a damaged note costs a longer look, and nothing else

    def _sign_with(self) -> Signer:
        if self._signer is None:
            self._signer = self._make_signer()
        return self._signer

    def _standing(self, number: int) -> Receipt | None:
        """The receipt of a number, or None where it is missing or damaged: it is for `verify` to tell of that."""
        try:
            return read(self._store, number)
        except LakeError:
            return None

    def _hash_of(self, number: int) -> str:
        """The hash that the receipt behind `number` has to name: the one that it bears, be it genuine or not."""
        return read(self._store, number).hash

    def _sealed(self, act: Act, act_id: str, number: int, previous: str | None, signer: Signer) -> Receipt:
        said = plain({spec.name: getattr(act, spec.name) for spec in fields(act) if spec.name != "id"})
        draft = Receipt(
            format=FORMAT,
            number=number,
            act_id=act_id,
            actor=self.author.actor,
            host=self.author.host,
            time=self._now().astimezone(UTC).isoformat(timespec="microseconds"),
            previous=previous,
            key_id=signer.public.id,
            hash="",
            signature="",
            **said,
        )
        digest = draft.digest()
        return Receipt(**{**asdict(draft), "hash": digest, "signature": signer.sign(digest)})


def _note_of(act_id: str) -> str:
    return f"{ACTS}/{hashlib.sha256(act_id.encode()).hexdigest()}.json"


def all_receipts(store: Store) -> list[Receipt]:
    """Every receipt, in order.

    Raises:
        LakeError: one is damaged.
        StorageError: one went away while they were read.
    """
    found = []
    for number, data in stored(store, numbers(store)):
        if data is None:
            raise StorageError(f"Receipt {number} went away while it was read.", next="lakewarden receipts verify")
        try:
            found.append(Receipt.from_json(data))
        except LakeError as error:
            raise LakeError(f"Receipt {number} is damaged.", state="no receipt was changed", next="lakewarden receipts verify") from error
    return found
