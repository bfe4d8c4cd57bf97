"""Ordinary traffic: what people who do nothing wrong pay on one day."""

from __future__ import annotations

from datetime import date
from typing import Final

import numpy as np
import polars as pl

from lakewarden.sources.simulator import families
from lakewarden.sources.simulator.draws import Draws, Floats, Ints, power_of_two
from lakewarden.sources.simulator.geography import (
    CURRENCY_OF,
    FIRST_CORRIDOR,
    HOURS_OF,
    MEDIAN_OF,
    UNIT_OF,
    minor_units,
)
from lakewarden.sources.simulator.population import SHOP, TELLER, WEBSHOP, Population
from lakewarden.sources.simulator.rhythm import DAY, HOUR, MINUTE, midnight, times
from lakewarden.sources.simulator.rows import ACCOUNT, MERCHANT, NOBODY, OUTSIDE, rows

_SHARES: Final = (
    (families.SHOPPING, 44),
    (families.WEB_SHOPPING, 22),
    (families.CASH, 4),
    (families.LEGACY_CASH, 2),
    (families.MOBILE_TRANSFER, 13),
    (families.WEB_TRANSFER, 9),
    (families.LOGIN, 5),
    (families.DEPOSIT, 1),
)
"""Per cent of a day's events; salaries come on top of them."""

_SPREAD: Final = 1.1
"""Deviation of the base-2 logarithm of an amount around its median."""
_LARGE: Final = 0.02
"""Share of the honest transfers that are for a car, a roof or a wedding."""
_SALARIES_AT_MOST: Final = 0.06


def ordinary(population: Population, draws: Draws, day: date, events: int) -> pl.DataFrame:
    """About `events` events of a day: shopping, cash, transfers, logins, deposits and the salaries due."""
    salaries = _salaries(population, draws.child("salaries"), day, int(events * _SALARIES_AT_MOST))
    left = max(len(_SHARES), events - salaries.height)
    parts = [salaries]
    for family, share in _SHARES[1:]:
        count = left * share // 100
        parts.append(_family(population, draws.child("family", family), day, family, count))
    first = left - sum(part.height for part in parts[1:])
    parts.append(_family(population, draws.child("family", families.SHOPPING), day, families.SHOPPING, first))
    return pl.concat(parts)


def _family(population: Population, draws: Draws, day: date, family: int, count: int) -> pl.DataFrame:
    account = population.busy(draws.child("account"), count)
    if family in (families.SHOPPING, families.WEB_SHOPPING, families.CASH, families.LEGACY_CASH):
        return _purchases(population, draws, day, family, account)
    if family in (families.MOBILE_TRANSFER, families.WEB_TRANSFER):
        return _transfers(population, draws, day, family, account)
    return _visits(population, draws, day, family, account)


