"""What the hand-written Spark job says in SQL: contract, quality, reference data, rules. See `spark_by_hand`."""

from __future__ import annotations

from typing import Final

_EVENT: Final = """
    transaction_id STRING, event_time STRING, enqueued_time STRING, account_id STRING, amount DOUBLE, currency STRING, channel STRING,
    country STRING, customer_id STRING, mcc_code STRING, risk_flags ARRAY<STRING>, ingestion_id STRING, source_system STRING,
    event_type STRING, counterparty_id STRING, counterparty_country STRING, merchant_id STRING, device_id STRING, tenant_id STRING,
    _corrupt STRING"""

ACCOUNTS: Final = """
    SELECT coalesce(k.account_id, l.account_id) AS account_id, k.account_id IS NOT NULL AS known_account, k.kyc_status,
        CASE k.customer_risk WHEN 'LOW' THEN 0 WHEN 'MEDIUM' THEN 1 WHEN 'HIGH' THEN 2 END AS customer_risk,
        CAST(k.is_pep AS BOOLEAN) AS is_pep, CAST(k.opened_date AS DATE) AS opened_date,
        CAST(l.single_limit_minor AS BIGINT) AS limit_single_minor, CAST(l.daily_limit_minor AS BIGINT) AS limit_daily_minor,
        w.entry_id AS account_entry
    FROM kyc k FULL JOIN limits l ON k.account_id = l.account_id LEFT JOIN watchlist w ON lower(k.name) = lower(w.name)"""

COUNTERPARTIES: Final = """
    SELECT c.counterparty_id, c.country AS party_country, w.entry_id AS party_entry
    FROM known c LEFT JOIN watchlist w ON lower(c.name) = lower(w.name)"""

CURRENCIES: Final = """
    SELECT c.currency, pow(10, CAST(c.exponent AS INT)) AS minor, CAST(f.rate AS DOUBLE) * pow(10, 2 - CAST(c.exponent AS INT)) AS to_base
    FROM exponents c LEFT JOIN fx f ON c.currency = f.currency"""

FROM_FILES: Final = (
    "monotonically_increasing_id() AS seq",
    "value AS body",
    "_metadata.file_modification_time AS received_time",
    "_metadata.file_name AS source",
)
FROM_KAFKA: Final = (
    "offset * 1024 + partition AS seq",
    "CAST(value AS STRING) AS body",
    "timestamp AS received_time",
    "topic || '/' || partition AS source",
)

BRONZE: Final = """
    SELECT * EXCEPT (body), CAST(body AS BINARY) AS body,
        coalesce(to_date(try_cast(get_json_object(body, '$.event_time') AS TIMESTAMP)), to_date(received_time)) AS event_date
    FROM raw"""

PARSED: Final = f"""
    SELECT seq, batch, body, e.*, e.event_time AS event_time_text, try_cast(e.event_time AS TIMESTAMP) AS at,
        coalesce(try_cast(e.enqueued_time AS TIMESTAMP), received_time) AS arrival_time
    FROM (SELECT *, from_json(body, '{" ".join(_EVENT.split())}', map('columnNameOfCorruptRecord', '_corrupt')) AS e FROM raw)"""

ENRICHED: Final = """
    SELECT /*+ BROADCAST(a), BROADCAST(p), BROADCAST(h), BROADCAST(t), BROADCAST(m), BROADCAST(f) */
        e.* EXCEPT (event_time, event_time_text, enqueued_time, at), e.at AS event_time, e.event_time_text,
        to_date(coalesce(e.at, e.arrival_time)) AS event_date, f.minor, f.to_base, coalesce(h.region, 'UNKNOWN') AS region,
        coalesce('m:' || e.merchant_id, 'c:' || e.counterparty_id) AS party_id,
        try_cast(bround(bround(e.amount * f.minor) * f.to_base) AS BIGINT) AS amount_base_minor,
        try_cast(bround(e.amount * f.minor) AS BIGINT) AS amount_minor,
        coalesce(a.known_account, false) AS known_account, a.kyc_status, a.customer_risk, a.is_pep,
        datediff(to_date(e.at), a.opened_date) AS account_age_days, a.limit_single_minor, a.limit_daily_minor,
        CAST(h.risk AS INT) AS country_risk, CAST(t.risk AS INT) AS counterparty_country_risk, CAST(m.risk AS INT) AS mcc_risk,
        coalesce(a.account_entry, p.party_entry) AS watchlist_entry,
        CASE WHEN coalesce(a.account_entry, p.party_entry) IS NOT NULL THEN 1.0D END AS watchlist_score,
        t.country IS NOT NULL AS counterparty_country_known
    FROM events e
    LEFT JOIN accounts a ON e.account_id = a.account_id
    LEFT JOIN counterparties p ON e.counterparty_id = p.counterparty_id
    LEFT JOIN countries h ON e.country = h.country
    LEFT JOIN countries t ON coalesce(e.counterparty_country, p.party_country) = t.country
    LEFT JOIN mcc m ON e.mcc_code = m.mcc_code
    LEFT JOIN currencies f ON e.currency = f.currency"""

