"""The named features of the model, from silver columns by integers and + - * / only: the same bits on any machine."""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

FEATURES_VERSION: Final = "1"

DIRECT: Final = (
    *(f"{side}_{what}_{window}" for side in ("a", "p") for what in ("count", "sum") for window in ("1h", "24h", "7d", "30d")),
    "a_since_last_s",
    "p_since_last_s",
    "a_ratio_mean_30d",
    "a_zscore_30d",
    "p_ratio_mean_30d",
    "a_new_country",
    "a_new_device",
    "a_new_party",
    "a_new_parties_24h",
    "p_new_accounts_24h",
    "a_near_threshold_24h",
    "a_near_threshold_7d",
    "in_count_24h",
    "in_sum_24h",
    "in_count_7d",
    "in_sum_7d",
    *(f"p_{what}_{window}" for what in ("fraud", "delayed_count", "fraud_share") for window in ("1d", "7d", "30d")),
    "p_since_first_fraud_s",
    "p_since_last_fraud_s",
    "a_fraud_30d",
    "a_usual_count",
    "a_ratio_usual",
    "a_unusual_count",
    "a_since_unusual_s",
    "a_unusual_ratio_max",
    "p_fraud_lone_30d",
    "p_since_first_lone_fraud_s",
    "customer_risk",
    "account_age_days",
    "country_risk",
    "counterparty_country_risk",
    "mcc_risk",
    "watchlist_score",
)
"""Silver columns taken as they are; null is "not known"."""

_SECONDS: Final = pl.col("event_time").dt.epoch("s")

HUNDRED: Final = "_hundred"
"""A column of 100.0: by a constant Polars divides one row truly, and several by the constant's reciprocal (see `rules.evaluation`)."""

COMPUTED: Final[dict[str, pl.Expr]] = {
    "amount": pl.col("amount_base_minor") / pl.col(HUNDRED),
    "hour": (_SECONDS % 86_400) // 3600,
    "weekend": ((_SECONDS // 86_400 + 3) % 7) >= 5,
    "is_transfer": pl.col("event_type") == "TRANSFER",
    "is_online": pl.col("channel").is_in(["ONLINE", "MOBILE"]),
    "a_share_of_daily_limit": (pl.col("a_sum_24h") + pl.col("amount_base_minor")) / pl.col("limit_daily_minor"),
    "a_usual_mean": pl.col("a_usual_sum") / pl.col("a_usual_count"),
    "a_amount_to_received_24h": pl.col("amount_base_minor") / pl.col("in_sum_24h"),
}
"""Features made of several columns. Day 0 of 1970 was a Thursday."""

FEATURES: Final = (*COMPUTED, *DIRECT)
"""Every feature, in the order of the matrix's columns."""

NEEDS: Final = (*DIRECT, "a_usual_sum", "amount_base_minor", "event_time", "event_type", "channel", "limit_daily_minor")
"""The silver columns that `matrix` reads."""

FEW: Final = 10_000
"""With fewer rows, handing columns to threads costs more than it saves."""

Tails: TypeAlias = int
LOW: Final = 1
HIGH: Final = 2

SURPRISING: Final[dict[str, Tails]] = {
    **dict.fromkeys(
        (
            "amount",
            "a_share_of_daily_limit",
            "a_amount_to_received_24h",
            "a_ratio_mean_30d",
            "a_zscore_30d",
            "a_ratio_usual",
            "a_unusual_count",
            "a_unusual_ratio_max",
            "p_ratio_mean_30d",
            "a_count_1h",
            "a_count_24h",
            "a_sum_24h",
            "a_new_country",
            "a_new_device",
            "a_new_party",
            "a_new_parties_24h",
            "p_new_accounts_24h",
            "a_near_threshold_24h",
            "a_near_threshold_7d",
            "in_count_24h",
            "in_sum_24h",
            "p_fraud_7d",
            "p_fraud_30d",
            "p_fraud_share_30d",
            "p_fraud_lone_30d",
            "a_fraud_30d",
            "customer_risk",
            "country_risk",
            "counterparty_country_risk",
            "mcc_risk",
            "watchlist_score",
        ),
        HIGH,
    ),
    "a_since_last_s": LOW | HIGH,
    "account_age_days": LOW,
}
"""Features that the anomaly detector looks at, and which of their tails are suspicious: bursts and a dormant account that wakes, say."""


def matrix(rows: pl.DataFrame) -> NDArray[np.float32]:
    """Features of silver rows as (rows, features) float32 in column order; NaN where not known.

    Args:
        rows: silver rows with the columns `NEEDS`.
    """
    return np.asarray(_selected(rows, pl.Float32).to_numpy(order="fortran"), dtype=np.float32)


def values(rows: pl.DataFrame) -> NDArray[np.float64]:
    """As `matrix`, unrounded, to be shown to people."""
    return np.asarray(_selected(rows, pl.Float64).to_numpy(order="fortran"), dtype=np.float64)


def _selected(rows: pl.DataFrame, dtype: type[pl.DataType]) -> pl.DataFrame:
    columns = [expression.cast(dtype).alias(name) for name, expression in COMPUTED.items()] + [pl.col(name).cast(dtype) for name in DIRECT]
    rows = rows.with_columns(pl.Series(HUNDRED, np.full(rows.height, 100.0)))
    return rows.select_seq(columns) if rows.height < FEW else rows.select(columns)
