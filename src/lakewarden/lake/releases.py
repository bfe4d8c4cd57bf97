"""Releases at rest: immutable, content-addressed manifests and blobs inside the lake.

`_blobs/<sha256>` holds each part once, `_releases/<id>.json` names the parts, `_releases/current.json` says which one is in force.
The id is the hash of the manifest, so a release can't be edited, and the same parts give the same id.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.errors import LakeError
from lakewarden.rules.references import fingerprint

if TYPE_CHECKING:
    from datetime import datetime

    from lakewarden.lake.store import Store

CURRENT: Final = "_releases/current.json"
RESTORING: Final = "_releases/restoring.json"
"""The newest restoration of a former release: see `operations.restoring`."""


@dataclass(frozen=True)
class ModelRef:
    """A registered model: its registry name, version, run and the hash of its packed bytes."""

    name: str
    version: str
    run_id: str
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The parts of a release, each by hash or version."""

    contract: str
    dq_rules: str
    compliance_rules: str
    references: Mapping[str, str]
    settings: Mapping[str, Any]
    model: ModelRef | None
    features_version: str
    code_version: str

    @property
    def id(self) -> str:
        """`r` and the first 16 hexadecimal digits of the manifest's SHA-256."""
        return "r" + hashlib.sha256(self.to_json()).hexdigest()[:16]

    @property
    def parts(self) -> dict[str, Any]:
        """What users gave it: everything but the code and its definition of features."""
        return {name: value for name, value in vars(self).items() if name not in ("code_version", "features_version")}

    def to_json(self) -> bytes:
        """Canonical JSON: sorted keys, no spaces."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Manifest:
        """Read what `to_json` wrote."""
        fields = json.loads(data)
        model = fields.pop("model")
        return cls(model=ModelRef(**model) if model else None, **fields)


def put_blob(store: Store, data: bytes) -> str:
    """Store bytes under their SHA-256, once; gives the hash."""
    digest = hashlib.sha256(data).hexdigest()
    store.put_new(f"_blobs/{digest}", data)
    return digest


def get_blob(store: Store, digest: str) -> bytes:
    """Bytes by hash, checked against it.

    Raises:
        LakeError: the blob is missing or was changed.
    """
    data = store.get(f"_blobs/{digest}")
    if data is None or hashlib.sha256(data).hexdigest() != digest:
        what = "is missing" if data is None else "was changed"
        raise LakeError(
            f"Blob {digest[:12]} of a release {what}.",
            state="no row was written",
            next=f"restore {store.root}/_blobs/{digest} from a backup",
        )
    return data


def put_reference(store: Store, table: pl.DataFrame) -> str:
    """Store a reference table under the fingerprint of its content, whatever the Parquet writer's version; gives the fingerprint."""
    digest = fingerprint(table)
    path = f"_blobs/{digest}"
    if not store.exists(path):
        buffer = io.BytesIO()
        table.write_parquet(buffer, compression="zstd")
        store.put_new(path, buffer.getvalue())
    return digest


def get_reference(store: Store, digest: str) -> pl.DataFrame:
    """A reference table by fingerprint, checked against it.

    Raises:
        LakeError: it is missing or was changed.
    """
    data = store.get(f"_blobs/{digest}")
    table = pl.read_parquet(io.BytesIO(data)) if data is not None else None
    if table is None or fingerprint(table) != digest:
        what = "is missing" if table is None else "was changed"
        raise LakeError(f"Reference table {digest[:12]} {what}.", state="no row was written", next="lakewarden reference import PATH")
    return table


def save(store: Store, manifest: Manifest) -> str:
    """Store a manifest; gives its id."""
    store.put_new(f"_releases/{manifest.id}.json", manifest.to_json())
    return manifest.id


def load(store: Store, release_id: str) -> Manifest:
    """A manifest by id, checked against it.

    Raises:
        LakeError: there is no such release, or it was changed.
    """
    data = store.get(f"_releases/{release_id}.json")
    if data is None:
        raise LakeError(f"There is no release {release_id!r}.", next="lakewarden release list")
    manifest = Manifest.from_json(data)
    if manifest.id != release_id:
        raise LakeError(f"Release {release_id} was changed after it was made.", next=f"restore {store.root}/_releases/{release_id}.json")
    return manifest


def set_current(store: Store, release_id: str, now: datetime, change: str | None = None) -> None:
    """Put a release in force; the stream picks it up at the next micro-batch.

    Args:
        change: the change of the model that it belongs to.
    """
    by = {} if change is None else {"change": change}
    store.put(CURRENT, json.dumps({"id": release_id, "since": now.isoformat(), **by}).encode())


def current_id(store: Store) -> str | None:
    """The id of the release in force, or None before the first."""
    data = store.get(CURRENT)
    return None if data is None else str(json.loads(data)["id"])


def list_ids(store: Store) -> list[tuple[str, datetime]]:
    """All releases with the time at which they were stored, oldest first."""
    found = [
        (e.path.split("/")[-1].removesuffix(".json"), e.modified) for e in store.entries("_releases") if e.path not in (CURRENT, RESTORING)
    ]
    return sorted(found, key=lambda item: (item[1], item[0]))
