"""Training: labels and events to a registered model, a release, and labels that the stream knows.

Features come from the very stages that score: either from silver, as the stream computed them, or by running a source of events
through the flow in memory (nothing is written to the tables then).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from lakewarden.engines.arrival import Arrived, arrive
from lakewarden.errors import ModelError
from lakewarden.flow.features import FEATURES_VERSION, NEEDS
from lakewarden.flow.labels import LabelIndex
from lakewarden.flow.stages import Context, FlowState, run_flow
from lakewarden.lake import releases
from lakewarden.lake.release_loader import materialise
from lakewarden.operations import release
from lakewarden.progress import Progress
from lakewarden.sources.labels import read_labels
from lakewarden.sources.mapping import party
from lakewarden.sources.open import is_simulation, open_source
from lakewarden.tables import LABELS, SILVER, TRAINING, UTC_US

if TYPE_CHECKING:
    from lakewarden.flow.release import Release
    from lakewarden.lake.lakehouse import Lakehouse
    from lakewarden.progress import OnProgress

CHUNK_ROWS: Final = 100_000
KEYS: Final = ("transaction_id", "account_id", "party_id", "event_time")


@dataclass(frozen=True)
class TrainReport:
    """A trained and registered model: registry name and version, release in force, rows, frauds, metrics on the held-out tail, receipt."""

    release_id: str
    model: str
    version: str
    run_id: str
    rows: int
    frauds: int
    labels: int
    metrics: dict[str, float | None]
    seconds: float
    receipt: int | None = None
    ok: bool = True

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "ok": self.ok,
            "id": self.release_id,
            "model": self.model,
            "version": self.version,
            "run_id": self.run_id,
            "rows": self.rows,
            "frauds": self.frauds,
            "labels": self.labels,
            "metrics": self.metrics,
            "seconds": round(self.seconds, 3),
            "receipt": self.receipt,
        }


def train(
    lake: Lakehouse,
    labels: str | Path,
    source: str | Path | None,
    mapping: str | Path | None,
    *,
    seed: int,
    now: Callable[[], datetime],
    monotonic: Callable[[], float],
    on_progress: OnProgress | None,
) -> TrainReport:
    """Train on labelled events, register the model under the alias `production`, make a release, append the labels to the lake.

    Args:
        labels: see `sources.labels.read_labels`.
        source: events that the labels belong to; None: silver, or the simulation that the labels file lies in.

    Raises:
        ModelError: none of the labels belongs to an event, or there are too few rows; nothing was registered.
    """
    from lakewarden.models import registry
    from lakewarden.models.train import train as fit

    started = monotonic()
    inforce = materialise(lake.store, release.ensure(lake.store, now()))
    given = read_labels(labels, mapping)
    events = source or _simulation_of(Path(labels))
    if source is None and _labelled_in_silver(lake, given):
        rows, known = _from_silver(lake, given, inforce)
    elif events is not None:
        rows, known = from_source(events, mapping, given, inforce, now, on_progress)
    else:
        rows, known = given.clear(), given
    if rows.is_empty():
        raise ModelError(
            f"None of the {given.height} labels in {labels} belongs to an event of {events or 'silver'}.",
            state="nothing was trained; the release in force stays",
            next="stream the events first, or name them: lakewarden train --from LABELS --source EVENTS",
        )
    if on_progress is not None:
        on_progress(Progress(0, None, "training"))
    outcome = fit(rows, inforce.settings, seed=seed)
    packed = outcome.model.to_bytes()
    registered = registry.register(registry.store_uri(lake.store), packed, outcome.model, outcome.metrics)
    model = registered.stamp(outcome.model)
    release.set_model(
        lake.store, releases.ModelRef(model.name, model.version, model.run_id, releases.put_blob(lake.store, model.to_bytes()))
    )
    made = release.create(lake.store, now())
    _remember(lake, known, str(labels))
    _record(lake, rows, registered.run_id)
    frauds = int(rows["is_fraud"].sum())
    return TrainReport(
        made.id, model.name, model.version, model.run_id, rows.height, frauds, known.height, outcome.metrics, monotonic() - started
    )


def _simulation_of(labels: Path) -> Path | None:
    return next((folder for folder in (labels, *labels.parents[:2]) if is_simulation(folder)), None)


def _labelled_in_silver(lake: Lakehouse, given: pl.DataFrame) -> bool:
    silver = lake.table(SILVER.name).select("transaction_id")
    joined = silver.join(given.lazy().select("transaction_id"), on="transaction_id", how="semi")
    return not joined.head(1).collect().is_empty()


def _from_silver(lake: Lakehouse, given: pl.DataFrame, inforce: Release) -> tuple[pl.DataFrame, pl.DataFrame]:
    columns = list(dict.fromkeys([*NEEDS, *KEYS, "seq"]))
    silver = lake.table(SILVER.name).select(columns).collect()
    known = _complete(given, silver.select(KEYS), inforce)
    return silver.join(known.select("transaction_id", "is_fraud", "known_time"), on="transaction_id", maintain_order="left"), known


def from_source(
    events: str | Path,
    mapping: str | Path | None,
    given: pl.DataFrame,
    inforce: Release,
    now: Callable[[], datetime],
    on_progress: OnProgress | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Run a source through the flow in memory: labelled rows with all that features need, and the labels with keys and times filled in.

    Read twice: first for the keys of the labelled events, so that the second pass sees each label from its own known time on.
    """
    keys = [_with_party(rows).select(KEYS) for rows in _decoded(events, mapping, inforce)]
    known = _complete(given, pl.concat(keys) if keys else given.select(KEYS), inforce)
    index = LabelIndex.build(_as_table(known, 1, str(events), 0))
    total = sum(frame.height for frame in keys)
    context = Context(inforce, FlowState.empty(), index)
    columns = list(dict.fromkeys([*NEEDS, *KEYS, "seq"]))
    parts, done = [], 0
    for rows in _decoded(events, mapping, inforce):
        parts.append(run_flow(rows, context).silver.select(columns))
        done += rows.height
        if on_progress is not None:
            on_progress(Progress(done, total, "features"))
    silver = pl.concat(parts) if parts else pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    return silver.join(known.select("transaction_id", "is_fraud", "known_time"), on="transaction_id", maintain_order="left"), known


