"""What goes wrong upstream: faults chosen among honest events, and what each does to the line.

Only ordinary events are spoilt, never a criminal's, so that every labelled episode stays whole. The system of record holds the truth.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

import numpy as np
import polars as pl

from lakewarden.sources.simulator.draws import Draws, Ints
from lakewarden.sources.simulator.geography import UNKNOWN_CURRENCY
from lakewarden.sources.simulator.rhythm import DAY, HOUR

Profile = Literal["none", "default", "all"]


class Fault(NamedTuple):
    """A kind of fault: its name, how often it strikes by default, and its variants."""

    name: str
    rate: float = 0.0
    variants: tuple[str, ...] = ("",)


FAULTS: Final = (
    Fault(""),
    Fault("duplicate", 0.002),
    Fault("conflicting_duplicate", 0.0002),
    Fault("late", 0.001),
    Fault("future", 0.0002),
    Fault("malformed_json", 0.0008, ("truncated", "bad_utf8", "nul_byte", "not_an_object", "nan_amount", "deep_nesting")),
    Fault("missing_field", 0.0006, ("amount", "currency", "account_id", "transaction_id", "event_time", "country", "channel")),
    Fault("mistyped_field", 0.0006, ("amount", "event_time", "account_id", "risk_flags", "country")),
    Fault("new_enum_value", 0.0004, ("channel:WEARABLE", "channel:KIOSK")),
    Fault("unknown_currency", 0.0003),
    Fault("negative_amount", 0.0002),
    Fault("huge_amount", 0.0001),
    Fault("volume_spike"),
    Fault("gap"),
    Fault("schema_drift"),
)
"""By code; the first is what a sound line has. `schema_drift` marks the first sound line that carries the new property."""
CODE: Final = {fault.name: code for code, fault in enumerate(FAULTS)}
DUPLICATE, CONFLICT, LATE = CODE["duplicate"], CODE["conflicting_duplicate"], CODE["late"]
SPIKE, GAP, DRIFT = CODE["volume_spike"], CODE["gap"], CODE["schema_drift"]

DRIFT_PROPERTY: Final = ',"sdk_version":"4.2.0"'
"""What the mobile source's events carry from the drift on."""
_ALL_FACTOR: Final = 6.0
_EDITED_FROM: Final = CODE["future"]
_NESTING: Final = 1000
_FAR_YEAR: Final = "2096"
"""Far ahead of any clock, and a leap year, so that every day of any year exists in it."""


def chosen(rows: pl.DataFrame, draws: Draws, profile: Profile) -> pl.DataFrame:
    """The rows with `fault` and `variant` set on those that are struck.

    Under `all` every variant of every kind is there at least once, if there are as many ordinary rows.
    """
    if profile == "none":
        return rows
    eligible = rows.select(((pl.col("fault") == 0) & (pl.col("typology") == 0)).arg_true()).to_series().to_numpy()
    codes: list[int] = []
    variants: list[int] = []
    for code, fault in enumerate(FAULTS):
        if fault.rate:
            expected = fault.rate * len(eligible) * (_ALL_FACTOR if profile == "all" else 1.0)
            count = draws.child("count", fault.name).round(expected)
            count = max(count, 2 * len(fault.variants)) if profile == "all" else count
            turn = int(draws.child("turn", fault.name).below(len(fault.variants), 1)[0])
            codes += [code] * count
            variants += [(turn + at) % len(fault.variants) for at in range(count)]
    order = np.argsort(draws.child("which").bits(len(eligible)), kind="stable")[: len(codes)]
    kept = np.argsort(draws.child("order").bits(len(codes)), kind="stable")[: len(order)]
    struck = eligible[order]
    fault_column, variant_column = rows["fault"].to_numpy().copy(), rows["variant"].to_numpy().copy()
    fault_column[struck] = np.array(codes, dtype=np.int64)[kept]
    variant_column[struck] = np.array(variants, dtype=np.int64)[kept]
    return rows.with_columns(fault=pl.Series(fault_column, dtype=pl.Int8), variant=pl.Series(variant_column, dtype=pl.Int8))


def backdated(rows: pl.DataFrame, draws: Draws) -> pl.DataFrame:
    """The rows with the event time of the late ones moved 25 hours to 7 days back; their arrival stays."""
    age = 25 * HOUR + draws.child("age").below(143 * HOUR, rows.height)
    return rows.with_columns(when=pl.when(pl.col("fault") == LATE).then(pl.col("when") - pl.Series(age)).otherwise(pl.col("when")))


