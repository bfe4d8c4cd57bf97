"""Everybody in their place."""

from __future__ import annotations

import numpy as np
import pytest

from lakewarden.sources.simulator.draws import Draws
from lakewarden.sources.simulator.geography import COUNTRIES, CURRENCIES, FIRST_CORRIDOR
from lakewarden.sources.simulator.population import FIRST_NUMBER, SHOP, TELLER, WEBSHOP, Population, Shuffle


@pytest.fixture(scope="module")
def population() -> Population:
    return Population(Draws(1, "p"), 1000)


@pytest.mark.parametrize("size", [1, 2, 3, 10, 97, 1024])
def test_a_shuffle_is_a_bijection_with_its_inverse(size: int) -> None:
    shuffle = Shuffle(Draws(size), size)
    inside = np.arange(size, dtype=np.int64)
    assert sorted(shuffle.forth(inside).tolist()) == list(range(size))
    assert shuffle.back(shuffle.forth(inside)).tolist() == inside.tolist()


def test_every_account_has_its_own_number_and_a_quarter_are_second_ones(population: Population) -> None:
    assert population.accounts == 1250
    assert len(set(population.number.tolist())) == 1250
    assert population.number.min() == FIRST_NUMBER
    assert len(set(population.customer_number.tolist())) == 1000


def test_a_customers_accounts_share_country_and_tenant(population: Population) -> None:
    second = np.arange(1000, 1250)
    assert (population.country[second] == population.country[population.owner[second]]).all()
    assert (population.tenant[second] == population.tenant[population.owner[second]]).all()


def test_the_groups_do_not_meet(population: Population) -> None:
    groups = [set(chosen(Draws(2), 5000).tolist()) for chosen in (population.personal, population.opened_lately, population.asleep)]
    assert not groups[0] & groups[1]
    assert not groups[1] & groups[2]
    assert not groups[0] & groups[2]
    assert max(population.busy(Draws(3), 20_000)) < population.active
    assert not set(population.unknown().tolist()) & (groups[1] | groups[2])
    assert len(population.unknown()) >= 1


@pytest.mark.parametrize("kind", [SHOP, WEBSHOP, TELLER])
def test_a_merchant_is_where_it_was_looked_for(population: Population, kind: int) -> None:
    where = np.arange(FIRST_CORRIDOR, dtype=np.int64).repeat(50)
    merchants = population.merchant(Draws(4), kind, np.arange(len(where), dtype=np.int64), where)
    assert (population.merchant_country[merchants] == where).all()


def test_regular_merchants_come_back(population: Population) -> None:
    account = np.full(1000, 600, dtype=np.int64)
    merchants = population.merchant(Draws(5), SHOP, account, population.country[account])
    counts = np.sort(np.bincount(merchants))[::-1]
    assert counts[:8].sum() > 700


def test_nobody_pays_himself_and_ordinary_payees_are_not_listed(population: Population) -> None:
    ranks = population.busy(Draws(6), 50_000)
    inside, party = population.payee(Draws(7), ranks)
    assert (party[inside == 1] != ranks[inside == 1]).all()
    assert (party[inside == 0] >= population.listed).all()
    in_corridor = population.outside_country[party[inside == 0]] >= FIRST_CORRIDOR
    assert 0 < in_corridor.mean() < 0.005


def test_there_are_several_currencies_with_0_2_and_3_decimals(population: Population) -> None:
    used = {CURRENCIES[code] for code in population.currency.tolist()}
    assert len(used) >= 8
    assert {currency.exponent for currency in used} == {0, 2, 3}
    assert {country.currency for country in COUNTRIES} <= {currency.code for currency in CURRENCIES}


def test_a_phone_is_kept_for_months_and_then_replaced(population: Population) -> None:
    rank = np.full(400, 7, dtype=np.int64)
    phones = population.phone(rank, np.arange(20_000, 20_400, dtype=np.int64)).tolist()
    assert len(set(phones)) in (2, 3)
    assert population.phone(np.array([8]), 20_000)[0] not in phones
