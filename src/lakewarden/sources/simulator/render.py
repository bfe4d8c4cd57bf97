"""Rows as JSON lines: texts joined column by column, so that no event passes through Python on its own."""

from __future__ import annotations

from itertools import product
from typing import Final

import numpy as np
import polars as pl

from lakewarden.sources.simulator import faults
from lakewarden.sources.simulator.draws import Ints
from lakewarden.sources.simulator.families import FAMILIES, RISK_FLAGS
from lakewarden.sources.simulator.geography import CASH, CATEGORIES, COUNTRIES, CURRENCIES, UNIT_OF
from lakewarden.sources.simulator.population import TENANTS, Population
from lakewarden.sources.simulator.rows import ACCOUNT, MERCHANT, OUTSIDE
from lakewarden.sources.simulator.timetext import TimeText

_FIRST_MERCHANT: Final = 100_000
_FRACTIONS: Final = pl.Series(["", *(f".{at:02}" for at in range(100)), *(f".{at:03}" for at in range(1000))])
_FRACTION_START: Final = np.array([{0: 0, 2: 1, 3: 101}[currency.exponent] for currency in CURRENCIES], dtype=np.int64)
_CURRENCIES: Final = pl.Series([f',"currency":"{currency.code}"' for currency in CURRENCIES])
_PARTY_HEADS: Final = pl.Series([None, None, ',"counterparty_id":"A', ',"counterparty_id":"X'], dtype=pl.String())
_PARTY_TAILS: Final = pl.Series([f'","counterparty_country":"{country.code}"' for country in COUNTRIES])
_VERSION_2: Final = np.array([family.version == 2 for family in FAMILIES])
_MOBILE: Final = np.array([family.source_system == "mobile" for family in FAMILIES])


def _shapes() -> pl.Series:
    """The properties that family and country settle, for each pair of them."""
    texts: list[str] = []
    for family, country in product(FAMILIES, COUNTRIES):
        text = f',"channel":"{family.channel}","country":"{country.code}","event_type":"{family.event_type}"'
        mcc = f',"mcc_code":"{CATEGORIES[CASH.start].code}"' if family.version == 1 else ""
        texts.append(f'{text},"source_system":"{family.source_system}"{mcc}')
    return pl.Series(texts)


def _ends() -> pl.Series:
    """How a line ends, by tenant (none first), risk flags and drift."""
    texts: list[str] = []
    for tenant, flags, drifted in product(("", *TENANTS), RISK_FLAGS, (False, True)):
        named = f',"tenant_id":"{tenant}"' if tenant else ""
        quoted = ",".join(f'"{flag}"' for flag in flags)
        texts.append(named + (f',"risk_flags":[{quoted}]' if flags else "") + (faults.DRIFT_PROPERTY if drifted else "") + "}")
    return pl.Series(texts)


_SHAPES: Final = _shapes()
_ENDS: Final = _ends()


