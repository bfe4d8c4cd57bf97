"""Signatures under receipts: Ed25519, with a key that is named by reference or made on first use, and never lies in the lake.

Only public keys lie in the lake (`_receipts/keys/`). They serve convenience: who can write the lake can replace them, so an auditor
verifies with a copy of the public key of their own (docs/receipts.md).
"""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lakewarden.audit.places import lake_name, state_folder
from lakewarden.errors import ConfigurationError, StorageError
from lakewarden.sources.references import FORMS, is_reference, resolve

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from lakewarden.lake.store import Store

VARIABLE: Final = "LAKEWARDEN_SIGNING_KEY"
KEYS: Final = "_receipts/keys"
_BLOCK: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)
_NOTHING_DONE: Final = "nothing was done"


@dataclass(frozen=True)
class PublicKey:
    """A public key: id, PEM text, and the means to check a signature."""

    id: str
    pem: bytes
    key: Ed25519PublicKey

    def signed(self, digest: str, signature: str) -> bool:
        """Whether `signature` (128 lower-case hexadecimal digits, and no other way of writing them) is this key's under `digest`."""
        from cryptography.exceptions import InvalidSignature

        if not re.fullmatch(r"[0-9a-f]{128}", signature, flags=re.ASCII):
            return False
        try:
            self.key.verify(bytes.fromhex(signature), digest.encode())
        except (InvalidSignature, UnicodeEncodeError):
            return False
        return True


class Signer:
    """Signs with one private key; `public` is its other half."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = _public(key.public_key())

    def sign(self, digest: str) -> str:
        """The signature under a hash (its hexadecimal digits, as ASCII): 128 hexadecimal digits."""
        return self._key.sign(digest.encode()).hex()

    def publish(self, store: Store) -> None:
        """Put the public key into the lake unless it is there."""
        path = f"{KEYS}/{self.public.id}.pem"
        if not store.exists(path):
            store.put_new(path, self.public.pem)


def signer(store: Store) -> Signer:
    """The signer of a lake's receipts: the key that `LAKEWARDEN_SIGNING_KEY` names, else the user's own for this lake, made when missing.

    Raises:
        ConfigurationError: the variable names no Ed25519 key, or no key can be kept in the user's state folder.
    """
    named = os.environ.get(VARIABLE, "").strip()
    if not named:
        return Signer(_own(state_folder() / "keys" / f"{lake_name(store.root)}.pem"))
    if not is_reference(named):  # it may be the key itself: it must not be shown
        raise ConfigurationError(f"{VARIABLE} holds no reference to a key", state=_NOTHING_DONE, next=f"write it as {FORMS}")
    return Signer(_private(resolve(named).replace("\\n", "\n").encode(), named))


def public_keys(pem: bytes, where: str) -> list[PublicKey]:
    """The Ed25519 public keys in a PEM text, of which there may be several.

    Raises:
        ConfigurationError: there is none, or one that can't be used.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    found = []
    for block in _BLOCK.findall(pem):
        try:
            key = load_pem_public_key(block)
        except ValueError as error:
            raise ConfigurationError(f"{where} holds a damaged public key", next="ask its owner for it again") from error
        if not isinstance(key, Ed25519PublicKey):
            raise ConfigurationError(f"{where} holds a public key that isn't Ed25519", next="name the key that signed the receipts")
        found.append(_public(key))
    if not found:
        raise ConfigurationError(
            f"{where} holds no public key", state="nothing was verified", next="name a PEM file that begins with BEGIN PUBLIC KEY"
        )
    return found


def keys_from_files(paths: Sequence[str | Path]) -> list[PublicKey]:
    """The public keys in these files.

    Raises:
        ConfigurationError: a file can't be read or holds none.
    """
    found: list[PublicKey] = []
    for path in paths:
        try:
            pem = Path(path).expanduser().read_bytes()
        except OSError as error:
            raise ConfigurationError(f"{path} can't be read: {error.strerror}", next="name a PEM file with a public key") from error
        found += public_keys(pem, str(path))
    return found


def _public(key: Ed25519PublicKey) -> PublicKey:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(f"k{hashlib.sha256(der).hexdigest()[:32]}", pem, key)


def _private(pem: bytes, where: str) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    advice = "make one: openssl genpkey -algorithm ed25519 -out key.pem"
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # the library's words are left out: they could quote the key
        what = "is encrypted" if isinstance(error, TypeError) else "holds no private key in PEM form"
        raise ConfigurationError(f"The signing key {where} {what}.", state=_NOTHING_DONE, next=advice) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigurationError(f"The signing key {where} is not an Ed25519 key.", state=_NOTHING_DONE, next=advice)
    return key


def _own(path: Path) -> Ed25519PrivateKey:
    """The key at `path`, made first where there is none; of two processes that make one, both get the same."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            _place(path, pem)
        return _private(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigurationError(
            f"No signing key can be kept at {path}: {error.strerror}.", state=_NOTHING_DONE, next=f"set {VARIABLE} to {FORMS}"
        ) from error


def _place(path: Path, data: bytes) -> None:
    """Make a file that only its owner can read, whole or not at all, unless there is one."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass  # another process was quicker: its key is the one
    finally:
        draft.unlink()


def lake_keys(store: Store) -> tuple[dict[str, PublicKey], list[str]]:
    """The public keys in the lake by id, and the objects there that are none, or stand under another's id."""
    found: dict[str, PublicKey] = {}
    strange: list[str] = []
    for path in sorted(entry.path for entry in store.entries(KEYS)):
        data = store.get(path)
        if data is None:
            raise StorageError(f"{store.uri(path)} went away while it was read.", next="run the command again")
        try:
            keys = public_keys(data, path)
        except ConfigurationError:
            keys = []
        if [f"{KEYS}/{key.id}.pem" for key in keys] != [path] or keys[0].pem != data:
            strange.append(path)
        else:
            found[keys[0].id] = keys[0]
    return found, strange
