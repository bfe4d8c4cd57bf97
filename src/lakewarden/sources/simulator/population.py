"""Who lives in the simulated world: customers, accounts, merchants and outside counterparties.

Accounts are ordered by *rank*, the busiest first, and print as ids that don't show it. The first ranks are businesses
(they pay salaries), the last two stretches are accounts opened lately and accounts that nobody uses any more.
"""

from __future__ import annotations

from math import gcd
from typing import Final

import numpy as np

from lakewarden.sources.simulator.draws import Draws, Floats, Ints, power_of_two, skewed
from lakewarden.sources.simulator.geography import (
    CASH,
    COUNTRIES,
    CURRENCY_OF,
    FIRST_ABROAD,
    FIRST_CORRIDOR,
    HOME,
    SHOPS,
    WEB,
)

FIRST_NUMBER: Final = 10_000_000
"""Where the numbers of accounts, customers and outside counterparties begin."""
TENANTS: Final = ("alder", "birch")
SHOP, WEBSHOP, TELLER = 0, 1, 2
"""Kinds of merchant: a shop, a web shop, a cash machine."""

_KINDS: Final = ((SHOP, SHOPS, 65), (WEBSHOP, WEB, 20), (TELLER, CASH, 15))
_RANK_SKEW: Final = 0.8
_REGULARS: Final = 8
_LISTED_AT_MOST: Final = 120
_SENT_HOME: Final = 0.002
"""Share of the honest transfers out of the bank that go to a high-risk corridor."""


class Shuffle:
    """A bijection of 0..size-1 and back: what is printed says nothing about the order inside."""

    __slots__ = ("_back", "_offset", "_size", "_stride")

    def __init__(self, draws: Draws, size: int) -> None:
        stride = 1 + int(draws.below(max(1, size - 1), 1)[0])
        while gcd(stride, size) != 1:
            stride += 1
        self._size, self._stride = size, stride
        self._offset = int(draws.child("offset").below(size, 1)[0])
        self._back = pow(stride, -1, size) if size > 1 else 0

    def forth(self, inside: Ints) -> Ints:
        """The printed position of each inner one."""
        return (inside * self._stride + self._offset) % self._size

    def back(self, printed: Ints) -> Ints:
        """The inner position of each printed one."""
        return ((printed - self._offset) * self._back) % self._size


