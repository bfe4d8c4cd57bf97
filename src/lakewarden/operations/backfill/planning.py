"""Build the plan of a backfill: look at the files and at the lake, check and predict; nothing is stored (runbook section 5.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from lakewarden.engines.arrival import Span
from lakewarden.errors import LakeError, UsageError
from lakewarden.lake import releases
from lakewarden.operations import release
from lakewarden.operations.backfill import preconditions, predictions, sample
from lakewarden.operations.backfill.loading import files_of
from lakewarden.operations.backfill.plan import Plan, Scope
from lakewarden.sources.mapping import load_mapping
from lakewarden.sources.open import local_path
from lakewarden.tables import BRONZE, PIPELINE_RUNS

if TYPE_CHECKING:
    from lakewarden.engines.lake_engine import LakeEngine
    from lakewarden.flow.release import Release
    from lakewarden.lake.lakehouse import Lakehouse, Snapshot
    from lakewarden.settings import BackfillSettings


@dataclass(frozen=True)
class Asked:
    """What the user asked for."""

    source: str | Path
    mapping: str | Path | None
    first: date | None
    last: date | None
    release: str | None
    reason: str
    incident: str | None
    line_of_business: str | None = None
    note: str | None = None


@dataclass(frozen=True)
class Ends:
    """Where a lake begins: its lowest `seq` and micro-batch, the time before which history must lie, and its earliest date."""

    seq: int
    batch: int
    before: datetime
    earliest: date | None

    @classmethod
    def of(cls, snapshot: Snapshot, now: datetime) -> Ends:
        """Look at a published point; an empty lake begins at 0, and now."""
        bronze = snapshot.scan(BRONZE.name).select(pl.col("event_date").min(), pl.col("arrival_time").min(), pl.col("seq").min())
        day, arrival, seq = bronze.collect().row(0)
        batch = snapshot.scan(PIPELINE_RUNS.name).select(pl.col("batch").min()).collect().item()
        before = now if day is None else min(datetime.combine(day, time(), UTC), arrival)
        return cls(min(0, seq or 0), min(-1, -1 if batch is None else batch), before, day)


def build(
    lake: Lakehouse,
    engine: LakeEngine,
    asked: Asked,
    *,
    who: str,
    now: datetime,
    code_version: str,
    settings: BackfillSettings,
    load: Callable[[str], Release],
    monotonic: Callable[[], float],
) -> Plan:
    """Build a plan. A precondition that doesn't hold is in the plan, not raised.

    Raises:
        UsageError: the dates are the wrong way round, or there is no reason.
        LakeError: there is no release.
        SourceError: there is nothing at the source, or it can't be read.
        ConfigurationError: the mapping can't be used.
    """
    if asked.first is not None and asked.last is not None and asked.first > asked.last:
        raise UsageError(f"{asked.first} is after {asked.last}.", state="nothing was planned", next="give the earlier date as --from")
    if not asked.reason.strip():
        raise UsageError("A backfill needs a reason.", state="nothing was planned", next='lakewarden backfill plan ... --reason "why"')
    snapshot = lake.snapshot()
    ends = Ends.of(snapshot, now)
    scope = _scope(asked, ends)
    release_id = release.show(lake.store, asked.release).id if asked.release else releases.current_id(lake.store)
    if release_id is None:
        raise LakeError("The lake has no release.", state="nothing was planned", next=f"lakewarden init --lake {lake.store.root}")
    under, labels_version = load(release_id), engine.labels_version()
    found = sample.take(scope, under, engine.labels(labels_version), settings, monotonic)
    predicted = predictions.predict(snapshot, scope, ends.earliest, found, settings)
    return Plan(
        who=who,
        time=now.isoformat(),
        scope=scope,
        release=release_id,
        model=_model(under),
        labels_version=labels_version,
        reason=asked.reason.strip(),
        incident=asked.incident,
        below=ends.seq,
        below_batch=ends.batch,
        preconditions=preconditions.check(lake, scope, ends.earliest, found, under, predicted, code_version),
        predictions=predicted,
        point=snapshot.point.point,
        versions=dict(snapshot.point.versions),
        code_version=code_version,
        settings=settings,
    )


def _scope(asked: Asked, ends: Ends) -> Scope:
    path = local_path(asked.source).resolve()
    mapping: Mapping[str, Any] | None = None
    if asked.mapping is not None:
        loaded = load_mapping(asked.mapping)
        content = loaded.spec.model_dump(mode="json", exclude_defaults=True)
        mapping = {"path": str(asked.mapping), "fingerprint": loaded.fingerprint, "content": content}
    last = asked.last or (ends.before - timedelta(microseconds=1)).date()
    span = Span(asked.first, last, ends.before)
    return Scope(str(path), tuple(files_of(str(path))), mapping, span, asked.last is not None, asked.line_of_business, asked.note)


def _model(release: Release) -> dict[str, str] | None:
    return None if release.model is None else {"name": release.model.name, "version": release.model.version}