class Renderer:
    """Writes rows as the bodies of events.

    Args:
        population: whose ids are printed.
        prefix: what transaction ids of this simulation begin with.
        times: the days that can occur.
        drift_from: arrival (ms) from which the mobile source sends a property that the contract doesn't know; None for never.
    """

    def __init__(self, population: Population, prefix: str, times: TimeText, drift_from: int | None) -> None:
        self._population = population
        self._prefix = prefix
        self.times = times
        self._drift_from = drift_from
        codes = [CATEGORIES[category].code for category in population.category.tolist()]
        self._merchants = pl.Series([f',"mcc_code":"{code}","merchant_id":"M{at}"' for at, code in enumerate(codes, _FIRST_MERCHANT)])

    def drifted(self, rows: pl.DataFrame) -> Ints:
        """Positions of the rows that carry the property of the drift."""
        if self._drift_from is None:
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero((rows["arrival"].to_numpy() >= self._drift_from) & _MOBILE[rows["family"].to_numpy()])

    def transaction_ids(self) -> pl.Expr:
        """The printed transaction id, from the column `number`."""
        return pl.lit(self._prefix) + pl.col("number").cast(pl.String)

    def account_ids(self, rows: pl.DataFrame) -> pl.Series:
        """The printed account id of each row."""
        return "A" + pl.Series(self._population.number[rows["account"].to_numpy()]).cast(pl.String)

    def bodies(self, rows: pl.DataFrame) -> pl.Series:
        """One JSON line for each row (Binary, no line end), spoilt where the row's fault says so."""
        lines = self._joined(rows).cast(pl.Binary)
        fault = rows["fault"].to_numpy()
        edited = faults.is_edited(fault)
        if not len(edited):
            return lines
        variant = rows["variant"].to_numpy()
        spoilt = [faults.spoilt(lines[int(at)].decode(), int(fault[at]), int(variant[at])) for at in edited]
        order = np.arange(len(lines), dtype=np.int64)
        order[edited] = len(lines) + np.arange(len(edited))
        return pl.concat([lines, pl.Series(spoilt, dtype=pl.Binary)]).gather(order)

    def _joined(self, rows: pl.DataFrame) -> pl.Series:
        text = pl.String
        looked_up = self._looked_up(rows)
        inside = pl.col("party_kind") >= ACCOUNT
        pieces: list[pl.Expr] = [
            pl.lit(f'{{"transaction_id":"{self._prefix}'),
            pl.col("number").cast(text),
            pl.lit('","event_time":"'),
            *self.times.pieces(pl.col("when")),
            pl.lit('","enqueued_time":"'),
            *self.times.pieces(pl.col("arrival")),
            pl.lit('","account_id":"A'),
            pl.col("account_number").cast(text),
            pl.lit('","customer_id":"C'),
            pl.col("customer_number").cast(text),
            pl.lit('","amount":'),
            (pl.col("minor") // pl.col("unit")).cast(text),
            pl.lit(_FRACTIONS).gather(pl.col("minor") % pl.col("unit") + pl.col("fraction_start")),
            pl.lit(_CURRENCIES).gather(pl.col("currency")),
            pl.lit(_SHAPES).gather(pl.col("family") * len(COUNTRIES) + pl.col("country")),
            pl.lit(self._merchants).gather(pl.when(pl.col("party_kind") == MERCHANT).then(pl.col("party"))),
            pl.lit(_PARTY_HEADS).gather(pl.col("party_kind")),
            pl.when(inside).then(pl.col("party_number")).cast(text),
            pl.lit(_PARTY_TAILS).gather(pl.when(inside).then(pl.col("party_country"))),
            pl.when(pl.col("device") >= 0).then(pl.format(',"device_id":"D{}"', pl.col("device"))),
            pl.lit(_ENDS).gather(pl.col("end")),
        ]
        return looked_up.select(pl.concat_str(pieces, ignore_nulls=True).alias("body")).to_series()

    def _looked_up(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with what the population knows of each."""
        who, rows = self._population, rows.cast(pl.Int64)
        account, currency, family = (rows[name].to_numpy() for name in ("account", "currency", "family"))
        kind, party = rows["party_kind"].to_numpy(), rows["party"].to_numpy()
        other = np.where(kind == ACCOUNT, party, 0)
        outside = np.where(kind == OUTSIDE, party, 0)
        drifted = np.zeros(rows.height, dtype=np.int64)
        drifted[self.drifted(rows)] = 1
        tenant = np.where(_VERSION_2[family], who.tenant[account] + 1, 0)
        return rows.with_columns(
            account_number=pl.Series(who.number[account]),
            customer_number=pl.Series(who.customer_number[account]),
            unit=pl.Series(UNIT_OF[currency]),
            fraction_start=pl.Series(_FRACTION_START[currency]),
            party_number=pl.Series(np.where(kind == ACCOUNT, who.number[other], who.outside_number(outside))),
            party_country=pl.Series(np.where(kind == ACCOUNT, who.country[other], who.outside_country[outside])),
            end=pl.Series((tenant * len(RISK_FLAGS) + rows["flags"].to_numpy()) * 2 + drifted),
        )
