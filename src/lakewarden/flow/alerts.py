"""Alerts: one row for each HIGH transaction, with reasons in plain English and the team that owns it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from lakewarden.flow.sentences import sentences
from lakewarden.rules import compliance
from lakewarden.rules.wording import Money
from lakewarden.tables import ALERTS, LINEAGE, RUN_COLUMNS

if TYPE_CHECKING:
    from lakewarden.flow.release import Release
    from lakewarden.rules.references import References

DEFAULT_OWNER: Final = "compliance-analysts"
"""Who owns an alert that no rule fired on."""

FEATURES_TOLD: Final = 3
"""How many of the model's features an alert puts in words; gold has more."""

COLUMNS: Final = pl.Schema({name: dtype for name, dtype in ALERTS.columns.items() if name not in LINEAGE and name not in RUN_COLUMNS})
"""What :func:`alerts` gives; the engine adds the rest."""


def alerts(rows: pl.DataFrame, release: Release) -> pl.DataFrame:
    """One row for each row whose `risk_band` is HIGH, in the order of `rows`, with the columns :data:`COLUMNS`.

    `alert_id` is `A-` and the transaction's id. `reasons` tells what each fired rule says with its numbers, whom a watchlist
    entry names, what the model thinks and which features raised its score most; it is never empty. `owner` is the owner of
    the fired rule with the highest band, else :data:`DEFAULT_OWNER`.
    """
    high = rows.filter(pl.col("risk_band") == "HIGH")
    if not high.height:
        return pl.DataFrame(schema=COLUMNS)
    owners = [compliance.owner(fired, release.compliance_rules, DEFAULT_OWNER) for fired in high["rules"].to_list()]
    return high.select(
        *(pl.col(name) for name in ("seq", "event_date")),
        ("A-" + pl.col("transaction_id")).alias("alert_id"),
        *(pl.col(name) for name in ("transaction_id", "account_id", "event_time", "amount_base_minor", "risk_score", "risk_band", "rules")),
        pl.Series("reasons", _reasons(high, release), dtype=pl.List(pl.String)),
        pl.Series("owner", owners, dtype=pl.String),
        pl.col("tenant_id"),
    )


def _reasons(high: pl.DataFrame, release: Release) -> list[list[str]]:
    money = Money(release.settings.base_currency, _exponent(release))
    said = compliance.reasons(high, release.compliance_rules, release.settings, money)
    named = release.references.derive("watchlist names", _watchlist_names)
    told = [rule.name for rule in release.compliance_rules]
    columns = ("watchlist_entry", "model_band", "risk_score", "explanations", "is_anomaly")
    for reasons, (entry, band, score, explanation, anomaly) in zip(said, high.select(columns).iter_rows(), strict=True):
        if entry in named:
            reasons.append(f"{entry} is {named[entry]}")
        if band == "HIGH" or not reasons:
            threshold = release.settings.band_high
            reasons.append(f"The {'model' if release.model else 'scorecard'} scores it {score:.2f}; HIGH begins at {threshold:.2f}")
        reasons.extend(f"{text[0].upper()}{text[1:]}" for text in sentences(explanation, money, FEATURES_TOLD, told))
        if anomaly:
            reasons.append("It is unlike the transactions that the anomaly detector knows")
    return said


def _exponent(release: Release) -> int:
    currencies = release.references.get("currencies")
    if currencies is None:
        return 2
    found = currencies.filter(pl.col("currency") == release.settings.base_currency)["exponent"]
    return int(found[0]) if found.len() else 2


def _watchlist_names(references: References) -> dict[str, str]:
    """Whom each entry names, and on which list."""
    watchlist = references.get("watchlist")
    if watchlist is None:
        return {}
    rows = watchlist.select("entry_id", "name", "list").iter_rows()
    return {entry: f"{name} on the list {of}" if of else name for entry, name, of in rows}
