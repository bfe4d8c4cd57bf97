"""Every table's schema and partitioning, in one place (facts: "Tables").

All times are microseconds UTC. Money is integer minor units. Every row of every table that the stream writes
carries `batch`, `run_id` and `release_id`; every row that stands for one event carries `seq` as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import polars as pl

UTC_US: Final = pl.Datetime("us", "UTC")

LINEAGE: Final[dict[str, pl.DataType]] = {
    "batch": pl.Int64(),
    "run_id": pl.String(),
    "release_id": pl.String(),
}
"""Columns that say which micro-batch, run and release wrote a row."""

RUN_COLUMNS: Final = ("batch", "run_id", "scored_time", "created_time", "received_time", "latency_ms", "pipeline_run_id", "dq_run_id")
"""Run ids and wall-clock columns: what two derivations of one event may differ in."""

EVENT_PROPERTIES: Final[dict[str, pl.DataType]] = {
    "transaction_id": pl.String(),
    "event_time": UTC_US,
    "account_id": pl.String(),
    "amount": pl.Float64(),
    "currency": pl.String(),
    "channel": pl.String(),
    "country": pl.String(),
    "customer_id": pl.String(),
    "mcc_code": pl.String(),
    "risk_flags": pl.List(pl.String()),
    "ingestion_id": pl.String(),
    "source_system": pl.String(),
    "event_type": pl.String(),
    "counterparty_id": pl.String(),
    "counterparty_country": pl.String(),
    "merchant_id": pl.String(),
    "device_id": pl.String(),
    "tenant_id": pl.String(),
}
"""The contract's properties as silver stores them."""

ENRICHMENT: Final[dict[str, pl.DataType]] = {
    "amount_minor": pl.Int64(),
    "amount_base_minor": pl.Int64(),
    "region": pl.String(),
    "party_id": pl.String(),
    "known_account": pl.Boolean(),
    "kyc_status": pl.String(),
    "customer_risk": pl.Int8(),
    "is_pep": pl.Boolean(),
    "account_age_days": pl.Int32(),
    "limit_single_minor": pl.Int64(),
    "limit_daily_minor": pl.Int64(),
    "country_risk": pl.Int8(),
    "counterparty_country_risk": pl.Int8(),
    "mcc_risk": pl.Int8(),
    "watchlist_entry": pl.String(),
    "watchlist_score": pl.Float64(),
}
"""What the enrich stage adds. Risks: 0 normal, 1 raised, 2 high; null where unknown."""

BEHAVIOUR: Final[dict[str, pl.DataType]] = {
    "clock": pl.Int64(),
    "party_clock": pl.Int64(),
    **{f"a_{what}_{window}": pl.Int64() for window in ("1h", "24h", "7d", "30d") for what in ("count", "sum")},
    **{f"p_{what}_{window}": pl.Int64() for window in ("1h", "24h", "7d", "30d") for what in ("count", "sum")},
    "a_since_last_s": pl.Float64(),
    "p_since_last_s": pl.Float64(),
    "a_ratio_mean_30d": pl.Float64(),
    "a_zscore_30d": pl.Float64(),
    "p_ratio_mean_30d": pl.Float64(),
    "a_new_country": pl.Boolean(),
    "a_new_device": pl.Boolean(),
    "a_new_party": pl.Boolean(),
    "a_new_parties_24h": pl.Int64(),
    "p_new_accounts_24h": pl.Int64(),
    "near_threshold": pl.Boolean(),
    "a_near_threshold_24h": pl.Int64(),
    "a_near_threshold_7d": pl.Int64(),
    "in_count_24h": pl.Int64(),
    "in_sum_24h": pl.Int64(),
    "in_count_7d": pl.Int64(),
    "in_sum_7d": pl.Int64(),
    **{f"p_fraud_{window}": pl.Int64() for window in ("1d", "7d", "30d")},
    **{f"p_delayed_count_{window}": pl.Int64() for window in ("1d", "7d", "30d")},
    **{f"p_fraud_share_{window}": pl.Float64() for window in ("1d", "7d", "30d")},
    "p_since_first_fraud_s": pl.Float64(),
    "p_since_last_fraud_s": pl.Float64(),
    "a_fraud_30d": pl.Int64(),
    "a_usual_sum": pl.Int64(),
    "a_usual_count": pl.Int64(),
    "a_ratio_usual": pl.Float64(),
    "a_unusual_count": pl.Int64(),
    "a_since_unusual_s": pl.Float64(),
    "a_unusual_ratio_max": pl.Float64(),
    "p_fraud_lone_30d": pl.Int64(),
    "p_since_first_lone_fraud_s": pl.Float64(),
}
"""What the behaviour stage adds (a_: own account, p_: the other side, in_: money received by this account)."""