class Population:
    """Everybody, as arrays by account rank, merchant and outside counterparty.

    Args:
        draws: the stream that all attributes come from.
        customers: how many customers; a quarter as many have a second account.
    """

    def __init__(self, draws: Draws, customers: int) -> None:
        self.draws = draws
        self.customers = customers
        self.accounts = customers + customers // 4
        self.dormant = max(3, self.accounts * 3 // 100)
        self.fresh = max(6, self.accounts * 2 // 100)
        self.active = self.accounts - self.dormant
        self.businesses = max(2, self.accounts * 2 // 100)
        self._shuffle = Shuffle(draws.child("account order"), self.accounts)
        self._customer_shuffle = Shuffle(draws.child("customer order"), customers)
        self._people()
        self._merchants()
        self._counterparties()

    def _people(self) -> None:
        ranks = np.arange(self.accounts, dtype=np.int64)
        second = self.draws.child("second account").below(self.customers, ranks)
        self.owner: Ints = np.where(ranks < self.customers, ranks, second)
        ladder = np.cumsum([country.share for country in HOME])
        ticket = self.draws.child("country").below(int(ladder[-1]), self.customers)
        by_customer = np.searchsorted(ladder, ticket, side="right").astype(np.int64)
        self.country: Ints = by_customer[self.owner]
        self.currency: Ints = CURRENCY_OF[self.country]
        self.tenant: Ints = self.draws.child("tenant").below(len(TENANTS), self.customers)[self.owner]
        self.wealth: Floats = power_of_two(0.7 * self.draws.child("wealth").bell(self.customers))[self.owner]
        late = self.draws.child("payday").chance(0.4, ranks)
        self.payday: Ints = np.where(late, 25, self.draws.child("day").between(1, 28, ranks))
        paid = self.draws.child("employed").chance(0.7, ranks) & (ranks >= self.businesses) & (ranks < min(self.customers, self.active))
        self.payday[~paid] = 0
        self.employer: Ints = self.draws.child("employer").below(self.businesses, ranks)
        self.number: Ints = self._shuffle.forth(ranks) + FIRST_NUMBER
        self.customer_number: Ints = self._customer_shuffle.forth(self.owner) + FIRST_NUMBER

    def _merchants(self) -> None:
        total = max(400, self.customers // 12)
        shares = sum(country.share for country in HOME)
        self._starts = np.zeros((len(_KINDS), FIRST_CORRIDOR), dtype=np.int64)
        self._counts = np.zeros((len(_KINDS), FIRST_CORRIDOR), dtype=np.int64)
        category: list[Ints] = []
        country: list[Ints] = []
        made = 0
        for kind, categories, share in _KINDS:
            for where, there in enumerate(COUNTRIES[:FIRST_CORRIDOR]):
                count = max(2, total * share * there.share // (100 * shares))
                self._starts[kind, where], self._counts[kind, where] = made, count
                at = np.arange(made, made + count, dtype=np.int64)
                category.append(self.draws.child("category").below(len(categories), at) + categories.start)
                country.append(np.full(count, where, dtype=np.int64))
                made += count
        self.merchants = made
        self.category: Ints = np.concatenate(category)
        self.merchant_country: Ints = np.concatenate(country)

    def _counterparties(self) -> None:
        total = max(400, self.customers // 4)
        self.outside = total
        self.listed = min(_LISTED_AT_MOST, max(6, total // 200))
        self.corridor = max(6, total // 100)
        self._outside_shuffle = Shuffle(self.draws.child("outside order"), total)
        at = np.arange(total, dtype=np.int64)
        home = self.country[self.draws.child("neighbour").below(self.accounts, at)]
        abroad = self.draws.child("abroad").below(FIRST_CORRIDOR - FIRST_ABROAD, at) + FIRST_ABROAD
        country = np.where(self.draws.child("outside country").chance(0.04, at), abroad, home)
        sanctioned = self.draws.child("corridor").below(len(COUNTRIES) - FIRST_CORRIDOR, at) + FIRST_CORRIDOR
        in_corridor = (at >= self.listed) & (at < self.listed + self.corridor)
        self.outside_country: Ints = np.where(in_corridor, sanctioned, country)

    def outside_number(self, outside: Ints) -> Ints:
        """The printed numbers of outside counterparties."""
        return self._outside_shuffle.forth(outside) + FIRST_NUMBER

    def ranks_of(self, printed: Ints) -> Ints:
        """The ranks of accounts in the order of their printed ids, counted from 0."""
        return self._shuffle.back(printed)

    def busy(self, draws: Draws, at: Ints | int) -> Ints:
        """Accounts that pay today, busy ones oftener (five times the mean at the top, half of it at the bottom)."""
        return (skewed(draws.unit(at), _RANK_SKEW) * self.active).astype(np.int64)

    def personal(self, draws: Draws, at: Ints | int) -> Ints:
        """Accounts in use that are neither businesses nor opened lately, all alike."""
        return draws.below(self.active - self.fresh - self.businesses, at) + self.businesses

    def opened_lately(self, draws: Draws, at: Ints | int) -> Ints:
        """Accounts in use that were opened within eight weeks before the simulation."""
        return draws.below(self.fresh, at) + (self.active - self.fresh)

    def asleep(self, draws: Draws, at: Ints | int) -> Ints:
        """Accounts that ordinary traffic never touches."""
        return draws.below(self.dormant, at) + self.active

    def unknown(self) -> Ints:
        """The ranks that the bank's KYC extract forgot: about 0.2 % of the accounts in use, at least one."""
        ranks = np.arange(self.businesses, self.active - self.fresh, dtype=np.int64)
        missing: Ints = ranks[self.draws.child("unknown").chance(0.002, ranks)]
        return missing if len(missing) else ranks[:1]

    def merchant(self, draws: Draws, kind: int, ranks: Ints, where: Ints) -> Ints:
        """A merchant of a kind in country `where` (no corridor) for each row: mostly one of the account's regular ones."""
        rows = len(ranks)
        slot = draws.child("slot").below(_REGULARS, rows)
        regular = self.draws.child("regular", kind).unit(ranks * _REGULARS + slot)
        chosen = np.where(draws.child("is regular").chance(0.7, rows), regular, draws.child("any").unit(rows))
        merchant: Ints = self._starts[kind, where] + (skewed(chosen, _RANK_SKEW) * self._counts[kind, where]).astype(np.int64)
        return merchant

    def payee(self, draws: Draws, ranks: Ints) -> tuple[Ints, Ints]:
        """Whom a transfer goes to: (inside or not as 1 or 0, account rank or outside counterparty), mostly a regular one."""
        rows = len(ranks)
        regular = draws.child("is regular").chance(0.75, rows)
        key = np.where(regular, ranks * 4 + draws.child("slot").below(4, rows), self.accounts * 4 + draws.child("new").below(1 << 30, rows))
        inside = self.draws.child("payee inside").chance(0.45, key)
        account = self.draws.child("payee account").below(self.active, key)
        account = np.where(account == ranks, (account + 1) % self.active, account)
        ordinary = self.listed + self.corridor
        outside = ordinary + self.draws.child("payee outside").below(self.outside - ordinary, key)
        relative = self.listed + self.draws.child("relative").below(self.corridor, key)
        outside = np.where(draws.child("sent home").chance(_SENT_HOME, rows), relative, outside)
        return inside.astype(np.int64), np.where(inside, account, outside)

    def card(self, ranks: Ints, day: int) -> Ints:
        """The number of each account's card."""
        return self._device("card", 1200, ranks, day)

    def phone(self, ranks: Ints, day: int | Ints) -> Ints:
        """The number of each account's phone, which is replaced every 200 days or so."""
        return self._device("phone", 200, ranks, day)

    def browser(self, draws: Draws, ranks: Ints, day: int) -> Ints:
        """The number of what each row's owner is online with: the phone, or (one time in five) a second device."""
        second = self._device("second", 600, ranks, day)
        return np.where(draws.child("second device").chance(0.2, len(ranks)), second, self.phone(ranks, day))

    def _device(self, what: str, life: int, ranks: Ints, day: int | Ints) -> Ints:
        turn = self.draws.child("renewal", what).below(life, ranks)
        return self.draws.child(what).number(ranks * 4096 + (day + turn) // life)
