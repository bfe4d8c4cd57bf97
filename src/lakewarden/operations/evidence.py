"""The evidence of an incident as one file: what an auditor reads first, and the data behind it to check.

The bytes depend on what the lake holds and on the time of packing, and on nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.audit import chain, signing
from lakewarden.audit.receipts import path as receipt_path
from lakewarden.errors import StorageError
from lakewarden.operations import receipts
from lakewarden.operations.evidence_page import page
from lakewarden.operations.status import Report
from lakewarden.tables import PIPELINE_RUNS

if TYPE_CHECKING:
    from lakewarden.audit.chain import Verification
    from lakewarden.audit.incident import Incident
    from lakewarden.audit.receipts import Receipt
    from lakewarden.audit.signing import PublicKey
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.lake.published import PublishedPoint
    from lakewarden.lake.store import Store

STATEMENTS: Final = "_evidence/conservation"
MOST_RUNS: Final = 50_000
"""Run records that are packed one by one, the newest; the summary counts all of them."""

EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the zip, the earliest that the format can say."""

COUNTS: Final = ("received", "bronze", "silver", "dead_letters", "duplicates", "gold", "alerts")


@dataclass(frozen=True)
class Evidence:
    """What is packed; `span` are the dates that statements and run records were taken for, and `why` what they were taken from."""

    incident: Incident
    packed: datetime
    lake: str
    span: tuple[date, date]
    why: str
    receipts: Sequence[Receipt]
    verification: Verification
    statements: Mapping[str, dict[str, Any]]
    point: PublishedPoint
    summary: Sequence[dict[str, Any]]
    runs: pl.DataFrame
    all_runs: int


def pack(lake: Lakehouse, incident: Incident, held: Sequence[PublicKey], out: Path, now: datetime) -> Report:
    """Gather the evidence of an incident and write it to `out`, whole or not at all; `ok` says whether the receipts are whole.

    Raises:
        StorageError: the file can't be written.
    """
    gathered = gather(lake, incident, held, now)
    files = contents(lake.store, gathered)
    data = zipped(files)
    _write(out, data)
    return Report(
        {
            "id": incident.id,
            "path": str(out),
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "from": gathered.span[0].isoformat(),
            "to": gathered.span[1].isoformat(),
            "receipts": len(gathered.receipts),
            "receipts_verified": gathered.verification.ok,
            "statements": len(gathered.statements),
            "runs": gathered.all_runs,
            "files": sorted(files),
        },
        gathered.verification.ok,
    )


def gather(lake: Lakehouse, incident: Incident, held: Sequence[PublicKey], now: datetime) -> Evidence:
    """Everything that the lake holds of an incident."""
    span, why = spanned(incident)
    snapshot = lake.snapshot((PIPELINE_RUNS.name,))
    runs = snapshot.scan(PIPELINE_RUNS.name).filter(
        pl.col("event_date").is_between(*span) | pl.col("committed_time").dt.date().is_between(*span)
    )
    summary = (
        runs.group_by("run_id", "release_id", "code_version")
        .agg(
            pl.col("committed_time").min().alias("began"),
            pl.col("committed_time").max().alias("ended"),
            pl.len().alias("micro_batches"),
            *(pl.col(name).sum() for name in COUNTS),
        )
        .sort("began", "run_id", "release_id")
        .collect()
    )
    return Evidence(
        incident=incident,
        packed=now.astimezone(UTC).replace(microsecond=0),
        lake=lake.store.root,
        span=span,
        why=why,
        receipts=receipts.of_incident(lake.store, incident.id),
        verification=chain.verify(lake.store, held),
        statements=statements(lake.store, span),
        point=snapshot.point,
        summary=[{name: _json(value) for name, value in row.items()} for row in summary.iter_rows(named=True)],
        runs=runs.sort("batch").tail(MOST_RUNS).collect(),
        all_runs=int(summary["micro_batches"].sum()),
    )


def spanned(incident: Incident) -> tuple[tuple[date, date], str]:
    """The dates that an incident concerns, and what says so: its dates, else the time of its impact, else when it was open."""
    spans = (
        (incident.first_date, incident.last_date, "the dates that were hit"),
        (incident.impact_from, incident.impact_to, "the time of the impact"),
        (incident.opened_time, incident.closed_time, "the time for which it was open"),
    )
    begin, end, why = next(span for span in spans if span[0] or span[1])
    first, last = (begin or end or "")[:10], (end or begin or "")[:10]
    return (date.fromisoformat(first), date.fromisoformat(last)), why


def statements(store: Store, span: tuple[date, date]) -> dict[str, dict[str, Any]]:
    """The conservation statements of these dates, by their path."""
    found = {}
    for path in sorted(entry.path for entry in store.entries(STATEMENTS)):
        data = store.get(path)
        stated = json.loads(data) if data else {}
        if stated and span[0] <= date.fromisoformat(stated["date"]) <= span[1]:
            found[path] = stated
    return found


def contents(store: Store, evidence: Evidence) -> dict[str, bytes]:
    """The files of the zip by name; receipts, statements and keys as they lie in the lake, byte for byte."""
    files = {
        "index.html": page(evidence).encode(),
        "incident.json": _written(evidence.incident.to_dict()),
        "packing.json": _written(
            {
                "incident": evidence.incident.id,
                "packed": evidence.packed.isoformat(),
                "lake": evidence.lake,
                "from": evidence.span[0].isoformat(),
                "to": evidence.span[1].isoformat(),
                "taken_from": evidence.why,
            }
        ),
        "receipts/verification.json": _written(evidence.verification.to_dict()),
        "published_point.json": _written(asdict(evidence.point)),
        "runs/summary.json": _written({"micro_batches": evidence.all_runs, "packed": evidence.runs.height, "runs": list(evidence.summary)}),
        "runs/runs.csv": evidence.runs.write_csv().encode(),
    }
    lying = [receipt_path(receipt.number) for receipt in evidence.receipts]
    lying += [*sorted(entry.path for entry in store.entries(signing.KEYS)), *evidence.statements]
    for path in lying:
        files[path.replace("_receipts/", "receipts/").replace("_evidence/", "")] = store.get(path) or b""
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))
    return {**files, "SHA256SUMS": sums.encode()}


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files, in the order of their names; the same files give the same bytes."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            archive.writestr(entry, data, compresslevel=6)
    return out.getvalue()


def _written(data: Mapping[str, Any]) -> bytes:
    return (json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n").encode("utf-8", "backslashreplace")


def _json(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value


def _write(out: Path, data: bytes) -> None:
    draft = out.with_name(f".{out.name}.{uuid.uuid4().hex[:8]}")
    try:
        draft.write_bytes(data)
        os.replace(draft, out)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StorageError(
            f"The evidence can't be written to {out}: {error.strerror}", state="the lake was only read", next="name another file with --out"
        ) from error
