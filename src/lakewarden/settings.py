"""Small frozen settings, one class a concern; they build nothing and read nothing."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FlowSettings(_Frozen):
    """What the stages read besides rules and reference data; part of a release ("thresholds")."""

    base_currency: str = Field(default="EUR", pattern="^[A-Z]{3}$", description="Currency of `amount_base_minor`.")
    max_event_bytes: int = Field(default=1_048_576, ge=1024, description="A larger event is a dead letter (Event Hubs' own limit).")
    future_tolerance_seconds: int = Field(default=300, ge=0, description="An event later than its arrival by more is a dead letter.")
    late_after_seconds: int = Field(default=86_400, ge=0, description="An event older than this at arrival is marked late (warning).")
    dedup_horizon_hours: int = Field(default=24, ge=1, description="How long (by arrival) a transaction id is remembered.")
    reporting_threshold_minor: int = Field(default=1_000_000, ge=1, description="Reporting threshold, minor units of the base currency.")
    label_delay_days: int = Field(default=7, ge=0, le=7, description="Days until a label is taken as known where it doesn't say.")
    band_medium: float = Field(default=0.30, gt=0, lt=1, description="risk_score from which a transaction is MEDIUM.")
    band_high: float = Field(default=0.80, gt=0, lt=1, description="risk_score from which a transaction is HIGH.")
    anomaly_quantile: float = Field(
        default=0.995, gt=0.5, lt=1, description="Training quantile of the anomaly score above which is_anomaly."
    )
    explain_top: int = Field(
        default=8, ge=1, le=64, description="Features named one by one in an explanation; the rest is summed as `other`."
    )


class StreamSettings(_Frozen):
    """How the stream cuts micro-batches; never changes what a row becomes."""

    batch_rows: int = Field(default=50_000, ge=1, description="Most events in a micro-batch.")
    batch_seconds: float = Field(default=0.25, gt=0, description="Longest wait for a micro-batch to fill.")
    queue_batches: int = Field(default=1, ge=1, description="Micro-batches read ahead; bounds memory.")


class LakeSettings(_Frozen):
    """How the lake keeps its tail and log short."""

    log_retention_seconds: int = Field(default=30, ge=10, description="How long Delta log entries stay after a checkpoint.")
    checkpoint_every: int = Field(default=50, ge=2, description="Commits of a table between checkpoints.")
    compact_every: int = Field(default=25, ge=2, description="Files of one tier in one partition that are merged.")
    vacuum_grace_seconds: int = Field(default=600, ge=0, description="How long an unreferenced file stays before vacuum takes it.")
    lease_seconds: float = Field(default=15, ge=1, description="How long a stream may be silent before another one takes the lake over.")
    tiers_bytes: tuple[int, ...] = Field(default=(1 << 20, 16 << 20, 128 << 20), description="Bytes from which a file has left each tier.")


class SymptomSettings(_Frozen):
    """From when on the product opens an incident by itself."""

    lag_growing_seconds: float = Field(
        default=60, gt=0, description="Lag that grows for so long, while latency is over its level, is INC-S01."
    )
    latency_p95_seconds: float = Field(default=60, gt=0, description="Service level of latency: the p95 may not be above it.")
    dq_pass_rate: float = Field(default=0.95, gt=0, le=1, description="Critical rules that pass a smaller share of rows are INC-DQ01.")
    dq_rows: int = Field(default=50_000, ge=1, description="How many of the newest rows the pass rate is taken over.")
    dq_least_rows: int = Field(default=500, ge=1, description="A rule that judged fewer of them is not judged itself.")


class ReplaySettings(_Frozen):
    """How a replay is cut, predicted and judged; recorded in its plan."""

    chunk_rows: int = Field(default=250_000, ge=1, le=500_000, description="Events of a replay derived and committed at a time.")
    max_band_move_share: float = Field(default=0.05, ge=0, le=1, description="Share of transactions that may move to another band.")
    dq_pass_rate: float = Field(default=0.95, ge=0, le=1, description="Critical rules must pass at least this share of the events.")
    seconds_per_row: float = Field(default=1 / 20_000, gt=0, description="Seconds an event is predicted to take where none were measured.")
    space_factor: float = Field(default=2.0, ge=1, description="Free space that a replay asks for, in multiples of the predicted bytes.")
    examples: int = Field(default=20, ge=0, description="Differing rows that a report shows.")


class BackfillSettings(_Frozen):
    """How a backfill is cut, predicted and judged; recorded in its plan."""

    chunk_rows: int = Field(default=250_000, ge=1, le=500_000, description="Events of a backfill loaded, derived and committed at a time.")
    sample_rows: int = Field(default=200_000, ge=1, description="Events that a plan reads to know what the files hold.")
    flow_rows: int = Field(default=20_000, ge=1, description="Of these, events that it runs through the stages.")
    dq_pass_rate: float = Field(default=0.95, ge=0, le=1, description="Critical rules must pass at least this share of the events.")
    max_dead_letter_share: float = Field(default=0.05, ge=0, le=1, description="Share of events that may be dead letters.")
    max_live_share: float = Field(default=0.001, ge=0, le=1, description="Share of transaction ids that live data may have already.")
    seconds_per_row: float = Field(default=1 / 20_000, gt=0, description="Seconds an event is predicted to take where none were measured.")
    bytes_per_row: float = Field(default=1500, gt=0, description="Bytes an event is predicted to take, where the lake has none to measure.")
    space_factor: float = Field(default=2.0, ge=1, description="Free space that a backfill asks for, in multiples of the predicted bytes.")
    examples: int = Field(default=20, ge=0, description="Rows that a report shows of what it counts.")


class WatchSettings(_Frozen):
    """How a change of the model is watched, and when it counts as stabilised."""

    every_seconds: float = Field(default=60, gt=0, description="Seconds between two looks.")
    least_events: int = Field(default=500, ge=1, description="Fewer events decided since the change don't say anything.")
    dq_pass_rate: float = Field(default=0.95, gt=0, le=1, description="Critical rules must pass at least this share of the rows.")
    latency_p95_seconds: float = Field(default=60, gt=0, description="Service level of latency: the p95 may not be above it.")
    steady_share: float = Field(default=0.25, gt=0, description="By how much, as a share, the later half may differ from the earlier one.")
    steady_errors: float = Field(default=3, ge=0, description="Standard errors by which the halves may differ anyway: chance.")


class OperationSettings(_Frozen):
    """How operations are done in a lake: `conf/operations.yaml`."""

    second_person: tuple[Literal["replay.swap", "backfill.swap", "model.rollback", "model.promote"], ...] = Field(
        default=(), description="Acts that a second person approves first: replay.swap, backfill.swap, model.rollback, model.promote."
    )
    pin_days: float = Field(default=30, gt=0, description="How long what an operation replaces stays restorable.")
    snapshot_days: float = Field(default=2557, gt=0, description="How long a regulatory snapshot that was replaced stays: seven years.")
    wait_seconds: float = Field(default=60, gt=0, description="How long a command waits for a running stream to carry its order out.")
    replay: ReplaySettings = Field(default=ReplaySettings(), description="How replays are cut and judged.")
    backfill: BackfillSettings = Field(default=BackfillSettings(), description="How backfills are cut and judged.")