@dataclass(frozen=True, eq=False)
class TableSpec:
    """One Delta table: its columns, partition columns and which columns carry file statistics."""

    name: str
    columns: dict[str, pl.DataType]
    partition_by: tuple[str, ...]
    statistics: tuple[str, ...] = field(default=("seq", "batch"))
    per_event: bool = True

    @property
    def schema(self) -> pl.Schema:
        """The Polars schema, in column order."""
        return pl.Schema(self.columns)

    @property
    def dated_by(self) -> str | None:
        """The date that its partitions are of; None where they are of none."""
        return next((name for name in self.partition_by if self.columns[name] == pl.Date()), None)


BRONZE: Final = TableSpec(
    "transactions_bronze",
    {
        "seq": pl.Int64(),
        "event_date": pl.Date(),
        "arrival_time": UTC_US,
        "enqueued_time": UTC_US,
        "received_time": UTC_US,
        "source": pl.String(),
        "source_partition": pl.String(),
        "source_offset": pl.Int64(),
        "labels_version": pl.Int64(),
        "body": pl.Binary(),
        **LINEAGE,
    },
    ("event_date",),
    ("seq", "batch", "source_offset"),
)

SILVER: Final = TableSpec(
    "transactions_silver",
    {
        "seq": pl.Int64(),
        "event_date": pl.Date(),
        "arrival_time": UTC_US,
        **EVENT_PROPERTIES,
        "extra": pl.String(),
        "dq_warnings": pl.List(pl.String()),
        "dq_status": pl.String(),
        **ENRICHMENT,
        **BEHAVIOUR,
        **LINEAGE,
    },
    ("event_date", "region"),
    ("seq", "batch", "clock", "party_clock"),
)

EXPLANATION: Final = pl.List(pl.Struct({"feature": pl.String(), "value": pl.Float64(), "contribution": pl.Float64()}))

GOLD: Final = TableSpec(
    "risk_scores_gold",
    {
        "seq": pl.Int64(),
        "event_date": pl.Date(),
        "score_id": pl.String(),
        "transaction_id": pl.String(),
        "account_id": pl.String(),
        "event_time": UTC_US,
        "scored_time": UTC_US,
        "amount_base_minor": pl.Int64(),
        "risk_score": pl.Float64(),
        "risk_band": pl.String(),
        "model_band": pl.String(),
        "is_anomaly": pl.Boolean(),
        "anomaly_score": pl.Float64(),
        "rules": pl.List(pl.String()),
        "explanations": EXPLANATION,
        "model_name": pl.String(),
        "model_version": pl.String(),
        "model_run_id": pl.String(),
        "pipeline_run_id": pl.String(),
        "features_version": pl.String(),
        "dq_status": pl.String(),
        "dq_run_id": pl.String(),
        "latency_ms": pl.Float64(),
        "tenant_id": pl.String(),
        **LINEAGE,
    },
    ("event_date", "risk_band"),
)

ALERTS: Final = TableSpec(
    "anomaly_alerts",
    {
        "seq": pl.Int64(),
        "event_date": pl.Date(),
        "alert_id": pl.String(),
        "transaction_id": pl.String(),
        "account_id": pl.String(),
        "event_time": UTC_US,
        "created_time": UTC_US,
        "amount_base_minor": pl.Int64(),
        "risk_score": pl.Float64(),
        "risk_band": pl.String(),
        "rules": pl.List(pl.String()),
        "reasons": pl.List(pl.String()),
        "owner": pl.String(),
        "tenant_id": pl.String(),
        **LINEAGE,
    },
    ("event_date",),
)

