"""Days of events in memory: what the writer writes and tests look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

import polars as pl

from lakewarden.sources.simulator import faults
from lakewarden.sources.simulator.draws import Draws
from lakewarden.sources.simulator.geography import CURRENCIES
from lakewarden.sources.simulator.plan import Plan
from lakewarden.sources.simulator.population import Population
from lakewarden.sources.simulator.render import Renderer
from lakewarden.sources.simulator.rhythm import DAY, HOUR, MINUTE, midnight, volume
from lakewarden.sources.simulator.rows import SCHEMA
from lakewarden.sources.simulator.timetext import TimeText
from lakewarden.sources.simulator.traffic import burst, ordinary
from lakewarden.sources.simulator.typologies import TYPOLOGIES, crime

_OLDEST = 8
"""Days before the first one that a late event can lie back."""
_SPIKE_LENGTH = 10 * MINUTE
_SPIKE_FACTOR = 7
_DRIFT_NAME = faults.FAULTS[faults.DRIFT].name
_DRIFT_AT = 0.6
"""Share of the simulated time after which the mobile source's schema drifts."""
_TYPOLOGY_NAMES = pl.Series([name or None for name in TYPOLOGIES], dtype=pl.String)
_CURRENCY_CODES = pl.Series([currency.code for currency in CURRENCIES])
_ROWS: dict[str, pl.DataType] = {**SCHEMA, "number": pl.Int64(), "arrival": pl.Int64()}