REQUIRED: Final = ("transaction_id", "account_id", "event_time", "amount", "currency", "channel", "country")

CRITICAL: Final = {
    "malformed_json": "_corrupt IS NOT NULL AND coalesce(transaction_id, account_id, event_time_text, currency, channel) IS NULL",
    "mistyped": "_corrupt IS NOT NULL AND coalesce(transaction_id, account_id, event_time_text, currency, channel) IS NOT NULL",
    **{f"missing:{name}": f"_corrupt IS NULL AND ({name} IS NULL OR trim({name}) = '')" for name in ("transaction_id", "account_id")},
    **{f"missing:{name}": f"_corrupt IS NULL AND {name} IS NULL" for name in ("amount", "currency", "channel", "country")},
    "missing:event_time": "_corrupt IS NULL AND event_time_text IS NULL",
    "mistyped:event_time": "event_time_text IS NOT NULL AND event_time IS NULL",
    "contract:channel:enum": "channel NOT IN ('ONLINE', 'POS', 'ATM', 'BRANCH', 'MOBILE', 'OTHER')",
    "contract:amount:minimum": "amount < 0",
    "dq:amount_in_range": "amount >= 1e12",
    "dq:transaction_id_length": "length(transaction_id) > 256",
    "dq:currency_known": "currency IS NOT NULL AND minor IS NULL",
    "dq:currency_has_rate": "currency IS NOT NULL AND to_base IS NULL",
    "dq:country_known": "country IS NOT NULL AND region = 'UNKNOWN'",
    "dq:event_time_not_in_future": "event_time > arrival_time + INTERVAL 300 SECONDS",
    "dq:event_time_within_ten_years": "event_time < arrival_time - INTERVAL 3653 DAYS",
}
WARNING: Final = {
    "event_type_present": "event_type IS NULL OR trim(event_type) = ''",
    "amount_not_zero": "event_type IN ('PAYMENT', 'TRANSFER', 'WITHDRAWAL', 'DEPOSIT') AND amount = 0",
    "amount_plausible": "amount > 1e9",
    "mcc_code_format": "mcc_code IS NOT NULL AND NOT mcc_code RLIKE '^[0-9]{4}$'",
    "mcc_known": "mcc_code IS NOT NULL AND mcc_risk IS NULL",
    "counterparty_country_known": "counterparty_country IS NOT NULL AND NOT counterparty_country_known",
    "account_known": "NOT known_account",
    "account_has_limits": "limit_daily_minor IS NULL",
    "transfer_has_counterparty": "event_type = 'TRANSFER' AND (counterparty_id IS NULL OR trim(counterparty_id) = '')",
    "card_payment_has_merchant": "channel = 'POS' AND event_type = 'PAYMENT' AND (merchant_id IS NULL OR trim(merchant_id) = '')",
    "transfer_not_to_itself": "counterparty_id = account_id",
    "login_moves_no_money": "event_type = 'LOGIN' AND amount <> 0",
    "event_not_late": "event_time < arrival_time - INTERVAL 1 DAY",
}


def mask(conditions: dict[str, str]) -> str:
    """Which of the conditions hold, as bits of one number."""
    return " + ".join(f"CASE WHEN {sql} THEN {1 << bit}L ELSE 0L END" for bit, sql in enumerate(conditions.values()))


