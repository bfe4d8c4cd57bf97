"""Numbers in plain English: money, shares, counts, spans of time, in the templates of rules and alerts."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
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


class _Wording(string.Formatter):
    def __init__(self, money: Money) -> None:
        self._money = money

    def format_field(self, value: object, format_spec: str) -> str:
        """A value by its name of a format; null is `unknown`."""
        if value is None:
            return "unknown"
        if isinstance(value, int | float) and format_spec == "money":
            return self._money.say(value)
        if isinstance(value, int | float) and format_spec in _FORMATS:
            return _FORMATS[format_spec](value)
        return format(value, format_spec)

    def get_value(self, key: int | str, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
        return kwargs[str(key)]


def say(template: str, values: Mapping[str, object], money: Money) -> str:
    """`template` with `{name}` and `{name:format}` put in words.

    Formats: money (minor units), percent (of 1), times, count, days, span (seconds), or Python's own. A null is `unknown`.
    """
    return _Wording(money).vformat(template, (), values)


def placeholders(template: str) -> list[str]:
    """The names in a template. Raises ConfigurationError for a template that can't be read."""
    try:
        return [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise ConfigurationError(f"the text {template!r} can't be used: {error}", next="write a literal brace twice") from error