def repeated(rows: pl.DataFrame, draws: Draws) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(the rows, sound, and the second deliveries of those struck by a duplicate): 0.2 s to two hours later, half or more added to the
    amount where they conflict."""
    twice = pl.col("fault").is_in([DUPLICATE, CONFLICT])
    copies = rows.filter(twice)
    unit = draws.child("delay").unit(copies.height)
    delay = 200 + (unit * unit * unit * (2 * HOUR)).astype(np.int64)
    minor = pl.col("minor")
    copies = copies.with_columns(
        arrival=pl.col("arrival") + pl.Series(delay),
        minor=pl.when(pl.col("fault") == CONFLICT).then(minor + minor // 2 + 1).otherwise(minor),
    )
    return rows.with_columns(fault=pl.when(twice).then(pl.lit(0, pl.Int8)).otherwise(pl.col("fault"))), copies


def gap(rows: pl.DataFrame, draws: Draws, start: int) -> pl.DataFrame:
    """The rows with those marked that never arrive: six minutes' worth, from the arrival of one in business hours on."""
    hours = rows.filter((pl.col("arrival") - start).is_between(9 * HOUR, 16 * HOUR))["arrival"]
    if hours.is_empty():
        hours = rows["arrival"]
    begin = int(hours[int(draws.below(len(hours), 1)[0])])
    lost = (pl.col("fault") == 0) & pl.col("arrival").is_between(begin, begin + DAY // 240, closed="left")
    return rows.with_columns(fault=pl.when(lost).then(pl.lit(GAP, pl.Int8)).otherwise(pl.col("fault")))


def is_edited(fault: Ints) -> Ints:
    """Positions of the rows whose line must be spoilt after it was written as it should be."""
    return np.flatnonzero((fault >= _EDITED_FROM) & (fault < SPIKE))


def spoilt(line: str, fault: int, variant: int) -> bytes:
    """The line as the fault leaves it."""
    kind = FAULTS[fault]
    what = kind.variants[variant]
    if kind.name == "malformed_json":
        return _malformed(line, what)
    if kind.name == "missing_field":
        return re.sub(rf'"{what}":("[^"]*"|[^,}}]*),', "", line, count=1).encode()
    if kind.name == "mistyped_field":
        return _mistyped(line, what).encode()
    name, value = {
        "future": ("event_time", f'"{_FAR_YEAR}{_value(line, "event_time")[5:]}'),
        "new_enum_value": ("channel", f'"{what.partition(":")[2]}"'),
        "unknown_currency": ("currency", f'"{UNKNOWN_CURRENCY}"'),
        "negative_amount": ("amount", f"-{_value(line, 'amount')}" if float(_value(line, "amount")) else "-1"),
        "huge_amount": ("amount", "1e15"),
    }[kind.name]
    return _put(line, name, value).encode()


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf'("{name}":)("[^"]*"|[^,}}]*)')


def _value(line: str, name: str) -> str:
    found = _pattern(name).search(line)
    return found[2] if found else ""


def _put(line: str, name: str, value: str) -> str:
    return _pattern(name).sub(lambda found: found[1] + value, line, count=1)


def _malformed(line: str, how: str) -> bytes:
    if how == "truncated":
        return line[: len(line) * 2 // 3].encode()
    if how == "bad_utf8":
        return _put(line, "country", '"@"').encode().replace(b'"@"', b'"\xc3\x28"', 1)
    if how == "nul_byte":
        return line.encode().replace(b'"account_id":"', b'"account_id":"\x00', 1)
    if how == "not_an_object":
        return f"[{_value(line, 'transaction_id')}]".encode()
    if how == "nan_amount":
        return _put(line, "amount", "NaN").encode()
    return f'{line[:-1]},"nested":{"[" * _NESTING}{"]" * _NESTING}}}'.encode()


def _mistyped(line: str, what: str) -> str:
    if what == "amount":
        return _put(line, what, f'"{_value(line, what).replace(".", ",")}"')
    if what == "event_time":
        return _put(line, what, re.sub(r"\D", "", _value(line, what)[:20]))
    if what == "account_id":
        return _put(line, what, _value(line, what)[2:-1])
    if what == "country":
        return _put(line, what, f"[{_value(line, what)}]")
    plain = re.sub(r',"risk_flags":\[[^\]]*\]', "", line)
    return f'{plain[:-1]},"risk_flags":"NEW_PAYEE"}}'