@dataclass(frozen=True)
class DayOfEvents:
    """The events that arrive on one UTC day, in order of arrival, and the truth about the transactions made on it.

    Attributes:
        date: the day.
        first_line: the number of its first line, counted over the whole simulation.
        lines: how many events arrive.
        transactions: how many genuine transactions are made, whether or not their events arrive.
        faults: `line` (null for an event that a gap lost), `transaction_id`, `fault`, `detail`, by line.
    """

    date: date
    first_line: int
    lines: int
    transactions: int
    faults: pl.DataFrame
    _rows: pl.DataFrame = field(repr=False)
    _made: pl.DataFrame = field(repr=False)
    _label_delay_days: int = field(repr=False)
    _renderer: Renderer = field(repr=False)

    def bodies(self, first: int = 0, count: int | None = None) -> pl.Series:
        """The lines from the day's `first` on (Binary, no line end)."""
        return self._renderer.bodies(self._rows.slice(first, count))

    def keys(self, first: int = 0, count: int | None = None) -> pl.Series:
        """The account id of each line, by the truth, whatever a fault did to the line."""
        return self._renderer.account_ids(self._rows.slice(first, count)).alias("key")

    def labels(self, first: int = 0, count: int | None = None) -> pl.DataFrame:
        """`transaction_id`, `is_fraud` (1, 0), `typology` (null for none) and `known_time` of the day's transactions."""
        known = pl.col("when") + self._label_delay_days * DAY
        return self._made.slice(first, count).select(
            transaction_id=self._renderer.transaction_ids(),
            is_fraud=(pl.col("typology") > 0).cast(pl.Int8),
            typology=pl.lit(_TYPOLOGY_NAMES).gather(pl.col("typology")),
            known_time=self._renderer.times.text(known),
        )

    def records(self, first: int = 0, count: int | None = None) -> pl.DataFrame:
        """The system of record's view of the day's transactions; late ones have the date on which they were made.

        Columns: `transaction_id`, `account_id`, `amount_minor`, `currency`, `event_time`, `status`, `event_date`.
        """
        made = self._made.slice(first, count)
        return made.select(
            transaction_id=self._renderer.transaction_ids(),
            account_id=self._renderer.account_ids(made),
            amount_minor="minor",
            currency=pl.lit(_CURRENCY_CODES).gather(pl.col("currency")),
            event_time=self._renderer.times.text(pl.col("when")),
            status=pl.lit("BOOKED"),
            event_date=pl.from_epoch(pl.col("when") // DAY, time_unit="d"),
        )


class Simulation:
    """A plan with its population: gives its days one after the other."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._draws = Draws(plan.seed, "lakewarden simulator 1")
        self.population = Population(self._draws.child("population"), plan.customers)
        self._start = midnight(plan.start)
        end = plan.start + timedelta(days=plan.days + plan.label_delay_days + 1)
        times = TimeText(plan.start - timedelta(days=_OLDEST), end)
        mark = int(self._draws.child("mark").below(1 << 16, 1)[0])
        drift = None if plan.faults == "none" else self._start + int(plan.days * DAY * _DRIFT_AT)
        self._renderer = Renderer(self.population, f"T{mark:04x}-", times, drift)

    def days(self) -> Iterator[DayOfEvents]:
        """The days in order; an event made shortly before midnight may arrive on the next one (the last day keeps all that is left)."""
        waiting = pl.DataFrame(schema=_ROWS)
        line = 0
        drifting = False
        for index, day in enumerate(self.plan.dates):
            draws = self._draws.child("day", index)
            made = self._made(draws, index, day)
            truth = made.select("number", "when", "account", "minor", "currency", "typology")
            made, copies = faults.repeated(made, draws.child("copies"))
            lost = made.filter(pl.col("fault") == faults.GAP)
            under_way = pl.concat([waiting, made.filter(pl.col("fault") != faults.GAP), copies])
            here = pl.col("arrival") < midnight(day) + DAY
            if index == self.plan.days - 1:
                here = pl.lit(True)
            waiting = under_way.filter(~here)
            rows = under_way.filter(here).sort("arrival", "number", "fault")
            found = self._faults(rows, lost, line, drifting)
            drifting = drifting or _DRIFT_NAME in found["fault"]
            yield DayOfEvents(day, line, rows.height, truth.height, found, rows, truth, self.plan.label_delay_days, self._renderer)
            line += rows.height

    def _made(self, draws: Draws, index: int, day: date) -> pl.DataFrame:
        """What happens on a day, by event time, with numbers, arrivals and the faults that strike."""
        plan, start = self.plan, midnight(day)
        parts = [
            ordinary(self.population, draws.child("ordinary"), day, volume(day, plan.events_per_day)),
            crime(self.population, self._draws.child("crime"), day_index=index, start=start, events_per_day=plan.events_per_day),
        ]
        if plan.faults == "all" or (plan.faults == "default" and index % 7 == 1):
            begin = start + 17 * HOUR + draws.child("spike").below(3 * HOUR, 1)[0]
            extra = plan.events_per_day * _SPIKE_FACTOR * _SPIKE_LENGTH // DAY + 1
            traffic = draws.child("spike traffic")
            spike = burst(self.population, traffic, day, events=extra, start=int(begin), length=_SPIKE_LENGTH)
            parts.append(spike.with_columns(fault=pl.lit(faults.SPIKE, pl.Int8)))
        rows = pl.concat(parts).sort("when", maintain_order=True)
        base = (day.year % 100 * 10_000 + day.month * 100 + day.day) * 100_000_000
        unit = draws.child("latency").unit(rows.height)
        slow = draws.child("slow").chance(0.002, rows.height)
        latency = 40 + (unit * unit * unit * 2_500).astype("int64") + slow * draws.child("slowness").below(10 * MINUTE, rows.height)
        rows = rows.with_columns(number=base + pl.int_range(pl.len()), arrival=pl.col("when") + pl.Series(latency))
        if plan.faults == "all" or (plan.faults == "default" and index % 7 == 2):
            rows = faults.gap(rows, draws.child("gap"), start)
        return faults.backdated(faults.chosen(rows, draws.child("faults"), plan.faults), draws.child("late"))

    def _faults(self, rows: pl.DataFrame, lost: pl.DataFrame, first_line: int, drifting: bool) -> pl.DataFrame:
        numbered = rows.with_row_index("line", first_line).with_columns(pl.col("line").cast(pl.Int64))
        struck = numbered.filter(pl.col("fault") > 0)
        drifted = numbered[self._renderer.drifted(rows)].filter(pl.col("fault") == 0)
        if drifted.height and not drifting:
            first = drifted.head(1)
            struck = pl.concat([struck, first.with_columns(fault=pl.lit(faults.DRIFT, pl.Int8), variant=pl.lit(0, pl.Int8))])
        all_rows = pl.concat([struck.sort("line", "fault"), lost.with_columns(line=pl.lit(None, pl.Int64)).select(struck.columns)])
        names = pl.Series([fault.name for fault in faults.FAULTS])
        pairs = [(code, at, text or None) for code, fault in enumerate(faults.FAULTS) for at, text in enumerate(fault.variants)]
        details = pl.DataFrame(pairs, schema={"fault": pl.Int8, "variant": pl.Int8, "detail": pl.String}, orient="row")
        joined = all_rows.join(details, on=["fault", "variant"], how="left", maintain_order="left")
        return joined.select(
            "line", transaction_id=self._renderer.transaction_ids(), fault=pl.lit(names).gather(pl.col("fault")), detail="detail"
        )


def generate(plan: Plan) -> Iterator[DayOfEvents]:
    """The days of a plan, one at a time, in memory."""
    yield from Simulation(plan).days()