DLQ: Final = TableSpec(
    "transactions_dlq",
    {
        "seq": pl.Int64(),
        "event_date": pl.Date(),
        "arrival_time": UTC_US,
        "transaction_id": pl.String(),
        "account_id": pl.String(),
        "amount": pl.Float64(),
        "currency": pl.String(),
        "stage": pl.String(),
        "codes": pl.List(pl.String()),
        "reasons": pl.List(pl.String()),
        "first_seq": pl.Int64(),
        "body_excerpt": pl.String(),
        "body_bytes": pl.Int64(),
        **LINEAGE,
    },
    ("event_date",),
)

DUPLICATES: Final = TableSpec(
    "transactions_duplicates",
    {
        "seq": pl.Int64(),
        "event_date": pl.Date(),
        "transaction_id": pl.String(),
        "first_seq": pl.Int64(),
        "amount": pl.Float64(),
        "currency": pl.String(),
        **LINEAGE,
    },
    ("event_date",),
)

DQ_RESULTS: Final = TableSpec(
    "dq_results",
    {
        "event_date": pl.Date(),
        "checked_time": UTC_US,
        "rule": pl.String(),
        "dimension": pl.String(),
        "criticality": pl.String(),
        "hard": pl.Boolean(),
        "owner": pl.String(),
        "status": pl.String(),
        "rows": pl.Int64(),
        "failed": pl.Int64(),
        "pass_rate": pl.Float64(),
        "examples": pl.List(pl.String()),
        **LINEAGE,
    },
    ("event_date",),
    ("batch",),
    per_event=False,
)

PIPELINE_RUNS: Final = TableSpec(
    "pipeline_runs",
    {
        "event_date": pl.Date(),
        "committed_time": UTC_US,
        "code_version": pl.String(),
        "source": pl.String(),
        "labels_version": pl.Int64(),
        "first_seq": pl.Int64(),
        "last_seq": pl.Int64(),
        "received": pl.Int64(),
        "bronze": pl.Int64(),
        "silver": pl.Int64(),
        "dead_letters": pl.Int64(),
        "duplicates": pl.Int64(),
        "gold": pl.Int64(),
        "alerts": pl.Int64(),
        "seconds": pl.Float64(),
        "latency_p50_ms": pl.Float64(),
        "latency_p95_ms": pl.Float64(),
        "latency_p99_ms": pl.Float64(),
        "stage_seconds": pl.String(),
        "table_versions": pl.String(),
        **LINEAGE,
    },
    ("event_date",),
    ("batch",),
    per_event=False,
)

LABELS: Final = TableSpec(
    "labels",
    {
        "label_seq": pl.Int64(),
        "transaction_id": pl.String(),
        "account_id": pl.String(),
        "party_id": pl.String(),
        "event_time": UTC_US,
        "known_time": UTC_US,
        "is_fraud": pl.Boolean(),
        "typology": pl.String(),
        "source": pl.String(),
        "labels_version": pl.Int64(),
    },
    (),
    ("label_seq", "labels_version"),
    per_event=False,
)

SNAPSHOTS: Final = TableSpec(
    "regulatory_snapshots",
    {
        "snapshot_date": pl.Date(),
        "seq": pl.Int64(),
        "event_date": pl.Date(),
        "transaction_id": pl.String(),
        "account_id": pl.String(),
        "amount_minor": pl.Int64(),
        "currency": pl.String(),
        "risk_score": pl.Float64(),
        "risk_band": pl.String(),
        "model_version": pl.String(),
        "snapshot_id": pl.String(),
        **LINEAGE,
    },
    ("snapshot_date",),
)

TRAINING: Final = TableSpec(
    "ml_features_training",
    {
        "training_run": pl.String(),
        "transaction_id": pl.String(),
        "event_time": UTC_US,
        "is_fraud": pl.Boolean(),
        "features": pl.List(pl.Float64()),
        "features_version": pl.String(),
    },
    ("training_run",),
    (),
    per_event=False,
)

DERIVED: Final = (SILVER, GOLD, ALERTS, DLQ, DUPLICATES, DQ_RESULTS)
"""What one micro-batch writes after bronze, in no particular order."""

TABLES: Final = {
    spec.name: spec for spec in (BRONZE, SILVER, GOLD, ALERTS, DLQ, DUPLICATES, DQ_RESULTS, PIPELINE_RUNS, LABELS, SNAPSHOTS, TRAINING)
}
