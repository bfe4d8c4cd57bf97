"""Numbers in plain English: money, shares, counts, spans of time, in the templates of rules and alerts."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from lakewarden.errors import ConfigurationError


@dataclass(frozen=True)
class Money:
    """How amounts in minor units are written: currency code and exponent."""

    currency: str
    exponent: int

    def say(self, minor: float) -> str:
        """`1234567` as `12,345.67 EUR`."""
        whole, part = divmod(abs(round(minor)), 10**self.exponent)
        sign = "-" if minor < 0 else ""
        fraction = f".{part:0{self.exponent}d}" if self.exponent else ""
        return f"{sign}{whole:,}{fraction} {self.currency}"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _times(value: float) -> str:
    return f"{value:,.1f} times"


def _days(value: float) -> str:
    return f"{value:,.0f} day{'' if round(value) == 1 else 's'}"


def span(seconds: float) -> str:
    """Seconds as the largest fitting unit: `45 seconds`, `12 minutes`, `3.5 hours`, `9 days`."""
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return f"{round(seconds / size, 1):g} {unit}s"
    return f"{seconds:.0f} second{'' if round(seconds) == 1 else 's'}"


_FORMATS: Final[dict[str, Callable[[float], str]]] = {"count": _count, "percent": _percent, "times": _times, "days": _days, "span": span}


def _worded(value: object, how: str, money: Money) -> str:
    """A value by its name of a format; null is `unknown`."""
    if value is None:
        return "unknown"
    if isinstance(value, int | float) and how == "money":
        return money.say(value)
    if isinstance(value, int | float) and how in _FORMATS:
        return _FORMATS[how](value)
    return format(value, how)


@lru_cache(maxsize=1024)
def _parsed(template: str) -> tuple[tuple[str, str | None, str], ...]:
    return tuple((literal, name, how or "") for literal, name, how, _ in string.Formatter().parse(template))


def say(template: str, values: Mapping[str, object], money: Money) -> str:
    """`template` with `{name}` and `{name:format}` put in words.

    Formats: money (minor units), percent (of 1), times, count, days, span (seconds), or Python's own. A null is `unknown`.
    """
    parts = _parsed(template)
    return "".join(literal if name is None else literal + _worded(values[name], how, money) for literal, name, how in parts)


def placeholders(template: str) -> list[str]:
    """The names in a template. Raises ConfigurationError for a template that can't be read."""
    try:
        return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise ConfigurationError(f"the text {template!r} can't be used: {error}", next="write a literal brace twice") from error
