"""Crime, by the book: labelled episodes among the ordinary traffic.

An episode is a pure function of the seed, its typology and the day on which it starts, and may last until two days later: a
day's crime is what the episodes of that day and the two before it do on that day.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from lakewarden.sources.simulator import families
from lakewarden.sources.simulator.draws import Draws, Ints
from lakewarden.sources.simulator.geography import CURRENCY_OF, FIRST_ABROAD, FIRST_CORRIDOR, minor_units
from lakewarden.sources.simulator.population import SHOP, WEBSHOP, Population
from lakewarden.sources.simulator.rhythm import DAY, HOUR, MINUTE
from lakewarden.sources.simulator.rows import ACCOUNT, MERCHANT, OUTSIDE, SCHEMA, rows

GENUINE: Final = ""
TYPOLOGIES: Final = (
    GENUINE,
    "structuring",
    "velocity_burst",
    "account_takeover",
    "mule_fan_in",
    "mule_fan_out",
    "dormant_waking",
    "high_risk_corridor",
    "watchlisted_counterparty",
    "card_testing",
    "compromised_merchant",
)
"""By code; the first is what an honest transaction has."""
_CODE: Final = {name: code for code, name in enumerate(TYPOLOGIES)}

THRESHOLD: Final = 10_000
"""The reporting threshold that structuring stays under, in euros."""
_LOOKBACK: Final = 2
_WEEK: Final = 7
_ATTACK_SLOTS: Final = 64


class _Steps(NamedTuple):
    """The steps of some episodes, flattened: which episode, which step of it, how many it has, and a position for draws."""

    episode: Ints
    step: Ints
    of: Ints
    at: Ints

    @property
    def rows(self) -> int:
        return len(self.episode)


def _steps(draws: Draws, episodes: int, low: int, high: int) -> _Steps:
    counts = draws.child("steps").between(low, high, episodes)
    episode = np.repeat(np.arange(episodes, dtype=np.int64), counts)
    step = np.arange(len(episode), dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)
    return _Steps(episode, step, counts[episode], episode * _ATTACK_SLOTS + step)


def _cents(draws: Draws, low: float, high: float, at: Ints) -> Ints:
    return np.rint((low + (high - low) * draws.child("cents").unit(at)) * 100).astype(np.int64)


def _daytime(draws: Draws, start: int, episodes: int) -> Ints:
    """When episodes begin: between 6 and 16 UTC of the starting day, so that each has a step on that day."""
    return start + 6 * HOUR + draws.child("begin").below(10 * HOUR, episodes)


def _paced(draws: Draws, begin: Ints, steps: _Steps, gap: int) -> Ints:
    """One step about every `gap` ms."""
    return begin[steps.episode] + steps.step * gap + draws.child("jitter").below(gap, steps.at)


def _outsiders(population: Population, draws: Draws, at: Ints) -> Ints:
    ordinary = population.listed + population.corridor
    return ordinary + draws.child("outsider").below(population.outside - ordinary, at)


def _sent(population: Population, account: Ints, when: Ints, cents: Ints, **columns: Ints | int) -> pl.DataFrame:
    """Transfers out of accounts, from their own phones unless told otherwise."""
    currency = population.currency[account]
    own = population.phone(account, when // DAY)
    given: dict[str, Ints | int] = {"family": families.MOBILE_TRANSFER, "country": population.country[account], "device": own, **columns}
    return rows(when=when, account=account, minor=minor_units(cents, currency), currency=currency, **given)


def _structuring(population: Population, draws: Draws, episodes: int, start: int) -> pl.DataFrame:
    """Four to seven deposits and transfers of 83 to 99.5 % of the threshold, hours apart."""
    steps = _steps(draws, episodes, 4, 7)
    account = population.personal(draws.child("account"), episodes)[steps.episode]
    cents = _cents(draws, 0.83 * THRESHOLD, 0.995 * THRESHOLD, steps.at)
    cash = draws.child("cash").chance(0.5, steps.at)
    return _sent(
        population,
        account,
        _paced(draws, _daytime(draws, start, episodes), steps, 5 * HOUR),
        cents,
        family=np.where(cash, families.DEPOSIT, families.WEB_TRANSFER),
        party_kind=np.where(cash, 0, OUTSIDE),
        party=_outsiders(population, draws, steps.episode * 2 + steps.step % 2),
        typology=_CODE["structuring"],
    )


def _velocity_burst(population: Population, draws: Draws, episodes: int, start: int) -> pl.DataFrame:
    """A stolen card: twelve to twenty-four purchases at many shops, one a minute."""
    steps = _steps(draws, episodes, 12, 24)
    owner = population.personal(draws.child("account"), episodes)
    account = owner[steps.episode]
    where = population.country[population.personal(draws.child("where"), episodes)][steps.episode]
    web = draws.child("web").chance(0.6, steps.at)
    shop = population.merchant(draws.child("shop"), SHOP, account + steps.step, where)
    site = population.merchant(draws.child("site"), WEBSHOP, account + steps.step, where)
    thief = draws.child("thief").number(steps.episode)
    return rows(
        when=_paced(draws, _daytime(draws, start, episodes), steps, MINUTE),
        account=account,
        minor=minor_units(_cents(draws, 25, 260, steps.at), CURRENCY_OF[where]),
        currency=CURRENCY_OF[where],
        family=np.where(web, families.WEB_SHOPPING, families.SHOPPING),
        country=where,
        party_kind=MERCHANT,
        party=np.where(web, site, shop),
        device=np.where(web, thief, population.card(account, start // DAY)),
        typology=_CODE["velocity_burst"],
    )


def _account_takeover(population: Population, draws: Draws, episodes: int, start: int) -> pl.DataFrame:
    """A login from a new device abroad, then the account is drained to new payees within the hour."""
    steps = _steps(draws, episodes, 3, 5)
    account = population.personal(draws.child("account"), episodes)[steps.episode]
    login = steps.step == 0
    abroad = (draws.child("where").below(FIRST_CORRIDOR - FIRST_ABROAD, episodes) + FIRST_ABROAD)[steps.episode]
    cents = np.where(login, 0, _cents(draws, 900, 4_800, steps.at))
    flags = np.where(draws.child("flagged").chance(0.35, steps.at), np.where(login, 2, 3), 0)
    made = _sent(
        population,
        account,
        _paced(draws, _daytime(draws, start, episodes), steps, 12 * MINUTE),
        cents,
        family=np.where(login, families.LOGIN, families.WEB_TRANSFER),
        country=abroad,
        party_kind=np.where(login, 0, OUTSIDE),
        party=_outsiders(population, draws, steps.at),
        device=draws.child("thief").number(steps.episode),
        flags=flags,
        typology=_CODE["account_takeover"],
    )
    return made.with_columns(minor=pl.when(pl.Series(login)).then(0).otherwise(pl.col("minor")))


def _mules(population: Population, draws: Draws, episodes: int, start: int) -> pl.DataFrame:
    """Many accounts pay one that was opened lately, which passes nearly all of it on the same day or the next."""
    into = _steps(draws.child("in"), episodes, 8, 14)
    out = _steps(draws.child("out"), episodes, 3, 6)
    mule = population.opened_lately(draws.child("mule"), episodes)
    begin = _daytime(draws, start, episodes)
    received = _cents(draws.child("in"), 250, 1_900, into.at)
    total = np.bincount(into.episode, weights=received.astype(np.float64), minlength=episodes).astype(np.int64)
    fan_in = _sent(
        population,
        population.personal(draws.child("victim"), into.at),
        _paced(draws.child("in"), begin, into, 25 * MINUTE),
        received,
        party_kind=ACCOUNT,
        party=mule[into.episode],
        typology=_CODE["mule_fan_in"],
    )
    passed = (total[out.episode] * 92 // 100) // out.of
    fan_out = _sent(
        population,
        mule[out.episode],
        _paced(draws.child("out"), begin + 6 * HOUR, out, 50 * MINUTE),
        passed - draws.child("less").below(1 << 12, out.at),
        party_kind=OUTSIDE,
        party=_outsiders(population, draws.child("out"), out.at),
        typology=_CODE["mule_fan_out"],
    )
    return pl.concat([fan_in, fan_out])


def _dormant_waking(population: Population, draws: Draws, episodes: int, start: int) -> pl.DataFrame:
    """An account that nobody has used sends large sums from a device it never had."""
    steps = _steps(draws, episodes, 2, 4)
    return _sent(
        population,
        population.asleep(draws.child("account"), episodes)[steps.episode],
        _paced(draws, _daytime(draws, start, episodes), steps, 90 * MINUTE),
        _cents(draws, 1_500, 7_500, steps.at),
        party_kind=OUTSIDE,
        party=_outsiders(population, draws, steps.at),
        device=draws.child("thief").number(steps.episode),
        typology=_CODE["dormant_waking"],
    )


def _high_risk_corridor(population: Population, draws: Draws, episodes: int, start: int) -> pl.DataFrame:
    """One to three transfers to counterparties in call-for-action jurisdictions."""
    steps = _steps(draws, episodes, 1, 3)
    party = population.listed + draws.child("party").below(population.corridor, episodes)
    return _sent(
        population,
        population.personal(draws.child("account"), episodes)[steps.episode],
        _paced(draws, _daytime(draws, start, episodes), steps, 3 * HOUR),
        _cents(draws, 800, 7_900, steps.at),
        family=families.WEB_TRANSFER,
        party_kind=OUTSIDE,
        party=party[steps.episode],
        typology=_CODE["high_risk_corridor"],
    )


def _watchlisted(population: Population, draws: Draws, episodes: int, start: int) -> pl.DataFrame:
    """One or two transfers to somebody whose name is on the watchlist, exactly or respelled."""
    steps = _steps(draws, episodes, 1, 2)
    party = draws.child("party").below(population.listed, episodes)
    return _sent(
        population,
        population.personal(draws.child("account"), episodes)[steps.episode],
        _paced(draws, _daytime(draws, start, episodes), steps, 4 * HOUR),
        _cents(draws, 300, 6_000, steps.at),
        family=families.WEB_TRANSFER,
        party_kind=OUTSIDE,
        party=party[steps.episode],
        typology=_CODE["watchlisted_counterparty"],
    )


def _card_testing(population: Population, draws: Draws, episodes: int, start: int) -> pl.DataFrame:
    """Eight to fourteen purchases of a euro or two at one web shop, then a large one elsewhere."""
    steps = _steps(draws, episodes, 8, 14)
    account = population.personal(draws.child("account"), episodes)[steps.episode]
    last = steps.step == steps.of - 1
    where = population.country[population.personal(draws.child("where"), episodes)][steps.episode]
    tested = population.merchant(draws.child("tested"), WEBSHOP, account, where)
    first_of = np.flatnonzero(steps.step == 0)
    shop = population.merchant(draws.child("last"), WEBSHOP, account + 1, where)
    small, large = _cents(draws, 0.5, 2.5, steps.at), _cents(draws, 450, 1_900, steps.at)
    return rows(
        when=_paced(draws, _daytime(draws, start, episodes), steps, 90_000),
        account=account,
        minor=minor_units(np.where(last, large, small), CURRENCY_OF[where]),
        currency=CURRENCY_OF[where],
        family=families.WEB_SHOPPING,
        country=where,
        party_kind=MERCHANT,
        party=np.where(last, shop, tested[first_of][steps.episode]),
        device=draws.child("thief").number(steps.episode),
        typology=_CODE["card_testing"],
    )


def _compromised(population: Population, draws: Draws, merchants: int, start: int, week: Draws) -> pl.DataFrame:
    """A day's misuse at the shops that are compromised this week: cloned cards of many people, larger sums than usual there."""
    steps = _steps(draws, merchants, 3, 6)
    seller = population.personal(week.child("near"), merchants)
    chosen = population.merchant(week.child("merchant"), SHOP, seller, population.country[seller])
    merchant = chosen[steps.episode]
    where = population.merchant_country[merchant]
    account = population.personal(draws.child("victim"), steps.at)
    return rows(
        when=start + draws.child("time").below(DAY, steps.at),
        account=account,
        minor=minor_units(_cents(draws, 60, 420, steps.at), CURRENCY_OF[where]),
        currency=CURRENCY_OF[where],
        family=families.SHOPPING,
        country=where,
        party_kind=MERCHANT,
        party=merchant,
        device=population.card(account, start // DAY),
        typology=_CODE["compromised_merchant"],
    )


_Episodes = Callable[[Population, Draws, int, int], pl.DataFrame]
_PLOTS: Final[tuple[tuple[str, _Episodes, float, float], ...]] = (
    ("structuring", _structuring, 0.0006, 5.5),
    ("velocity", _velocity_burst, 0.0014, 18.0),
    ("takeover", _account_takeover, 0.0009, 4.0),
    ("mules", _mules, 0.0017, 15.5),
    ("dormant", _dormant_waking, 0.0006, 3.0),
    ("corridor", _high_risk_corridor, 0.0006, 2.0),
    ("watchlist", _watchlisted, 0.0004, 1.5),
    ("testing", _card_testing, 0.0011, 11.0),
)
"""Name, what an episode does, its share of all events, its mean number of events."""
_COMPROMISED_SHARE: Final = 0.0008
_COMPROMISED_EVENTS: Final = 4.5


def crime(population: Population, draws: Draws, *, day_index: int, start: int, events_per_day: int) -> pl.DataFrame:
    """What criminals do within the day that starts at `start` (ms): about 0.8 % of `events_per_day`.

    On the first day one episode of every typology begins at least, so that none is missing from a small simulation.
    """
    parts = [pl.DataFrame(schema=SCHEMA)]
    for name, episodes, share, mean in _PLOTS:
        for back in range(min(_LOOKBACK, day_index) + 1):
            began = day_index - back
            plot = draws.child(name, began)
            count = plot.child("count").round(events_per_day * share / mean)
            count = max(count, 1) if began == 0 else count
            parts.append(episodes(population, plot, count, start - back * DAY))
    week = draws.child("compromised week", day_index // _WEEK)
    merchants = max(1, week.round(events_per_day * _COMPROMISED_SHARE / _COMPROMISED_EVENTS))
    parts.append(_compromised(population, draws.child("compromised", day_index), merchants, start, week))
    return pl.concat(parts).filter(pl.col("when").is_between(start, start + DAY, closed="left"))
