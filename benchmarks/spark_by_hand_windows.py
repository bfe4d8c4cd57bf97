"""The windows of the hand-written Spark job: what accounts and other sides did before each transaction. See `spark_by_hand`."""

from __future__ import annotations

from typing import Final

MOVES: Final = """
    SELECT transaction_id, unix_micros(event_time) AS t, CAST(datediff(event_date, DATE'1970-01-01') AS INT) AS day,
        account_id, party_id, country, device_id, coalesce(amount_base_minor, 0L) AS amount,
        coalesce(amount_base_minor >= 800000 AND amount_base_minor < 1000000, false) AS near_threshold
    FROM rows"""

HOUR, DAY, MONTH = 3_600_000_000, 86_400_000_000, 30 * 86_400_000_000

PAIRS: Final = f"""
    SELECT *, country_t IS NULL OR t - country_t > {MONTH} AS a_new_country,
        CASE WHEN device_id IS NOT NULL THEN device_t IS NULL OR t - device_t > {MONTH} END AS a_new_device,
        CASE WHEN party_id IS NOT NULL THEN party_t IS NULL OR t - party_t > {MONTH} END AS a_new_party
    FROM (SELECT *, lag(t) OVER (PARTITION BY account_id, country ORDER BY t) AS country_t,
        lag(t) OVER (PARTITION BY account_id, device_id ORDER BY t) AS device_t,
        lag(t) OVER (PARTITION BY account_id, party_id ORDER BY t) AS party_t FROM moves)"""
"""The moves come hash-partitioned by account, which serves all three: no exchange, three sorts."""

RECENT: Final = f"""
    SELECT * EXCEPT (country_t, device_t, party_t, last_t), (t - last_t) / 1e6D AS a_since_last_s FROM (SELECT *,
        count(*) OVER h AS a_count_1h, coalesce(sum(amount) OVER h, 0L) AS a_sum_1h,
        count(*) OVER d AS a_count_24h, coalesce(sum(amount) OVER d, 0L) AS a_sum_24h,
        count_if(near_threshold) OVER d AS a_near_threshold_24h, count_if(a_new_party) OVER d AS a_new_parties_24h,
        lag(t) OVER (PARTITION BY account_id ORDER BY t) AS last_t,
        count(*) OVER b AS n, coalesce(sum(amount) OVER b, 0L) AS s, count_if(near_threshold) OVER b AS near,
        coalesce(sum(CAST(amount AS DOUBLE) * amount) OVER b, 0D) AS squares
    FROM pairs
    WINDOW h AS (PARTITION BY account_id ORDER BY t RANGE BETWEEN {HOUR}L PRECEDING AND 1L PRECEDING),
        d AS (PARTITION BY account_id ORDER BY t RANGE BETWEEN {DAY}L PRECEDING AND 1L PRECEDING),
        b AS (PARTITION BY account_id ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))"""

DAILY: Final = """
    SELECT *, n - first(n) OVER w AS a_count_7d, s - first(s) OVER w AS a_sum_7d, near - first(near) OVER w AS a_near_threshold_7d,
        n - first(n) OVER m AS a_count_30d, s - first(s) OVER m AS a_sum_30d, squares - first(squares) OVER m AS squares_30d
    FROM recent
    WINDOW w AS (PARTITION BY account_id ORDER BY day RANGE BETWEEN 6 PRECEDING AND CURRENT ROW),
        m AS (PARTITION BY account_id ORDER BY day RANGE BETWEEN 29 PRECEDING AND CURRENT ROW)"""
"""7 and 30 days go by UTC days: a running total less what it was at the start of the window's first day. Spark adds up a sliding frame
anew whenever its bounds move; these move once a day, so busy keys cost no square of their rows."""

USUAL: Final = """
    SELECT *, count_if(ordinary) OVER m AS a_usual_count, sum(CASE WHEN ordinary THEN amount END) OVER m AS a_usual_sum,
        count_if(NOT ordinary) OVER w AS a_unusual_count, (t - max(CASE WHEN NOT ordinary THEN t END) OVER w) / 1e6D AS a_since_unusual_s,
        max(CASE WHEN NOT ordinary THEN a_ratio_mean_30d END) OVER w AS a_unusual_ratio_max
    FROM (SELECT *, coalesce(a_ratio_mean_30d <= 2.5, true) AS ordinary FROM (SELECT *,
        CASE WHEN a_sum_30d > 0 THEN CAST(amount AS DOUBLE) * a_count_30d / a_sum_30d END AS a_ratio_mean_30d,
        CASE WHEN a_count_30d >= 3 AND spread > 0 THEN (CAST(a_count_30d AS DOUBLE) * amount - a_sum_30d) / sqrt(spread) END AS a_zscore_30d
        FROM (SELECT *, a_count_30d * squares_30d - CAST(a_sum_30d AS DOUBLE) * a_sum_30d AS spread FROM daily)))
    WINDOW w AS (PARTITION BY account_id ORDER BY day RANGE BETWEEN 7 PRECEDING AND 1 PRECEDING),
        m AS (PARTITION BY account_id ORDER BY day RANGE BETWEEN 37 PRECEDING AND 1 PRECEDING)"""
