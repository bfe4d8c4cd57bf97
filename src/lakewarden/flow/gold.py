"""Gold: one scoring result a transaction, as `tables.GOLD` without what names the run or the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from lakewarden.tables import GOLD, LINEAGE, RUN_COLUMNS

if TYPE_CHECKING:
    from lakewarden.flow.release import Release

SCORECARD: Final = "scorecard"
"""The name under which the compliance rules' points score while there is no model; its version is that of the release."""

COLUMNS: Final = pl.Schema({name: dtype for name, dtype in GOLD.columns.items() if name not in LINEAGE and name not in RUN_COLUMNS})
"""What :func:`gold` gives; the engine adds the rest."""


def gold(rows: pl.DataFrame, release: Release) -> pl.DataFrame:
    """One row a scored transaction, in the order of `rows`, with the columns :data:`COLUMNS`.

    `score_id` is `S-` and the transaction's id, so a derivation made again gives the same one.
    """
    model = release.model
    return rows.select(
        *(pl.col(name) for name in ("seq", "event_date")),
        ("S-" + pl.col("transaction_id")).alias("score_id"),
        *(pl.col(name) for name in ("transaction_id", "account_id", "event_time", "amount_base_minor")),
        *(pl.col(name) for name in ("risk_score", "risk_band", "model_band", "is_anomaly", "anomaly_score", "rules", "explanations")),
        pl.lit(model.name if model else SCORECARD, pl.String).alias("model_name"),
        pl.lit(model.version if model else release.id[:12], pl.String).alias("model_version"),
        pl.lit(model.run_id if model else None, pl.String).alias("model_run_id"),
        pl.lit(release.features_version, pl.String).alias("features_version"),
        *(pl.col(name) for name in ("dq_status", "tenant_id")),
    ).cast(COLUMNS)
