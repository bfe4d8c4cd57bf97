"""The reference tables that belong to a simulated world: KYC, limits, counterparties, watchlist, FX."""

from __future__ import annotations

from datetime import date
from typing import Final

import numpy as np
import polars as pl

from lakewarden.sources.simulator.draws import Draws, Flags, Ints
from lakewarden.sources.simulator.geography import COUNTRIES, CURRENCIES
from lakewarden.sources.simulator.names import companies, listed, people, respelled
from lakewarden.sources.simulator.population import Population

_ENTRIES: Final = 160
_LIST: Final = "SYNTHETIC"
_LIMITS: Final = ((500_000, 1_000_000), (1_000_000, 2_000_000), (2_500_000, 5_000_000))
_BUSINESS_LIMITS: Final = (10_000_000, 50_000_000)
_CODES: Final = pl.Series([country.code for country in COUNTRIES])


def reference_tables(population: Population, start: date) -> dict[str, pl.DataFrame]:
    """Each table by its kind, as it is written to `reference/`; a list of aliases is one text, joined by `|`."""
    draws = population.draws.child("reference")
    watchlist = _watchlist(draws)
    return {
        "kyc": _kyc(population, draws, start),
        "limits": _limits(population, draws),
        "counterparties": _counterparties(population, draws, watchlist),
        "watchlist": watchlist,
        "fx": pl.DataFrame([(currency.code, currency.rate) for currency in CURRENCIES], schema=["currency", "rate"], orient="row"),
    }


def _account_ids(population: Population, ranks: Ints) -> pl.Series:
    return "A" + pl.Series(population.number[ranks]).cast(pl.String)


def _by_number(population: Population) -> Ints:
    return population.ranks_of(np.arange(population.accounts, dtype=np.int64))


def _either(first: Flags, yes: pl.Series, no: pl.Series) -> pl.Series:
    return pl.select(pl.when(pl.Series(first)).then(yes).otherwise(no)).to_series()


def _kyc(population: Population, draws: Draws, start: date) -> pl.DataFrame:
    """One row an account, but for the forgotten ones; accounts opened lately are at most eight weeks old."""
    every = _by_number(population)
    ranks = every[~np.isin(every, population.unknown())]
    owner = population.owner[ranks]
    lately = (ranks >= population.active - population.fresh) & (ranks < population.active)
    age = np.where(lately, draws.child("days").between(3, 56, ranks), draws.child("age").between(200, 9000, ranks))
    risk = draws.child("risk").below(1000, owner)
    status = draws.child("status").below(1000, owner)
    business = ranks < population.businesses
    firms, persons = companies(draws.child("firm"), ranks), people(draws.child("person"), owner)
    return pl.DataFrame(
        {
            "account_id": _account_ids(population, ranks),
            "customer_id": "C" + pl.Series(population.customer_number[ranks]).cast(pl.String),
            "name": _either(business, firms, persons),
            "customer_risk": pl.Series(["LOW", "MEDIUM", "HIGH"]).gather((risk >= 850).astype(np.int64) + (risk >= 975)),
            "kyc_status": pl.Series(["VERIFIED", "PENDING", "EXPIRED"]).gather((status >= 960).astype(np.int64) + (status >= 980)),
            "is_pep": pl.Series(draws.child("pep").chance(0.003, owner)),
            "country": _CODES.gather(population.country[ranks]),
            "opened_date": pl.Series(start.toordinal() - date(1970, 1, 1).toordinal() - age).cast(pl.Int32).cast(pl.Date),
        }
    )


def _limits(population: Population, draws: Draws) -> pl.DataFrame:
    """Limits in euro cents: three tiers for people, more than the first for the wealthy; one for businesses."""
    ranks = _by_number(population)
    tier = draws.child("tier").below(2, ranks) + (population.wealth[ranks] > 1.5)
    table = np.array([*_LIMITS, _BUSINESS_LIMITS], dtype=np.int64)
    chosen = table[np.where(ranks < population.businesses, len(_LIMITS), tier)]
    return pl.DataFrame(
        {
            "account_id": _account_ids(population, ranks),
            "single_limit_minor": pl.Series(chosen[:, 0]),
            "daily_limit_minor": pl.Series(chosen[:, 1]),
        }
    )


def _watchlist(draws: Draws) -> pl.DataFrame:
    """Invented people and companies, each with up to two aliases."""
    at = np.arange(_ENTRIES, dtype=np.int64)
    names = listed(draws.child("listed"), at).to_list()
    firm = draws.child("is firm").chance(0.3, at)
    country = draws.child("country").below(len(COUNTRIES), at)
    full = [f"{name} Trading" if is_firm else name for name, is_firm in zip(names, firm.tolist(), strict=True)]
    aliases = [[respelled(name, 1), " ".join(reversed(name.split(" ")))][: at % 3] for at, name in enumerate(names)]
    return pl.DataFrame(
        {
            "entry_id": [f"W{at + 1000}" for at in range(_ENTRIES)],
            "list": [_LIST] * _ENTRIES,
            "name": full,
            "aliases": ["|".join(alias) or None for alias in aliases],
            "kind": ["entity" if is_firm else "person" for is_firm in firm.tolist()],
            "country": _CODES.gather(country),
        }
    )


def _counterparties(population: Population, draws: Draws, watchlist: pl.DataFrame) -> pl.DataFrame:
    """Outside counterparties; the listed ones bear a watchlist name as it is, or respelled once or twice."""
    at = np.arange(population.outside, dtype=np.int64)
    firm = draws.child("counterparty firm").chance(0.5, at)
    named = _either(firm, companies(draws.child("company"), at), people(draws.child("payee"), at))
    entries = watchlist["name"].to_list()
    for_listed = [respelled(entries[place], place % 3) for place in range(population.listed)]
    names = pl.concat([pl.Series(for_listed, dtype=pl.String), named.slice(population.listed)])
    made = pl.DataFrame(
        {
            "counterparty_id": "X" + pl.Series(population.outside_number(at)).cast(pl.String),
            "name": names,
            "country": _CODES.gather(population.outside_country),
        }
    )
    return made.sort("counterparty_id")
