"""Enrichment: what reference data says of each transaction, as `tables.ENRICHMENT`.

Tables are prepared once for a set of references (see :class:`~lakewarden.rules.lookup.Lookup`); a micro-batch then costs what
it holds. Where a reference is absent, what it would give is null, and the region is UNKNOWN.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Final

import polars as pl

from lakewarden.errors import ConfigurationError
from lakewarden.rules.lookup import Lookup
from lakewarden.tables import ENRICHMENT

if TYPE_CHECKING:
    from lakewarden.flow.release import Release
    from lakewarden.rules.references import References

UNKNOWN_REGION: Final = "UNKNOWN"

_MOST: Final = 4_000_000_000_000_000_000
"""Amounts in the base currency stop here, so that no rate can overflow 64 bits."""

_RISK: Final = {"LOW": 0, "MEDIUM": 1, "HIGH": 2}

_ACCOUNT: Final = {
    "known_account": pl.Boolean(),
    "kyc_status": pl.String(),
    "customer_risk": pl.Int8(),
    "is_pep": pl.Boolean(),
    "opened_date": pl.Date(),
    "limit_single_minor": pl.Int64(),
    "limit_daily_minor": pl.Int64(),
    "account_entry": pl.String(),
    "account_score": pl.Float64(),
}
_PARTY: Final = {"party_country": pl.String(), "party_entry": pl.String(), "party_score": pl.Float64()}


@dataclass(frozen=True, eq=False)
class _Prepared:
    """References in the shape in which they are looked up: two tables, and expressions for what is small."""

    accounts: Lookup | None
    parties: Lookup | None
    first: tuple[pl.Expr, ...]
    second: tuple[pl.Expr, ...]


def enrich(rows: pl.DataFrame, release: Release) -> pl.DataFrame:
    """Add the columns of `tables.ENRICHMENT`; rows keep their order and number.

    Args:
        rows: validated events with `event_date` and every column of `tables.EVENT_PROPERTIES`.
        release: gives the references and the base currency.

    Amounts: `amount_minor` is `amount * 10^exponent`, `amount_base_minor` is `amount_minor` times the rate (scaled to the minor
    unit of the base currency), each rounded to the nearest whole number, halves to even. An unknown account has
    `known_account` False and nulls; with no kyc at all `known_account` is null. `watchlist_entry` is the best hit of the account
    or of the other side, the account's where they are equal.

    Raises:
        ConfigurationError: the base currency is not among the currencies.
    """
    base = release.settings.base_currency
    prepared = release.references.derive(("enrich", base), partial(_prepare, base=base))
    looked_up = rows.with_columns(
        *_columns_of(prepared.accounts, rows["account_id"], _ACCOUNT),
        *_columns_of(prepared.parties, rows["counterparty_id"], _PARTY),
    )
    done = looked_up.with_columns(*prepared.first).with_columns(*prepared.second)
    return done.select(*rows.columns, *ENRICHMENT)


def _expressions(references: References, base: str) -> tuple[tuple[pl.Expr, ...], tuple[pl.Expr, ...]]:
    """What is computed of a row and what was looked up for it, and then what needs the first of these."""
    countries, mcc = references.get("countries"), references.get("mcc")
    minor, to_base = _factors(references, base)
    regions = {} if countries is None else dict(countries.select("country", "region").iter_rows())
    risks = {} if countries is None else dict(countries.select("country", "risk").iter_rows())
    known = pl.col("known_account").fill_null(False) if references.get("kyc") is not None else pl.lit(None, pl.Boolean)
    risk, region = pl.Int8(), pl.String()
    first = (
        known.alias("known_account"),
        _whole(pl.col("amount") * _map(pl.col("currency"), minor, pl.Float64())).alias("amount_minor"),
        _map(pl.col("country"), regions, region).fill_null(UNKNOWN_REGION).alias("region"),
        pl.coalesce("m:" + pl.col("merchant_id"), "c:" + pl.col("counterparty_id")).alias("party_id"),
        (pl.col("event_date") - pl.col("opened_date")).dt.total_days().cast(pl.Int32).alias("account_age_days"),
        _map(pl.col("country"), risks, risk).alias("country_risk"),
        _map(pl.coalesce("counterparty_country", "party_country"), risks, risk).alias("counterparty_country_risk"),
        _map(pl.col("mcc_code"), {} if mcc is None else dict(mcc.iter_rows()), risk).alias("mcc_risk"),
        (pl.col("account_score").fill_null(-1.0) >= pl.col("party_score").fill_null(-1.0)).alias("_ours"),
    )
    second = (
        _whole(pl.col("amount_minor").cast(pl.Float64) * _map(pl.col("currency"), to_base, pl.Float64())).alias("amount_base_minor"),
        pl.when("_ours").then("account_entry").otherwise("party_entry").alias("watchlist_entry"),
        pl.when("_ours").then("account_score").otherwise("party_score").alias("watchlist_score"),
    )
    return first, second


def _map(key: pl.Expr, values: dict[str, float] | dict[str, int] | dict[str, str], dtype: pl.DataType) -> pl.Expr:
    if not values:
        return pl.lit(None, dtype)
    old, new = pl.Series(list(values), dtype=pl.String), pl.Series(list(values.values()), dtype=dtype)
    return key.replace_strict(old, new, default=None, return_dtype=dtype)


def _whole(value: pl.Expr) -> pl.Expr:
    return value.round(mode="half_to_even").clip(-_MOST, _MOST).cast(pl.Int64, strict=False)


def _columns_of(lookup: Lookup | None, keys: pl.Series, schema: dict[str, pl.DataType]) -> list[pl.Series]:
    if lookup is None:
        return [pl.Series(name, [None], dtype=dtype).new_from_index(0, keys.len()) for name, dtype in schema.items()]
    return lookup.gather(keys).get_columns()


def _prepare(references: References, base: str) -> _Prepared:
    first, second = _expressions(references, base)
    return _Prepared(_accounts(references), _parties(references), first, second)


def _factors(references: References, base: str) -> tuple[dict[str, float], dict[str, float]]:
    """By currency: minor units for 1 unit, and minor units of the base currency for 1 minor unit.

    Rates are taken relative to the rate of the base currency where the table has one, so a table in another base serves too.
    """
    currencies, fx = references.get("currencies"), references.get("fx")
    if currencies is None:
        return {}, {}
    exponents: dict[str, int] = dict(currencies.iter_rows())
    if base not in exponents:
        raise ConfigurationError(
            f"the base currency {base} is not among the currencies of the reference data",
            state="nothing was enriched",
            next="correct base_currency in the settings, or import currencies that hold it",
        )
    rates = {} if fx is None else {currency: Decimal(repr(rate)) for currency, rate in fx.iter_rows()}
    of_base = rates.setdefault(base, Decimal(1))
    to_base = {
        currency: float(rates[currency] / of_base * Decimal(10) ** (exponents[base] - exponent))
        for currency, exponent in exponents.items()
        if currency in rates
    }
    return {currency: float(10**exponent) for currency, exponent in exponents.items()}, to_base


def _accounts(references: References) -> Lookup | None:
    """What is known of each account in one table: kyc, limits, its best watchlist hit."""
    kyc, limits, hits = references.get("kyc"), references.get("limits"), references.get("watchlist_hits")
    parts = []
    if kyc is not None:
        risk = pl.col("customer_risk").replace_strict(_RISK, default=None, return_dtype=pl.Int8)
        parts.append(kyc.select("account_id", "kyc_status", risk, "is_pep", "opened_date", known_account=True))
    if limits is not None:
        parts.append(limits.select("account_id", limit_single_minor="single_limit_minor", limit_daily_minor="daily_limit_minor"))
    if hits is not None:
        best = _best(hits.filter(pl.col("kind") == "account"))
        parts.append(best.select(account_id="id", account_entry="entry_id", account_score="score"))
    return _joined(parts, "account_id", _ACCOUNT)


def _parties(references: References) -> Lookup | None:
    """What is known of each counterparty. One that is an account of ours has the hits of that account too."""
    counterparties, hits = references.get("counterparties"), references.get("watchlist_hits")
    parts = []
    if counterparties is not None:
        parts.append(counterparties.select("counterparty_id", party_country="country"))
    if hits is not None:
        parts.append(_best(hits).select(counterparty_id="id", party_entry="entry_id", party_score="score"))
    return _joined(parts, "counterparty_id", _PARTY)


def _best(hits: pl.DataFrame) -> pl.DataFrame:
    """The hit of each id with the highest score; of equals the first entry."""
    return hits.sort("score", "entry_id", descending=[True, False]).unique("id", keep="first", maintain_order=True)


def _joined(parts: list[pl.DataFrame], key: str, schema: dict[str, pl.DataType]) -> Lookup | None:
    if not parts:
        return None
    table = parts[0]
    for part in parts[1:]:
        table = table.join(part, on=key, how="full", coalesce=True, maintain_order="left_right")
    columns = [pl.col(name) if name in table.columns else pl.lit(None, dtype).alias(name) for name, dtype in schema.items()]
    return Lookup.build(table.select(key, *columns), key)
