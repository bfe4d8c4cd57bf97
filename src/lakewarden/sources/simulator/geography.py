"""Countries, currencies and merchant categories of the simulated world, by small integer codes (positions in these tuples)."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from lakewarden.sources.simulator.draws import Ints


class Currency(NamedTuple):
    """A currency: code, decimals, euros for one unit (illustrative round figures of no particular day)."""

    code: str
    exponent: int
    rate: float


class Country(NamedTuple):
    """A country: code, currency, hours ahead of UTC, share of the customers (per mille)."""

    code: str
    currency: str
    hours: int
    share: int


class Category(NamedTuple):
    """A merchant category: code, median purchase in euro cents."""

    code: str
    median: int


CURRENCIES: Final = (
    Currency("EUR", 2, 1.0),
    Currency("GBP", 2, 1.17),
    Currency("USD", 2, 0.92),
    Currency("CHF", 2, 1.05),
    Currency("PLN", 2, 0.234),
    Currency("SEK", 2, 0.088),
    Currency("DKK", 2, 0.134),
    Currency("CZK", 2, 0.04),
    Currency("JPY", 0, 0.0061),
    Currency("BHD", 3, 2.44),
)
UNKNOWN_CURRENCY: Final = "XXQ"
"""Three letters that ISO 4217 does not assign."""

HOME: Final = (
    Country("DE", "EUR", 1, 200),
    Country("FR", "EUR", 1, 150),
    Country("IT", "EUR", 1, 110),
    Country("ES", "EUR", 1, 100),
    Country("NL", "EUR", 1, 80),
    Country("AT", "EUR", 1, 40),
    Country("IE", "EUR", 0, 30),
    Country("FI", "EUR", 2, 30),
    Country("GB", "GBP", 0, 90),
    Country("PL", "PLN", 1, 50),
    Country("SE", "SEK", 1, 30),
    Country("DK", "DKK", 1, 20),
    Country("CZ", "CZK", 1, 20),
    Country("CH", "CHF", 1, 20),
    Country("US", "USD", -5, 15),
    Country("JP", "JPY", 9, 10),
    Country("BH", "BHD", 3, 5),
)
"""Where customers live and merchants trade."""

ABROAD: Final = (
    Country("BR", "USD", -3, 0),
    Country("TR", "EUR", 3, 0),
    Country("AE", "USD", 4, 0),
    Country("SG", "USD", 8, 0),
)
"""Where nobody lives: some travel there, some pay somebody there, and takeovers come from there."""

CORRIDOR: Final = (Country("IR", "EUR", 3, 0), Country("KP", "EUR", 9, 0), Country("MM", "EUR", 6, 0))
"""The call-for-action jurisdictions of the FATF's public list."""

COUNTRIES: Final = HOME + ABROAD + CORRIDOR
FIRST_ABROAD: Final = len(HOME)
FIRST_CORRIDOR: Final = len(HOME) + len(ABROAD)

_SHOPS: Final = (
    Category("5411", 3200),
    Category("5812", 2600),
    Category("5541", 5200),
    Category("5912", 1900),
    Category("5311", 4400),
    Category("4111", 500),
    Category("7011", 14000),
    Category("5651", 4800),
)
_WEB: Final = (
    Category("5815", 1100),
    Category("5732", 9500),
    Category("5942", 2300),
    Category("4722", 21000),
    Category("5399", 3900),
    Category("7995", 3000),
    Category("6051", 12000),
)
_CASH: Final = (Category("6011", 9000),)
CATEGORIES: Final = _SHOPS + _WEB + _CASH
SHOPS: Final = range(len(_SHOPS))
WEB: Final = range(len(_SHOPS), len(_SHOPS) + len(_WEB))
CASH: Final = range(len(_SHOPS) + len(_WEB), len(CATEGORIES))

_POSITION: Final = {currency.code: at for at, currency in enumerate(CURRENCIES)}
CURRENCY_OF: Final = np.array([_POSITION[country.currency] for country in COUNTRIES], dtype=np.int64)
HOURS_OF: Final = np.array([country.hours for country in COUNTRIES], dtype=np.int64)
MEDIAN_OF: Final = np.array([category.median for category in CATEGORIES], dtype=np.float64)
UNIT_OF: Final = np.array([10**currency.exponent for currency in CURRENCIES], dtype=np.int64)
_MINOR_PER_CENT: Final = np.array([10**currency.exponent / 100 / currency.rate for currency in CURRENCIES], dtype=np.float64)


def minor_units(cents: np.typing.NDArray[np.float64] | Ints, currency: Ints) -> Ints:
    """Euro cents as whole minor units of each row's currency, at least one."""
    return np.maximum(np.rint(cents * _MINOR_PER_CENT[currency]), 1.0).astype(np.int64)