def _whereabouts(population: Population, draws: Draws, day: date, family: int, account: Ints) -> Ints:
    """The country each event comes from: home, but for travellers (2.5 % of the accounts on any day) and foreign web shops."""
    home = population.country[account]
    elsewhere = FIRST_CORRIDOR
    if family == families.WEB_SHOPPING:
        foreign = draws.child("foreign shop").chance(0.1, len(account))
        return np.where(foreign, draws.child("shop country").below(elsewhere, len(account)), home)
    trip = account * 8192 + (midnight(day) // DAY + account % 5) // 5
    away = population.draws.child("travels").chance(0.025, trip)
    return np.where(away, population.draws.child("to").below(elsewhere, trip), home)


def amounts(draws: Draws, median_cents: Floats, wealth: Floats) -> Floats:
    """Euro cents, about log-normally spread around the medians times a half of the wealth; at least 50."""
    spread = power_of_two(_SPREAD * draws.bell(len(median_cents)))
    return np.maximum(median_cents * (0.5 + 0.5 * wealth) * spread, 50.0)


def _purchases(population: Population, draws: Draws, day: date, family: int, account: Ints) -> pl.DataFrame:
    kind = {families.SHOPPING: SHOP, families.WEB_SHOPPING: WEBSHOP}.get(family, TELLER)
    where = _whereabouts(population, draws, day, family, account)
    merchant = population.merchant(draws.child("merchant"), kind, account, where)
    currency = CURRENCY_OF[where]
    cents = amounts(draws.child("amount"), MEDIAN_OF[population.category[merchant]], population.wealth[account])
    minor = minor_units(cents, currency)
    if kind == TELLER:  # cash comes in notes
        note = np.where(currency == CURRENCY_OF[-1], 10, 20) * UNIT_OF[currency]
        minor = np.maximum(minor // note, 1) * note
    legacy = family == families.LEGACY_CASH
    today = midnight(day) // DAY
    device = population.browser(draws, account, today) if kind == WEBSHOP else population.card(account, today)
    return rows(
        when=times(draws.child("time"), day, HOURS_OF[where]),
        account=account,
        minor=minor,
        currency=currency,
        family=family,
        country=where,
        party_kind=NOBODY if legacy else MERCHANT,
        party=merchant,
        device=-1 if legacy else device,
    )


def _transfers(population: Population, draws: Draws, day: date, family: int, account: Ints) -> pl.DataFrame:
    inside, party = population.payee(draws.child("payee"), account)
    currency = population.currency[account]
    cents = amounts(draws.child("amount"), np.full(len(account), 9000.0), population.wealth[account])
    cents = cents * np.where(account < population.businesses, 3.0, 1.0)
    cents = cents * np.where(draws.child("large").chance(_LARGE, len(account)), 25.0, 1.0)
    where = _whereabouts(population, draws, day, family, account)
    whole = draws.child("whole").chance(0.6, len(account))
    minor = minor_units(cents, currency)
    step = np.where(whole, 5 * UNIT_OF[currency], 1)
    return rows(
        when=times(draws.child("time"), day, HOURS_OF[where]),
        account=account,
        minor=np.maximum(minor // step, 1) * step,
        currency=currency,
        family=family,
        country=where,
        party_kind=np.where(inside == 1, ACCOUNT, OUTSIDE),
        party=party,
        device=population.browser(draws, account, midnight(day) // DAY),
        flags=draws.child("flags").chance(0.006, len(account)).astype(np.int64),
    )


def _visits(population: Population, draws: Draws, day: date, family: int, account: Ints) -> pl.DataFrame:
    """Logins (no money moves) and deposits at a branch."""
    currency = population.currency[account]
    cents = amounts(draws.child("amount"), np.full(len(account), 25_000.0), population.wealth[account])
    cents = cents * np.where(account < population.businesses, 12.0, 1.0)
    login = family == families.LOGIN
    where = _whereabouts(population, draws, day, family, account) if login else population.country[account]
    note = 10 * UNIT_OF[currency]
    deposited = np.maximum(minor_units(cents, currency) // note, 1) * note
    return rows(
        when=times(draws.child("time"), day, HOURS_OF[where]),
        account=account,
        minor=0 if login else deposited,
        currency=currency,
        family=family,
        country=where,
        device=population.browser(draws, account, midnight(day) // DAY) if login else -1,
        flags=np.where(draws.child("flags").chance(0.01, len(account)), 2, 0) if login else 0,
    )


def _salaries(population: Population, draws: Draws, day: date, at_most: int) -> pl.DataFrame:
    """What employers pay today, between 5 and 9 in the morning; no more than `at_most`, so that small runs stay in proportion."""
    due = np.flatnonzero(population.payday == day.day).astype(np.int64)
    if len(due) > at_most:
        due = due[np.arange(at_most, dtype=np.int64) * len(due) // max(at_most, 1)]
    employer = population.employer[due]
    currency = population.currency[due]
    cents = np.rint(240_000.0 * (0.5 + 0.5 * population.wealth[due]))
    return rows(
        when=midnight(day) + 5 * HOUR + draws.child("time").below(240 * MINUTE, len(due)),
        account=employer,
        minor=minor_units(cents, currency),
        currency=currency,
        family=families.PAYROLL,
        country=population.country[employer],
        party_kind=ACCOUNT,
        party=due,
    )


def burst(population: Population, draws: Draws, day: date, *, events: int, start: int, length: int) -> pl.DataFrame:
    """A volume spike: ordinary shopping of the day squeezed into `length` ms from `start`."""
    squeezed = start + draws.child("squeezed").below(length, events)
    made = _family(population, draws, day, families.WEB_SHOPPING, events)
    return made.with_columns(when=pl.Series(squeezed))
