"""Which orders the published tables stand under: for each date the newest one that was not undone says what its rows were derived under."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from lakewarden.lake import orders

if TYPE_CHECKING:
    from lakewarden.lake.store import Store


@dataclass(frozen=True)
class Standing:
    """What rows of some dates were derived under, instead of what bronze recorded.

    Attributes:
        order, subject: the order that brought them in, and the replay that it belongs to.
        dates: first and last `event_date`.
        cut: the newest `seq` that it holds for; what arrived later stands as the stream wrote it.
        stretch: the arrivals that were derived, from the first event of the dates to the last one.
        release: its id; None: as recorded.
        chunk_rows: how many events were derived at a time.
        among: the places in the order of arrival that it holds for; None: all of the dates.
    """

    order: int
    subject: str
    dates: tuple[date, date]
    cut: int
    stretch: tuple[int, int]
    release: str | None
    chunk_rows: int
    among: frozenset[int] | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the order's number, which it gets when it is placed."""
        return {
            "from": self.dates[0].isoformat(),
            "to": self.dates[1].isoformat(),
            "cut_seq": self.cut,
            "first_seq": self.stretch[0],
            "last_seq": self.stretch[1],
            "release": self.release,
            "chunk_rows": self.chunk_rows,
            "among": None if self.among is None else sorted(self.among),
        }

    @classmethod
    def from_order(cls, order: orders.Order) -> Standing:
        """Read what `to_dict` gave from an order."""
        assert order.standing is not None
        told = order.standing
        return cls(
            order.number,
            order.subject,
            (date.fromisoformat(told["from"]), date.fromisoformat(told["to"])),
            told["cut_seq"],
            (told["first_seq"], told["last_seq"]),
            told["release"],
            told["chunk_rows"],
            None if told["among"] is None else frozenset(told["among"]),
        )

    def covers(self, day: date) -> bool:
        """Whether it holds for a date."""
        return self.dates[0] <= day <= self.dates[1]

    def overlaps(self, dates: tuple[date, date]) -> bool:
        """Whether it holds for one of these dates."""
        return self.dates[0] <= dates[1] and dates[0] <= self.dates[1]


def in_effect(store: Store, newest: int) -> list[Standing]:
    """The orders that hold at a published point and were not undone, newest first.

    Args:
        newest: the newest order of the published point.
    """
    if newest < 0:
        return []
    done = [orders.get(store, number) for number in orders.numbers(store) if number <= newest and orders.done(store, number) is not None]
    undone = {order.undoes for order in done if order.undoes is not None}
    return [Standing.from_order(order) for order in reversed(done) if order.standing is not None and order.number not in undone]


def on_date(standing: list[Standing], day: date) -> list[Standing]:
    """Those that hold for a date, newest first: some for certain accounts' events, the last perhaps for all. None: as it was streamed."""
    found: list[Standing] = []
    for one in (one for one in standing if one.covers(day)):
        found.append(one)
        if one.among is None:
            break
    return found