"""What is usual, by whole days; the product learns it row by row, which a window can't."""

OF_ACCOUNT: Final = (
    *(f"a_{what}_{window}" for window in ("1h", "24h", "7d", "30d") for what in ("count", "sum")),
    *("a_since_last_s", "a_ratio_mean_30d", "a_zscore_30d", "a_new_country", "a_new_device", "a_new_party", "a_new_parties_24h"),
    *("a_near_threshold_24h", "a_near_threshold_7d", "a_usual_count", "a_usual_sum", "a_unusual_count", "a_since_unusual_s"),
    "a_unusual_ratio_max",
)

SIDES: Final = f"""
    SELECT stack(2, party_id, 1L, amount, a_new_party, {", ".join("NULL" for _ in OF_ACCOUNT)},
        'c:' || account_id, 0L, 0L, false, {", ".join(OF_ACCOUNT)}) AS (key, c, v, first_time, {", ".join(OF_ACCOUNT)}),
        transaction_id, t, day, true AS fresh FROM usual WHERE fresh"""
"""A move adds to the history of its party, and asks what its account received: both are rows of a key."""

SIDES_BEFORE: Final = """
    SELECT party_id AS key, 1L AS c, coalesce(amount_base_minor, 0L) AS v, a_new_party AS first_time, transaction_id,
        unix_micros(event_time) AS t, CAST(datediff(event_date, DATE'1970-01-01') AS INT) AS day, false AS fresh FROM before"""

PARTY_RECENT: Final = f"""
    SELECT *, sum(c) OVER h AS count_1h, sum(v) OVER h AS sum_1h, sum(c) OVER d AS count_24h, sum(v) OVER d AS sum_24h,
        count_if(first_time) OVER d AS new_24h, max(CASE WHEN c = 1 THEN t END) OVER b AS last_t,
        coalesce(sum(c) OVER b, 0L) AS n, coalesce(sum(v) OVER b, 0L) AS s
    FROM sides
    WINDOW h AS (PARTITION BY key ORDER BY t RANGE BETWEEN {HOUR}L PRECEDING AND 1L PRECEDING),
        d AS (PARTITION BY key ORDER BY t RANGE BETWEEN {DAY}L PRECEDING AND 1L PRECEDING),
        b AS (PARTITION BY key ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"""

PARTY_DAILY: Final = """
    SELECT *, n - first(n) OVER w AS count_7d, s - first(s) OVER w AS sum_7d,
        n - first(n) OVER m AS count_30d, s - first(s) OVER m AS sum_30d
    FROM recent
    WINDOW w AS (PARTITION BY key ORDER BY day RANGE BETWEEN 6 PRECEDING AND CURRENT ROW),
        m AS (PARTITION BY key ORDER BY day RANGE BETWEEN 29 PRECEDING AND CURRENT ROW)"""

_OURS = {f"p_{what}_{window}": f"coalesce({what}_{window}, 0L)" for window in ("1h", "24h", "7d", "30d") for what in ("count", "sum")} | {
    "p_since_last_s": "(t - last_t) / 1e6D",
    "p_ratio_mean_30d": "CASE WHEN sum_30d > 0 THEN CAST(v AS DOUBLE) * count_30d / sum_30d END",
    "p_new_accounts_24h": "new_24h",
}
_ASKED = {f"in_{what}_{window}": f"coalesce({what}_{window}, 0L)" for window in ("24h", "7d") for what in ("count", "sum")}

BEHAVIOUR: Final = f"""
    SELECT transaction_id, {", ".join(f"max({name}) AS {name}" for name in OF_ACCOUNT)},
        {", ".join(f"max(CASE WHEN c = 1 THEN {sql} END) AS {name}" for name, sql in _OURS.items())},
        {", ".join(f"max(CASE WHEN c = 0 THEN {sql} END) AS {name}" for name, sql in _ASKED.items())}
    FROM daily WHERE fresh GROUP BY transaction_id"""