def named(bits: str, names: dict[str, str]) -> str:
    """The names that a mask stands for; an array is only made where a bit is set."""
    said = ", ".join(f"CASE WHEN {bits} & {1 << bit} > 0 THEN '{name}' END" for bit, name in enumerate(names))
    return f"CASE WHEN {bits} = 0 THEN array() ELSE array_compact(array({said})) END"


JUDGED: Final = f"""
    SELECT * EXCEPT (body, _corrupt, minor, to_base, counterparty_country_known, critical, warnings),
        CASE WHEN critical > 0 THEN make_valid_utf8(substring(body, 1, 2000)) END AS body_excerpt, length(body) AS body_bytes,
        {named("critical", CRITICAL)} AS codes, {named("warnings", WARNING)} AS dq_warnings,
        critical > 0 AS dead, if(warnings > 0, 'FAILED', 'PASSED') AS dq_status
    FROM (SELECT *, {mask(CRITICAL)} AS critical, {mask(WARNING)} AS warnings FROM enriched)"""

RANKED: Final = """
    SELECT *, row_number() OVER (PARTITION BY transaction_id, dead ORDER BY arrival_time, seq) AS copy FROM judged"""

RULES: Final[dict[str, tuple[str, str]]] = {
    "watchlist_hit": ("HIGH", "watchlist_score >= 0.92"),
    "structuring": (
        "HIGH",
        "amount_base_minor >= 800000 AND amount_base_minor < 1000000 AND (a_near_threshold_24h >= 2 OR a_near_threshold_7d >= 3)",
    ),
    "high_risk_corridor": ("HIGH", "(counterparty_country_risk = 2 OR country_risk = 2) AND amount_base_minor >= 50000"),
    "monitored_corridor": ("MEDIUM", "counterparty_country_risk = 1 AND counterparty_country <> country AND amount_base_minor >= 500000"),
    "pass_through": (
        "HIGH",
        "merchant_id IS NULL AND amount_base_minor > 0 AND in_count_24h >= 3 AND in_sum_24h >= 100000"
        " AND a_sum_24h + amount_base_minor BETWEEN 0.6 * in_sum_24h AND 1.2 * in_sum_24h",
    ),
    "fan_in": (
        "MEDIUM",
        "party_id LIKE 'c:%' AND a_new_party AND p_new_accounts_24h >= 5 AND p_count_30d <= 3 * (p_new_accounts_24h + 1)"
        " AND p_sum_24h + amount_base_minor >= 250000",
    ),
    "fan_out": (
        "MEDIUM",
        "party_id LIKE 'c:%' AND a_new_party AND a_new_parties_24h >= 5 AND a_sum_24h + amount_base_minor >= 300000"
        " AND a_count_30d >= 8 * a_new_parties_24h",
    ),
    "new_device_and_country": ("HIGH", "merchant_id IS NULL AND a_new_device AND a_new_country AND a_count_30d >= 3"),
    "card_testing": ("HIGH", "merchant_id IS NOT NULL AND a_count_1h >= 5 AND a_sum_1h <= 500 * a_count_1h"),
    "velocity": ("MEDIUM", "a_count_1h >= 9"),
    "dormant_waking": ("MEDIUM", "a_since_last_s IS NULL AND a_count_30d = 0 AND account_age_days > 180 AND amount_base_minor >= 150000"),
    "limit_breach_single": ("MEDIUM", "amount_base_minor > limit_single_minor"),
    "limit_breach_daily": ("MEDIUM", "a_sum_24h + amount_base_minor > limit_daily_minor"),
}
_WHEN: Final = {name: sql for name, (_, sql) in RULES.items()}
_HIGH: Final = sum(1 << bit for bit, (band, _) in enumerate(RULES.values()) if band == "HIGH")

SCORED: Final = f"""
    SELECT * EXCEPT (odds, fired), CASE WHEN fired & {_HIGH} > 0 OR risk_score >= 0.8D THEN 'HIGH'
        WHEN fired > 0 OR risk_score >= 0.3D THEN 'MEDIUM' ELSE 'LOW' END AS risk_band,
        CASE WHEN risk_score >= 0.8D THEN 'HIGH' WHEN risk_score >= 0.3D THEN 'MEDIUM' ELSE 'LOW' END AS model_band,
        {named("fired", _WHEN)} AS rules
    FROM (SELECT *, round(1 / (1 + exp(-odds)), 6) AS risk_score, {mask(_WHEN)} AS fired FROM odds)"""