def _decoded(events: str | Path, mapping: str | Path | None, inforce: Release) -> Any:  # noqa: ANN401  (a generator of frames)
    source = open_source(str(events), mapping=mapping, once=True)
    arrived = Arrived(0)
    try:
        while not source.exhausted:
            chunk = source.read(CHUNK_ROWS, 1.0)
            if chunk is None:
                continue
            rows, arrived = arrive(chunk, inforce, arrived)
            yield rows
    finally:
        source.close()


def _with_party(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(party("merchant_id", "counterparty_id"))


def _complete(given: pl.DataFrame, keys: pl.DataFrame, inforce: Release) -> pl.DataFrame:
    """Labels with account, party and times of their events; unsaid known times are the event's time and the label delay."""
    first = keys.unique("transaction_id", keep="first", maintain_order=True)
    joined = given.join(first, on="transaction_id", how="left", suffix="_event", maintain_order="left")
    filled = joined.with_columns(pl.coalesce(name, f"{name}_event").alias(name) for name in ("account_id", "party_id", "event_time"))
    delay = timedelta(days=inforce.settings.label_delay_days)
    return filled.with_columns(pl.coalesce("known_time", pl.col("event_time") + delay).alias("known_time")).select(given.columns)


def _as_table(known: pl.DataFrame, version: int, source: str, first: int) -> pl.DataFrame:
    """Labels as rows of the `labels` table; one without a time is left out: nobody could say when it was known."""
    return (
        known.filter(pl.col("known_time").is_not_null())
        .with_columns(
            pl.int_range(first, first + pl.len(), dtype=pl.Int64).alias("label_seq"),
            pl.lit(source).alias("source"),
            pl.lit(version, pl.Int64).alias("labels_version"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in LABELS.columns.items())
    )


def _remember(lake: Lakehouse, known: pl.DataFrame, source: str) -> None:
    """Append what isn't known yet, as the next labels version: only verdicts that change something."""
    table = lake.tables[LABELS.name]
    table.refresh()
    before = table.scan().sort("label_seq").select("label_seq", "transaction_id", "is_fraud", "known_time").collect()
    latest = before.unique("transaction_id", keep="last")
    told = known.with_columns(pl.col("known_time").cast(UTC_US))
    fresh = told.join(latest.drop("label_seq"), on=["transaction_id", "is_fraud", "known_time"], how="anti", maintain_order="left")
    version = table.last_batch() + 1
    rows = _as_table(fresh, version, source, before.height)
    if rows.height:
        table.append(rows, batch=version)


def _record(lake: Lakehouse, rows: pl.DataFrame, run_id: str) -> None:
    """Keep the training rows as evidence of what the model was trained on."""
    from lakewarden.flow.features import matrix

    table = lake.tables[TRAINING.name]
    table.refresh()
    kept = rows.select("transaction_id", "event_time", "is_fraud").with_columns(
        pl.lit(run_id).alias("training_run"),
        pl.lit(FEATURES_VERSION).alias("features_version"),
        pl.Series("features", matrix(rows).astype("float64")).cast(pl.List(pl.Float64)),
    )
    table.append(kept, batch=table.last_batch() + 1)
